"""WHICH name lives WHERE: the replicated registry, its mesh, and the control plane's view of it.

Law: nothing here knows how a process is run. The supervisor imports this package, never the other way.
"""
