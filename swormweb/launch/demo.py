"""Starts the demo processes of a new cluster: `python -m swormweb.launch.demo`.

Law: a process of its own, so that a demo that fails harms nothing. It reads what `cluster.json` says from its input
and calls `examples.demo.start(url, token, cluster)`, which registers over REST like anybody else; that function is
repeatable, since a second `up` calls it too, and raises with a sentence when it cannot.
"""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    cluster = json.load(sys.stdin)
    importlib.import_module("examples.demo").start(cluster["url"], cluster["token"], cluster)
