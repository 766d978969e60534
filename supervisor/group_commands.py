"""Commands from outside about further names and groups.

Law: as for other commands (`supervisor.commands_in`): each is answered once, nothing here blocks. A process is meant by
its name or by its pid.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from registry.core.ids import check_name, is_pid
from supervisor.casting import multi_call, publish
from supervisor.command import BadCommand, Command
from supervisor.errors import CallTimeout, NotRegistered, SwormError
from supervisor.replies import wire_replies
from supervisor.wishes import Wishing, wish

#: Seconds that the calls' own time-out may be overrun before the workers' loop counts as blocked.
CALL_SLACK = 0.1

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Owner(Wishing, Protocol):
    """What these commands need of the agent."""

    def on_workers(self, coroutine: Callable[[Any], Coroutine[Any, Any, Any]]) -> Coroutine[Any, Any, Any]:
        """Run `coroutine(router)` on the workers' loop; awaited on the node's."""


class GroupCommands:
    """What one incarnation does for commands about groups."""

    def __init__(self, owner: Owner, spawn: Spawn) -> None:
        self._owner = owner
        self._spawn = spawn
        self.verbs: dict[str, Callable[[Command], None]] = {
            "give_name": self._give_name,
            "join": lambda command: self._set_member(command, "join"),
            "leave": lambda command: self._set_member(command, "leave"),
            "members": lambda command: command.done([list(member) for member in self._members(command)]),
            "publish": lambda command: self._spawn(self._publish(command)),
            "multi_call": lambda command: self._spawn(self._multi_call(command)),
        }

    def _give_name(self, command: Command) -> None:
        wish(self._owner, command, "register", check_name(command.name), pid=_pid(command))

    def _set_member(self, command: Command, kind: str) -> None:
        by_name = bool(command.fields.get("name"))
        who = {} if by_name else {"pid": _pid(command)}
        wish(self._owner, command, kind, command.name if by_name else "", group=_group(command), **who)

    def _members(self, command: Command) -> list[tuple[str, str]]:
        replica = self._owner.node.replicas.get(command.sworm)
        return replica.members(_group(command)) if replica is not None else []

    async def _publish(self, command: Command) -> None:
        sworm, message, members = command.sworm, command.fields.get("message"), self._members(command)

        async def cast(router: Any) -> None:
            publish(router, members, sworm, message)

        await self._answered(command, cast, max(0.0, command.deadline - time.time()))

    async def _multi_call(self, command: Command) -> None:
        sworm, message, members = command.sworm, command.fields.get("message"), self._members(command)
        seconds = max(0.001, min(command.field("timeout_ms", int) / 1000, command.deadline - time.time()))

        async def call(router: Any) -> list[list[Any]]:
            return wire_replies(await multi_call(router, members, sworm, message, seconds))

        await self._answered(command, call, seconds + CALL_SLACK)

    async def _answered(
        self, command: Command, coroutine: Callable[[Any], Coroutine[Any, Any, Any]], seconds: float
    ) -> None:
        try:
            async with asyncio.timeout(seconds):
                command.done(await self._owner.on_workers(coroutine))
        except TimeoutError:
            command.refuse(CallTimeout.code, "the workers of this node are blocked; the message may have been handled")
        except SwormError as error:
            command.refuse(error.code, error.detail)


def _group(command: Command) -> str:
    return check_name(command.fields.get("group"), "group")


def _pid(command: Command) -> str:
    pid = command.fields.get("pid")
    if not isinstance(pid, str):
        raise BadCommand(f"pid must be text, not {pid!r:.100}")
    if not is_pid(pid):
        raise NotRegistered(f"no process has the pid {pid!r:.300}")
    return pid
