"""The public verbs in any Django process: commands through the broker, reads from the read model.

Law: what a verb means is what it means in an agent; problems become the errors of `supervisor.errors`. A wish returns
once the read model shows it, so that the next read sees one's own write. A sworm without a row gets its first one
from the class that is used. Nothing here is asked at import; the first use makes the client.
"""

# ruff: noqa: ASYNC109  # a time-out is part of each verb
from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection

from registry.auth import Principal
from registry.core.ids import Pid
from registry.core.names import Spec
from registry.models import Membership, Process, Sworm
from registry.observed import wait_observed
from registry.problems import Problem
from supervisor import commands, definitions
from supervisor.backend import Registered, Result
from supervisor.client import Answer, Asked, default_client
from supervisor.core.constraints import written
from supervisor.core.spec import Definition
from supervisor.errors import AlreadyStarted, BadDefinition, NoAnswer, NoNode, SwormError, UnknownSworm, from_code
from supervisor.replies import from_wire
from supervisor.workers.values import unpack, unpack_arguments

Read = TypeVar("Read")
Arguments = ParamSpec("Arguments")

#: Who wrote a definition that came from a class.
OURSELVES = Principal("code", {})

#: Seconds that the answer to a call of a whole group may be on its way beyond the calls' own time-out.
SLACK = 1.0

#: What was noted of each class already: it does not change while a process runs.
_proposed: dict[str, dict[str, Any]] = {}

#: Reads of callers on an event loop, where Django refuses the ORM.
_readers = ThreadPoolExecutor(2, thread_name_prefix="sworm-read")


