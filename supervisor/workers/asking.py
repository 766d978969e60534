"""The verbs of the public API between a child and its agent.

Law: a child's code uses the same verbs as any worker. Each is asked of the agent in one frame and ends in one answer;
the agent carries it out as if a worker of its own had asked.
"""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from registry.core.ids import Pid
from registry.core.names import Spec
from supervisor.backend import Backend, Registered, Result
from supervisor.core.spec import Definition, definition_of
from supervisor.errors import Deadlock, NoAnswer, SwormError
from supervisor.replies import from_wire, wire_replies
from supervisor.workers.scope import current_executor

#: Seconds for a verb that has no time-out of its own, and beyond the one of a verb that has.
MARGIN = 2.0


async def answer(backend: Backend, verb: str, arguments: list[Any]) -> Any:
    """Carry out what a child asks. Raises what the verb raises; `SwormError` for an unknown verb."""
    match verb, arguments:
        case "register", [definition, name, spec, timeout]:
            return list(await backend.register(definition_of(definition), name, Spec(*spec), timeout))
        case "unregister", [sworm, name, timeout]:
            return await backend.unregister(sworm, name, timeout)
        case "whereis", [sworm, name]:
            return backend.whereis(sworm, name)
        case "registered", [sworm]:
            return backend.registered(sworm)
        case "call", [sworm, name, message, timeout]:
            return await backend.call(sworm, name, message, timeout)
        case "cast", [sworm, name, message]:
            return backend.cast(sworm, name, message)
        case "restart", [sworm, name, timeout]:
            return await backend.restart(sworm, name, timeout)
        case "handoff", [sworm, name, to, timeout]:
            return await backend.handoff(sworm, name, to, timeout)
    return await _answer_tying(backend, verb, arguments)


async def _answer_tying(backend: Backend, verb: str, arguments: list[Any]) -> Any:
    """Further names and groups."""
    match verb, arguments:
        case "give_name", [definition, name, pid, timeout]:
            return await backend.give_name(definition_of(definition), name, pid, timeout)
        case "join", [sworm, group, name, pid, timeout]:
            return await backend.join(sworm, group, name, pid, timeout)
        case "leave", [sworm, group, name, pid, timeout]:
            return await backend.leave(sworm, group, name, pid, timeout)
        case "members", [sworm, group]:
            return backend.members(sworm, group)
        case "publish", [sworm, group, message]:
            return backend.publish(sworm, group, message)
        case "multi_call", [sworm, group, message, timeout]:
            return wire_replies(await backend.multi_call(sworm, group, message, timeout))
    raise SwormError(f"no such verb: {verb}")


class AskingBackend:
    """The backend inside a child."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[int, str, list[Any]], None],
        answer_to: Callable[[int, float], Any],
    ) -> None:
        self.loop = loop
        self.send = send
        self.answer_to = answer_to  #: blocks the loop's own thread for a read, which the agent answers at once
        self.thread = 0  #: id of the loop's thread
        self.numbers = itertools.count(1)
        self.waiting: dict[int, asyncio.Future[Any]] = {}

    def answered(self, number: int, result: Any) -> None:
        """The agent's answer."""
        future = self.waiting.get(number)
        if future is not None and not future.done():
            future.set_result(result)

    def refused(self, number: int, error: SwormError) -> None:
        """The agent's refusal."""
        future = self.waiting.get(number)
        if future is not None and not future.done():
            future.set_exception(error)

    async def _ask(self, verb: str, arguments: list[Any], timeout: float) -> Any:
        number = next(self.numbers)
        future = self.waiting[number] = self.loop.create_future()
        try:
            self.send(number, verb, arguments)
            async with asyncio.timeout(timeout + MARGIN):
                return await future
        except TimeoutError:
            raise NoAnswer("the agent did not answer") from None
        finally:
            del self.waiting[number]

    async def register(self, definition: Definition, name: str, spec: Spec, timeout: float) -> Registered:
        """See `Backend.register`."""
        pid, already = await self._ask("register", [list(definition), name, list(spec), timeout], timeout)
        return Registered(pid, already)

    async def give_name(self, definition: Definition, name: str, pid: Pid, timeout: float) -> bool:
        """See `Backend.give_name`."""
        return bool(await self._ask("give_name", [list(definition), name, pid, timeout], timeout))

    async def unregister(self, sworm: str, name: str, timeout: float) -> None:
        """See `Backend.unregister`."""
        await self._ask("unregister", [sworm, name, timeout], timeout)

    def whereis(self, sworm: str, name: str) -> Pid | None:
        """See `Backend.whereis`."""
        found: Pid | None = self._read("whereis", [sworm, name])
        return found

    def registered(self, sworm: str) -> list[tuple[str, Pid]]:
        """See `Backend.registered`."""
        return [(name, pid) for name, pid in self._read("registered", [sworm])]

    async def call(self, sworm: str, name: str, message: Any, timeout: float) -> Any:
        """See `Backend.call`."""
        own = current_executor()
        if own and own.name == name and own.sworm == sworm and own.handler_task is asyncio.current_task():
            raise Deadlock
        return await self._ask("call", [sworm, name, message, timeout], timeout)

    def cast(self, sworm: str, name: str, message: Any) -> None:
        """See `Backend.cast`; the agent says at once whether it knows the name."""
        self._read("cast", [sworm, name, message])

    def _read(self, verb: str, arguments: list[Any]) -> Any:
        """What the agent knows now, from whichever thread."""
        if threading.get_ident() != self.thread:
            return self.wait(self._ask(verb, arguments, MARGIN))
        number = next(self.numbers)
        self.send(number, verb, arguments)
        try:
            return self.answer_to(number, MARGIN)
        except TimeoutError:
            raise NoAnswer("the agent did not answer") from None

    async def join(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """See `Backend.join`."""
        await self._ask("join", [sworm, group, name, pid, timeout], timeout)

    async def leave(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """See `Backend.leave`."""
        await self._ask("leave", [sworm, group, name, pid, timeout], timeout)

    def members(self, sworm: str, group: str) -> list[tuple[str, Pid]]:
        """See `Backend.members`."""
        return [(name, pid) for name, pid in self._read("members", [sworm, group])]

    def publish(self, sworm: str, group: str, message: Any) -> None:
        """See `Backend.publish`."""
        self._read("publish", [sworm, group, message])

    async def multi_call(self, sworm: str, group: str, message: Any, timeout: float) -> dict[str, Any]:
        """See `Backend.multi_call`."""
        return from_wire(await self._ask("multi_call", [sworm, group, message, timeout], timeout))

    async def restart(self, sworm: str, name: str, timeout: float) -> None:
        """See `Backend.restart`."""
        await self._ask("restart", [sworm, name, timeout], timeout)

    async def handoff(self, sworm: str, name: str, to: str | None, timeout: float) -> None:
        """See `Backend.handoff`."""
        await self._ask("handoff", [sworm, name, to, timeout], timeout)

    def wait(self, verb: Coroutine[Any, Any, Result]) -> Result:
        """See `Backend.wait`."""
        if threading.get_ident() == self.thread:
            verb.close()
            raise RuntimeError("this would block the worker's own loop: use the awaitable verbs here")
        return asyncio.run_coroutine_threadsafe(verb, self.loop).result()
