"""The public verbs inside an agent: what `Sworm` does when a worker of this agent uses it.

Law: reads come from this node's own replicas; a wish goes straight into the node's step, on the workers' loop,
without a thread switch; its reply resolves the waiting future on that loop. Calls and casts belong to the router.
"""

# ruff: noqa: ASYNC109  # a time-out is part of each verb
from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from registry.core.ids import Pid
from registry.core.names import Spec
from supervisor.backend import Registered, Result
from supervisor.calls import Router
from supervisor.casting import multi_call, publish
from supervisor.core.events import Asked, Defined, Reply
from supervisor.core.node import Node
from supervisor.core.spec import Definition
from supervisor.errors import NoAnswer, NotRegistered, Refused, SwormError, from_code
from supervisor.workers.values import copied


class Door(Protocol):
    """The way into the node: `registry.runner.Runner`."""

    def enter(self, event: Any) -> None:
        """Step the node with an event."""
        ...


def error_of(reply: Reply) -> SwormError | None:
    """The error that a reply means; None when what was asked is so. `already_started` is no error here."""
    if reply.result in ("started", "already_started", "done", "granted"):
        return None
    if reply.result == "not_registered":
        return NotRegistered(reply.detail)
    if reply.result == "no_answer":
        return NoAnswer(reply.detail)
    return from_code(reply.problem, reply.detail) if reply.problem else Refused(reply.detail)


class LocalBackend:
    """`supervisor.backend.Backend` within an agent. Made and used on the workers' loop; `wait` and reads from any
    thread.
    """

    def __init__(self, node: Node, door: Door, router: Router, clock: Callable[[], float]) -> None:
        """`clock`: the node's, seconds since 1970."""
        self._node = node
        self._door = door
        self._router = router
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

    def replied(self, reply: Reply) -> None:
        """On the workers' loop: the node's answer to a wish of ours."""
        future = self._waiting.pop(reply.request, None)
        if future is not None and not future.done():
            future.set_result(reply)

    async def register(self, definition: Definition, name: str, spec: Spec, timeout: float) -> Registered:
        """See `Backend.register`."""
        known = self._node.definitions.get(definition.name)
        if known is None:
            self._door.enter(Defined(definition))
            known = self._node.definitions.get(definition.name, definition)
        if not spec.isolation:
            spec = spec._replace(isolation=known.isolation)
        reply = await self._ask("register", definition.name, name, timeout, spec=spec)
        return Registered(reply.pid, reply.result == "already_started")

    async def give_name(self, definition: Definition, name: str, pid: Pid, timeout: float) -> bool:
        """See `Backend.give_name`."""
        if definition.name not in self._node.definitions:
            self._door.enter(Defined(definition))
        reply = await self._ask("register", definition.name, name, timeout, pid=pid)
        return reply.result == "started"

    async def unregister(self, sworm: str, name: str, timeout: float) -> None:
        """See `Backend.unregister`."""
        await self._ask("unregister", sworm, name, timeout)

    def whereis(self, sworm: str, name: str) -> Pid | None:
        """See `Backend.whereis`."""
        replica = self._node.replicas.get(sworm)
        found = replica.index.get(name) if replica is not None else None
        return found.pid if found is not None else None

    def registered(self, sworm: str) -> list[tuple[str, Pid]]:
        """See `Backend.registered`."""
        replica = self._node.replicas.get(sworm)
        if replica is None:
            return []
        names = list(replica.index.items())  # a copy, since the node's loop may write meanwhile
        return [(name, found.pid) for name, found in names]

    async def call(self, sworm: str, name: str, message: Any, timeout: float) -> Any:
        """See `Backend.call`."""
        return await self._router.call(sworm, name, message, timeout)

    def cast(self, sworm: str, name: str, message: Any) -> None:
        """See `Backend.cast`."""
        if threading.get_ident() == self._thread:
            self._router.cast(sworm, name, message)
            return
        if self.whereis(sworm, name) is None:
            raise NotRegistered(f"no process {name!r} is registered in {sworm}")
        self._loop.call_soon_threadsafe(self._router.cast, sworm, name, message)

    async def join(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """See `Backend.join`."""
        await self._ask("join", sworm, name, timeout, pid=pid, group=group)

    async def leave(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """See `Backend.leave`."""
        await self._ask("leave", sworm, name, timeout, pid=pid, group=group)

    def members(self, sworm: str, group: str) -> list[tuple[str, Pid]]:
        """See `Backend.members`."""
        replica = self._node.replicas.get(sworm)
        return replica.members(group) if replica is not None else []

    def publish(self, sworm: str, group: str, message: Any) -> None:
        """See `Backend.publish`."""
        if threading.get_ident() == self._thread:
            publish(self._router, self.members(sworm, group), sworm, message)
        else:
            self._loop.call_soon_threadsafe(publish, self._router, self.members(sworm, group), sworm, copied(message))

    async def multi_call(self, sworm: str, group: str, message: Any, timeout: float) -> dict[str, Any]:
        """See `Backend.multi_call`."""
        return await multi_call(self._router, self.members(sworm, group), sworm, message, timeout)

    async def restart(self, sworm: str, name: str, timeout: float) -> None:
        """See `Backend.restart`."""
        await self._ask("restart", sworm, name, timeout)

    async def handoff(self, sworm: str, name: str, to: str | None, timeout: float) -> None:
        """See `Backend.handoff`."""
        await self._ask("move", sworm, name, timeout, to=to or "")

    def wait(self, verb: Coroutine[Any, Any, Result]) -> Result:
        """See `Backend.wait`."""
        if threading.get_ident() == self._thread:
            verb.close()
            raise RuntimeError("this would block every worker of the node: use the awaitable verbs here")
        return asyncio.run_coroutine_threadsafe(verb, self._loop).result()

    async def _ask(
        self, kind: str, sworm: str, name: str, timeout: float, *, spec: Spec | None = None, **more: str
    ) -> Reply:
        request = f"/w/{next(self._numbers)}"  # with this incarnation before it, an id of its own in the whole cluster
        future = self._waiting[request] = self._loop.create_future()
        asked = Asked(request, kind, sworm, name, self._clock() + timeout, self._node.origin + request, spec, **more)
        try:
            self._door.enter(asked)
            reply: Reply = future.result() if future.done() else await future
        finally:
            self._waiting.pop(request, None)
        error = error_of(reply)
        if error is not None:
            raise error
        return reply
