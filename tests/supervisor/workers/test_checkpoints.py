"""Checkpoints of workers of every kind: taken between two messages, and the worker goes on whatever comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from supervisor.core.events import CheckpointTaken
from supervisor.workers.values import unpack
from tests.supervisor.workers.samples import Slow
from tests.supervisor.workers.stage import Stage

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    Slow.fresh()
    made = Stage()
    yield made
    await made.workers.stop_all("shutdown", 10.0)


async def checkpoint(stage: Stage, serial: int, within: float = 10.0) -> CheckpointTaken:
    stage.events.clear()
    stage.workers.take_checkpoint(serial, within)
    taken: CheckpointTaken = await stage.told(CheckpointTaken, serial)
    return taken


@pytest.mark.parametrize("isolation", ["task", "process"])
async def test_what_would_move_is_kept_and_the_worker_goes_on(stage: Stage, isolation: str) -> None:
    serial = await stage.start("Echo", isolation=isolation)
    await stage.cast(serial, "a").wait()
    taken = await checkpoint(stage, serial)
    assert (taken.stateful, taken.problem, unpack(taken.state)) == (True, "", ["a"])
    await stage.cast(serial, "b").wait()
    assert await stage.call(serial, "casts") == ["a", "b"]


@pytest.mark.parametrize("isolation", ["task", "process"])
async def test_a_checkpoint_of_its_own_is_asked_instead_and_an_age_is_told(stage: Stage, isolation: str) -> None:
    serial = await stage.start("Keeping", isolation=isolation, state=["a"], restored_age_ms=7)
    assert unpack((await checkpoint(stage, serial)).state) == {"casts": ["a"], "age": 7}


async def test_it_waits_for_the_message_in_hand(stage: Stage) -> None:
    serial = await stage.start("Slow")
    first, second = stage.send(serial, "a"), stage.send(serial, "b")
    Slow.gate("handoff").set()
    await stage.until(lambda: Slow.log == ["begin a"])
    stage.workers.take_checkpoint(serial, 10.0)
    Slow.gate("a").set()
    taken = await stage.told(CheckpointTaken, serial)
    assert unpack(taken.state) == ["begin a", "end a"]
    Slow.gate("b").set()
    assert (await first.wait(), await second.wait()) == (("reply", "a"), ("reply", "b"))


async def test_a_coroutine_gives_what_its_hook_gives(stage: Stage) -> None:
    serial = await stage.start("room", "cats")
    stage.cast(serial, "a")
    assert await stage.call(serial, "all") == ["cats", "a"]
    assert unpack((await checkpoint(stage, serial)).state) == ["a"]
    assert await stage.call(serial, "all") == ["cats", "a"]


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("BadState", "not a MessagePack value"),
        ("BigState", "at most 4194304 are handed off"),
        ("RaisingState", "no state"),
    ],
)
async def test_a_checkpoint_that_cannot_be_costs_nothing_else(stage: Stage, target: str, problem: str) -> None:
    serial = await stage.start(target)
    taken = await checkpoint(stage, serial)
    assert not taken.stateful
    assert problem in taken.problem
    assert (await checkpoint(stage, serial)).problem == taken.problem


async def test_one_that_takes_too_long_is_given_up(stage: Stage) -> None:
    serial = await stage.start("Slow")
    assert (await checkpoint(stage, serial, 0.01)).problem == "no checkpoint within 0.01 s"
    Slow.gate("a").set()
    assert await stage.call(serial, "a") == "a"


@pytest.mark.parametrize(("target", "args"), [("Plain", ()), ("Echo", ())])
async def test_who_has_no_state_says_so(stage: Stage, target: str, args: tuple[Any, ...]) -> None:
    serial = await stage.start(target, *args)
    assert (await checkpoint(stage, serial)).stateful is (target == "Echo")
