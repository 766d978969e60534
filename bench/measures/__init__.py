"""The benchmarks, by subject. Each is a function that carries out one run and yields (row, value)."""
