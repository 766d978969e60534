"""The seeded simulator: whole clusters of real cores under virtual time and a faulty network.

Law: everything that happens follows from the seed; the cores are the ones that agents run, unchanged. A broken
invariant names itself, the seed, and the command that replays it.
"""
