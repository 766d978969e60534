"""A script of somebody's own Django project: every verb through `.sync`, and some of them awaited, against a cluster.

Law: nothing here is imported by a test. It says what came of each verb as one line of JSON, in the order of the script.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import django

django.setup()

from supervisor import AlreadyStarted, Sworm, SwormError  # noqa: E402 - Django first

COUNTER = "examples.counters:Counter"


class Scripted(Sworm):
    """A sworm that the script is the first to know."""

    handoff = True


def tell(verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Say what a verb came to."""
    try:
        result = verb(*args, **kwargs)
        said: Any = (
            {name: type(one).__name__ if isinstance(one, SwormError) else one for name, one in result.items()}
            if isinstance(result, dict)
            else result
        )
    except AlreadyStarted as error:
        result, said = None, f"AlreadyStarted {error.pid}"
    except (SwormError, ValueError) as error:
        result, said = None, type(error).__name__
    sys.stdout.write(json.dumps([verb.__name__, said]) + "\n")
    return result


def main() -> None:
    """Every verb."""
    rooms = Scripted.sync
    pid = tell(rooms.register_name, "lobby", COUNTER, [5])
    tell(rooms.register_name, "lobby", COUNTER)
    tell(rooms.register_name, "never", "live_workers:Failing")
    tell(rooms.whereis_or_register_name, "lobby", COUNTER)
    tell(rooms.whereis_name, "lobby")
    tell(rooms.register_name, "foyer", pid=pid)
    tell(rooms.register_name, "foyer", pid=pid)
    tell(rooms.register_name, "foyer")
    tell(rooms.registered)
    for _ in range(2):
        tell(rooms.join, "all", pid)
    tell(rooms.join, "all", name="nobody")
    tell(rooms.join, "all", "n9.1.1")
    tell(rooms.members, "all")
    tell(rooms.call, "foyer", {"op": "increment"})
    tell(rooms.multi_call, "all", {"op": "get"})
    tell(rooms.publish, "all", {"op": "increment"})
    tell(rooms.cast, "lobby", {"op": "increment"})
    tell(rooms.cast, "nobody", 1)
    tell(rooms.call, "nobody", 1)
    tell(rooms.leave, "all", pid)
    tell(rooms.members, "all")
    tell(rooms.restart_name, "lobby")
    tell(rooms.unregister_name, "foyer")
    tell(rooms.unregister_name, "foyer")

    async def awaited() -> Any:
        return [await Scripted.call("lobby", {"op": "get"}), Scripted.whereis_name("foyer")]

    def awaits() -> Any:
        return asyncio.run(awaited())

    tell(awaits)
    tell(rooms.unregister_name, "lobby")
    tell(rooms.registered)


main()
