"""WHICH name lives WHERE, as pure functions and values.

Law: the standard library only, and of that nothing that does input or output, reads a clock or draws a random number.
Time and chance are arguments. Everything here can be replayed.
"""
