"""Workers for tests of agents: those that block, crash and fail."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from supervisor import Sworm, Worker

#: Set by a test to let a blocked worker go on; workers of one process share it.
GO_ON = threading.Event()


class Rooms(Sworm):
    """The tests' own sworm, from within a worker."""

    handoff = True


class Blocking(Worker):
    """Blocks the workers' loop until it may go on."""

    def handle_call(self, message: Any) -> Any:
        GO_ON.wait(60)
        return "went on"


class Failing(Worker):
    """Cannot start."""

    def init(self) -> None:
        raise ValueError("no such seat")


class Crashing(Worker):
    """Crashes at each call."""

    def handle_call(self, message: Any) -> Any:
        raise RuntimeError("boom")


class Asking(Worker):
    """Uses the public verbs."""

    async def handle_call(self, message: Any) -> Any:
        match message:
            case {"register": name}:
                return await Rooms.register_name(name, "examples.counters:Counter", [7])
            case {"whereis": name}:
                return Rooms.whereis_name(name)
            case {"registered": True}:
                return sorted(Rooms.registered())
            case {"call": name, "message": inner}:
                return await Rooms.call(name, inner)
            case {"cast": name, "message": inner}:
                return Rooms.cast(name, inner)
            case {"unregister": name}:
                return await Rooms.unregister_name(name)
            case {"restart": name}:
                return await Rooms.restart_name(name)
            case {"handoff": name, "to": node}:
                return await Rooms.handoff_name(name, node)
        raise ValueError(message)


class Stuck(Worker):
    """Never gives its state, so that a drain waits for it."""

    async def begin_handoff(self) -> Any:
        await asyncio.Event().wait()


def plain_function() -> None:
    """Knows nothing of Sworm and runs until it is ended."""
    threading.Event().wait()
