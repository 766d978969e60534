"""Starting and ending a whole cluster on one machine: `./sworm up`, `down`, `test`.

Law: the launcher starts operating-system processes and watches them; it is no part of the cluster, and every part
runs on when the launcher is gone. What it knows stands in the cluster's folder, so that another launcher can go on
from there.
"""
