"""Starts agents for the price of one: `python -m swormweb.launch.nursery` imports what an agent needs, then forks each.

Law: most of an agent's start is imports, and `up` starts several at once. Each child is an agent like one that
`manage.py agent` starts, in a session of its own, with its own log and its own name in the process list; no thread
and no connection exists before the fork. The nursery ends at once, so that whoever started it (a child subreaper)
becomes the agents' parent. It begins when it is told how to on its input, and ends without a child when it never is.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

import django
import setproctitle
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swormweb.settings")
django.setup()

from supervisor.management.commands import agent  # noqa: E402, F401 - imported here so that no child has to


def _become(part: dict[str, Any]) -> None:
    """Turn a forked child into the agent: from here on nothing of the nursery is open any more."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(part["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    setproctitle.setproctitle(" ".join(part["command"]))
    words = part["command"][1:]
    sys.argv = words
    execute_from_command_line(words)


def main() -> None:
    """Fork what the input asks for; print the process id of each, one a line."""
    text = sys.stdin.read()
    wanted: list[dict[str, Any]] = json.loads(text) if text else []
    gc.freeze()  # what is shared now stays shared: the collector would touch, and so copy, every page
    born = []
    for part in wanted:
        pid = os.fork()
        if pid == 0:
            _become(part)
            return
        born.append(pid)
    sys.stdout.write("".join(f"{pid}\n" for pid in born))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
