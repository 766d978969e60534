"""The supervisor's side of the REST API: definitions, processes, nodes and operations, their GETs included.

Law: a view reads what was asked, calls the one function that does it, and says what came out; it decides nothing else.
"""