class DjangoBackend:
    """`supervisor.backend.Backend` for views, scripts and other apps. Safe from any thread."""

    async def register(self, definition: Definition, name: str, spec: Spec, timeout: float) -> Registered:
        """See `Backend.register`."""
        deadline = time.time() + timeout
        row = await _queried(row_of, definition)
        args, kwargs = unpack_arguments(spec.args)
        wish = {"name": name, "target": spec.target, "args": args, "kwargs": kwargs, "isolation": spec.isolation}
        meta = unpack(spec.meta) if spec.meta else {}
        answer = await self._ask(row, None, "register", deadline, **wish, meta=meta)
        await self._shown(row, answer.result, deadline)
        if not answer.ok and answer.problem != AlreadyStarted.code:
            raise _error(answer)
        return Registered(answer.result["pid"], not answer.ok)

    async def give_name(self, definition: Definition, name: str, pid: Pid, timeout: float) -> bool:
        """See `Backend.give_name`."""
        deadline = time.time() + timeout
        row = await _queried(row_of, definition)
        result = _certain(await self._ask(row, None, "give_name", deadline, name=name, pid=pid))
        await self._shown(row, result, deadline)
        return not result["already"]

    async def unregister(self, sworm: str, name: str, timeout: float) -> None:
        """See `Backend.unregister`."""
        await self._wish(sworm, "unregister", timeout, name=name)

    def whereis(self, sworm: str, name: str) -> Pid | None:
        """See `Backend.whereis`; as the read model shows it."""
        return _read(lambda: Process.objects.filter(sworm=sworm, name=name).values_list("pid", flat=True).first())

    def registered(self, sworm: str) -> list[tuple[str, Pid]]:
        """See `Backend.registered`; as the read model shows it."""
        return _read(lambda: list(Process.objects.filter(sworm=sworm).values_list("name", "pid")))

    async def call(self, sworm: str, name: str, message: Any, timeout: float) -> Any:
        """See `Backend.call`."""
        deadline = time.time() + timeout
        row = await _queried(known_row, sworm)
        milliseconds = max(1, math.floor(timeout * 1000))
        asked = {"name": name, "message": message, "timeout_ms": milliseconds}
        return _certain(await self._ask(row, name, "call", deadline, **asked))

    def cast(self, sworm: str, name: str, message: Any) -> None:
        """See `Backend.cast`; handed to the broker, whether an agent takes it is not asked."""
        _read(lambda: _cast(sworm, name, message))

    async def join(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """See `Backend.join`."""
        await self._wish(sworm, "join", timeout, group=group, name=name, pid=pid)

    async def leave(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """See `Backend.leave`."""
        await self._wish(sworm, "leave", timeout, group=group, name=name, pid=pid)

    def members(self, sworm: str, group: str) -> list[tuple[str, Pid]]:
        """See `Backend.members`; as the read model shows it."""
        rows = Membership.objects.filter(sworm=sworm, group=group).order_by("name")
        return _read(lambda: list(rows.values_list("name", "pid")))

    def publish(self, sworm: str, group: str, message: Any) -> None:
        """See `Backend.publish`; handed to the broker, whether an agent takes it is not asked."""
        _read(lambda: _publish(sworm, group, message))

    async def multi_call(self, sworm: str, group: str, message: Any, timeout: float) -> dict[str, Any]:
        """See `Backend.multi_call`."""
        deadline = time.time() + timeout + SLACK
        row = await _queried(known_row, sworm)
        asked = {"group": group, "message": message, "timeout_ms": max(1, math.floor(timeout * 1000))}
        return from_wire(_certain(await self._ask(row, None, "multi_call", deadline, **asked)))

    async def restart(self, sworm: str, name: str, timeout: float) -> None:
        """See `Backend.restart`."""
        await self._wish(sworm, "restart", timeout, name=name)

    async def handoff(self, sworm: str, name: str, to: str | None, timeout: float) -> None:
        """See `Backend.handoff`."""
        await self._wish(sworm, "handoff", timeout, name=name, to=to)

    def wait(self, verb: Coroutine[Any, Any, Result]) -> Result:
        """See `Backend.wait`."""

        async def waited() -> Result:
            return await verb

        try:
            return async_to_sync(waited)()
        except RuntimeError:
            verb.close()
            raise

    async def _wish(self, sworm: str, op: str, timeout: float, **fields: Any) -> None:
        deadline = time.time() + timeout
        row = await _queried(known_row, sworm)
        result = _certain(await self._ask(row, None, op, deadline, **fields))
        await self._shown(row, result, deadline)

    async def _ask(self, row: Sworm, host_of: str | None, op: str, deadline: float, **fields: Any) -> Answer:
        """Ask the nodes of a sworm; those of a process, its host first, for `host_of`."""
        try:
            nodes = await _queried(_nodes, row.name, host_of)
            definition = definitions.definition_of(row)
            return await default_client().ask_any_async(
                nodes, op, deadline=deadline, definition=definition, sworm=row.name, **fields
            )
        except Problem as problem:
            raise NoNode(str(problem)) from None

    async def _shown(self, row: Sworm, result: Any, deadline: float) -> None:
        if isinstance(result, dict) and result.get("origin"):
            origin, version = str(result["origin"]), int(result["version"])
            await asyncio.to_thread(_closing, wait_observed, row.name, origin, version, deadline)


def row_of(definition: Definition) -> Sworm:
    """The row of a definition; made from it when there is none. Raises `BadDefinition`."""
    row = definitions.live().filter(name=definition.name).first()
    fields = fields_of(definition)
    if _proposed.get(definition.name) != fields:
        definitions.propose(definition.name, fields)
        _proposed[definition.name] = fields
    if row is not None:
        return row
    try:
        return definitions.create(definition.name, fields, OURSELVES, "first definition, from the class that was used")
    except Problem as problem:
        if problem.code == "already_exists":
            return known_row(definition.name)
        raise BadDefinition(str(problem)) from None


def fields_of(definition: Definition) -> dict[str, Any]:
    """What a class says of its sworm, as a row holds it."""
    fields = {field: getattr(definition, field) for field in definitions.WRITABLE}
    fields["allowed_modules"] = list(definition.allowed_modules)
    fields["constraints"] = written(definition.constraints)
    return fields


def known_row(sworm: str) -> Sworm:
    """The row of a sworm. Raises `UnknownSworm`."""
    row = definitions.live().filter(name=sworm).first()
    if row is None:
        raise UnknownSworm(f"no sworm {sworm!r} is defined")
    return row


def _nodes(sworm: str, host_of: str | None) -> list[Asked]:
    return commands.nodes_for(sworm) if host_of is None else commands.host_first(sworm, host_of)


def _cast(sworm: str, name: str, message: Any) -> None:
    row = known_row(sworm)
    if not Process.objects.filter(sworm=sworm, name=name).exists():
        raise from_code("not_registered", f"no process {name!r} is registered in {sworm}")
    try:
        node, incarnation = commands.host_first(sworm, name)[0]
    except Problem as problem:
        raise NoNode(str(problem)) from None
    fields = {"sworm": row.name, "name": name, "message": message}
    default_client().tell(node, incarnation, "cast", deadline=time.time() + commands.SHORT, **fields)


def _publish(sworm: str, group: str, message: Any) -> None:
    row = known_row(sworm)
    try:
        node, incarnation = commands.nodes_for(sworm)[0]
    except Problem as problem:
        raise NoNode(str(problem)) from None
    fields = {"sworm": row.name, "group": group, "message": message}
    default_client().tell(node, incarnation, "publish", deadline=time.time() + commands.SHORT, **fields)


def _read(query: Callable[[], Read]) -> Read:
    """Run a query here, or in a thread where an event loop runs: Django refuses the ORM there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return query()
    return _readers.submit(_closing, query).result()


async def _queried(query: Callable[Arguments, Read], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Read:
    """Run a query where Django allows it: in the thread of a waiting caller, which may be within a transaction."""
    return await sync_to_async(_closing)(query, *args, **kwargs)


def _closing(query: Callable[Arguments, Read], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Read:
    """Run a query and give the connection back: this thread may never end a request."""
    try:
        return query(*args, **kwargs)
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _certain(answer: Answer) -> Any:
    if not answer.ok:
        raise _error(answer)
    return answer.result


def _error(answer: Answer) -> SwormError:
    if not answer.begun:
        return NoAnswer(answer.detail)
    pid = answer.result.get("pid", "") if isinstance(answer.result, dict) else ""
    return from_code(answer.problem, answer.detail, pid)
