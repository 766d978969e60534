"""WHO runs a process, as pure functions and values: one door, `Node.step(event, now) -> effects`.

Law: the standard library and `registry.core` only, and of the former nothing that does input or output, reads a clock
or draws a random number. The same code runs in an agent and under the simulator.
"""
