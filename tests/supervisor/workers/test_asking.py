"""A child uses the public verbs: its agent carries them out."""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from supervisor.backend import use_backend
from supervisor.core.events import WorkerExited
from supervisor.errors import WorkerCrashed
from tests.supervisor.test_sworm import MemoryBackend
from tests.supervisor.workers.stage import LIMIT, Stage

pytestmark = pytest.mark.asyncio


class AgentBackend(MemoryBackend):
    """Answers with what it was asked."""

    async def call(self, sworm: str, name: str, message: Any, timeout: float) -> Any:
        if message == "crash":
            raise WorkerCrashed("there")
        return await super().call(sworm, name, message, timeout)


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.workers.stop_all("shutdown", LIMIT)


@pytest.fixture
def agent() -> Any:
    backend = AgentBackend()
    before = use_backend(backend)
    yield backend
    use_backend(before)


async def test_a_worker_in_a_child_uses_every_verb(stage: Stage, agent: AgentBackend) -> None:
    serial = await stage.start("Asker", isolation="process")
    assert await stage.call(serial, "register") == "n1.1.1"
    assert await stage.call(serial, "again") == "already n1.1.1"
    assert await stage.call(serial, "whereis") == "n1.1.1"
    assert await stage.call(serial, "registered") == [["other", "n1.1.1"]]
    assert await stage.call(serial, "call") == ["asked", "other", {"a": 1}, 2.0]
    assert await stage.call(serial, "crash") == "WorkerCrashed: there"
    assert await stage.call(serial, "cast") is None
    assert await stage.call(serial, "unregister") is None
    assert await stage.call(serial, "unregister") == "NotRegistered"
    assert agent.casts == [("asked", "other", 7)]


async def test_a_worker_in_a_child_reads_at_once_on_its_own_loop(stage: Stage, agent: AgentBackend) -> None:
    """A read is no coroutine: it is answered while the child's loop stands still; what came meanwhile comes after."""
    serial = await stage.start("Asker", isolation="process")
    assert await stage.call(serial, "register") == "n1.1.1"
    calls = [asyncio.create_task(stage.call(serial, "reads")) for _ in range(20)]
    for call in calls:
        assert await call == ["n1.1.1", [["other", "n1.1.1"]], []]
    assert await stage.call(serial, "groups") == [True, {"further": 7}]
    assert agent.casts == [("publish", "asked", "all", 3)]


async def test_a_worker_in_a_child_that_calls_itself_gets_an_error(stage: Stage, agent: AgentBackend) -> None:
    serial = await stage.start("Asker", isolation="process", kwargs={"sworm": "chat"})
    assert await stage.call(serial, "itself") == "Deadlock"


async def test_a_plain_function_uses_the_synchronous_verbs(stage: Stage, agent: AgentBackend) -> None:
    serial = await stage.start("plain_asker")
    assert await stage.told(WorkerExited, serial) == WorkerExited(serial, True)
    assert agent.casts == [("asked", "other", ["asked", "plain", 1, 2.0])]


async def test_waiting_on_the_workers_own_loop_is_refused(stage: Stage, agent: AgentBackend) -> None:
    serial = await stage.start("Asker", isolation="process")
    assert await stage.call(serial, "sync") == "RuntimeError"
