"""The command line behind `./sworm`.

Law: it parses, says what is wrong with a command (exit status 2), and hands over; it holds no logic of a part.
"""
