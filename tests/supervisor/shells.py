"""Real shells within the test's own loop: real meshes, real workers, no broker and no sub-process.

Law: nothing here waits for a time; it looks at a condition once in each turn of the loop, up to a generous limit.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from registry.core.events import Report
from registry.core.ids import Origin
from supervisor.commands_in import Incoming
from supervisor.config import AgentConfig, first_incarnation
from supervisor.core.spec import Definition
from supervisor.outbox import Counts
from supervisor.pages import AgentPages
from supervisor.shell import Shell
from tests.turns import until

KEY = b"the key of these tests' clusters"
ROOMS = Definition("rooms", 1, handoff=True)

#: Seconds after which a condition counts as never met; the machine may be busy.
LIMIT = 30.0

_ids = itertools.count(1)


class Answers:
    """Stands for the outbox: keeps what would leave."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict[str, Any]] = {}
        self.count = 0

    def answer(self, key: str, fields: dict[str, Any]) -> None:
        self.by_id[fields["id"]] = fields
        self.count += 1


@dataclass
class Running:
    """One shell with its door for commands."""

    shell: Shell
    incoming: Incoming
    answers: Answers
    reports: list[Report]
    pages: AgentPages
    ended: bool = field(default=False)

    @property
    def origin(self) -> Origin:
        return self.shell.origin

    def send(self, op: str, **fields: Any) -> str:
        """Hand a command in as dramatiq would; returns its id."""
        command = {
            "v": 1, "id": f"id{next(_ids)}", "op": op, "incarnation": self.shell.incarnation,
            "deadline": time.time() + LIMIT, "answer_to": "asker", "definition": ROOMS._asdict(), "sworm": "rooms",
        }  # fmt: skip
        command.update(fields)
        self.incoming.take(command)
        return str(command["id"])

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The same, and its answer."""
        command_id = self.send(op, **fields)
        answer: dict[str, Any] = await until(lambda: self.answers.by_id.get(command_id))
        return answer

    async def register(self, name: str, target: str = "examples.counters:Counter", **more: Any) -> dict[str, Any]:
        return await self.ask("register", name=name, target=target, **more)

    async def call(self, name: str, message: Any, timeout_ms: int = 20_000) -> dict[str, Any]:
        return await self.ask("call", name=name, message=message, timeout_ms=timeout_ms)


async def start(name: str, join: tuple[str, ...] = (), **more: Any) -> Running:
    """Start one shell; it joins whatever it is told to join."""
    incarnation = more.pop("incarnation", None) or first_incarnation()
    config = AgentConfig(
        name, KEY, join=join, preset="local", allowed_modules=("examples", "tests.supervisor.jobs"), **more
    )
    reports: list[Report] = []
    shell = Shell(config, incarnation, reports.append)
    answers = Answers()
    pages = AgentPages(shell, Counts())
    await shell.start(pages)
    incoming = Incoming(shell.origin, shell, answers)  # type: ignore[arg-type]  # the part of an outbox that it uses
    return Running(shell, incoming, answers, reports, pages)


@asynccontextmanager
async def cluster(count: int) -> AsyncIterator[list[Running]]:
    """Some shells that see each other; closed at the end."""
    running = [await start("n1")]
    try:
        for number in range(2, count + 1):
            running.append(await start(f"n{number}", (running[0].shell.mesh.identity.url,)))
        await together(running)
        yield running
    finally:
        for one in running:
            if not one.ended:
                await one.shell.close()


async def together(running: list[Running]) -> None:
    """Wait until all of them agree on a view of them all."""
    origins = {one.origin for one in running}
    await until(
        lambda: all(
            one.shell.node.member.ready and set(one.shell.node.member.view.agreeing) == origins for one in running
        )
    )
