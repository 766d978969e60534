"""Workers for tests of agents: those that block, crash and fail."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from supervisor import Sworm, SwormError, Worker, current

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


async def tied(message: Any) -> Any:
    """Carry out a verb on names and groups: its result, or the name of its error."""
    try:
        return await _verb(*message)
    except (SwormError, RuntimeError) as error:
        return type(error).__name__


async def _verb(verb: str, *arguments: Any) -> Any:
    match verb, *arguments:
        case "name", name:
            return await Rooms.register_name(name)
        case "whereis", name:
            return Rooms.whereis_name(name)
        case "join", group:
            return await Rooms.join(group)
        case "join of", group, pid:
            return await Rooms.join(group, pid)
        case "join named", group, name:
            return await Rooms.join(group, name=name)
        case "leave", group:
            return await Rooms.leave(group)
        case "leave named", group, name:
            return await Rooms.leave(group, name=name)
        case "members", group:
            return Rooms.members(group)
        case "publish", group, inner:
            return Rooms.publish(group, inner)
        case "multi_call", group, inner:
            return await Rooms.multi_call(group, inner)
        case "unregister", name:
            return await Rooms.unregister_name(name)
    raise ValueError(verb)


class Member(Worker):
    """Uses the verbs on names and groups."""

    async def handle_call(self, message: Any) -> Any:
        return await tied(message)


async def member() -> None:
    """The same as a coroutine function."""
    async for message in current():  # type: ignore[attr-defined]
        message.reply(await tied(message.value))


class Early(Worker):
    """Takes a further name and joins a group before it has started."""

    async def init(self, further: str) -> None:
        assert await Rooms.register_name(further, pid=self.pid)
        await Rooms.join("early")


def plain_member(further: str, group: str) -> None:
    """A plain function that ties itself, looks whether it stands, and returns."""
    assert Rooms.sync.register_name(further) is True
    Rooms.sync.join(group)
    assert Rooms.sync.whereis_name(further) == current().pid
    assert Rooms.sync.members(group) == [current().pid]


class Stuck(Worker):
    """Never gives its state, so that a drain waits for it."""

    async def begin_handoff(self) -> Any:
        await asyncio.Event().wait()


def plain_function() -> None:
    """Knows nothing of Sworm and runs until it is ended."""
    threading.Event().wait()


class NeverGives(Worker):
    """Does not come to give its state."""

    async def begin_handoff(self) -> None:
        await asyncio.Event().wait()
