"""Runs users' code: the `Worker` base class, coroutine functions, and operating-system processes.

Law: whatever a worker does costs that worker only. Everything here lives on the workers' loop, never on the node's; a
worker that blocks its loop delays the other workers of that loop and nothing else.
"""
