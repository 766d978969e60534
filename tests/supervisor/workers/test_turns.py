"""`turns`: the messages of one `Worker`, one at a time and in order, at once when it is idle."""

from __future__ import annotations

import asyncio

import pytest

from registry.core.quorum import Lease
from supervisor.core.events import WorkerStarted
from supervisor.errors import NotHandled, WorkerCrashed
from supervisor.workers.protocol import LATER
from tests.supervisor.workers.samples import Slow
from tests.supervisor.workers.stage import Stage

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def fresh() -> None:
    Slow.fresh()


async def test_an_idle_worker_answers_in_the_callers_turn() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    assert stage.at_once(serial, {"a": [1]}) == {"a": [1]}


async def test_a_reply_is_a_copy() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    stage.cast(serial, 1)
    first = stage.at_once(serial, "casts")
    first.append(2)
    assert stage.at_once(serial, "casts") == [1]


async def test_a_message_before_the_gate_opens_is_parked_and_then_handled() -> None:
    stage = Stage()
    await stage.start("Echo")
    order = stage.order("Echo")
    stage.workers.start(order)
    assert stage.workers.handle(order.serial, 1) is LATER
    notes = [stage.send(order.serial, number) for number in range(3)]
    assert [note.end for note in notes] == [None] * 3
    stage.workers.open_gate(order.serial)
    assert [note.end for note in notes] == [("reply", 0), ("reply", 1), ("reply", 2)]


async def test_async_handlers_run_one_at_a_time_in_order() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    assert stage.workers.handle(serial, "x") is LATER
    notes = [stage.send(serial, key) for key in "abc"]
    await stage.until(lambda: Slow.log == ["begin a"])
    for key in "cba":
        Slow.gate(key).set()
    assert [await note.wait() for note in notes] == [("reply", "a"), ("reply", "b"), ("reply", "c")]
    assert Slow.log == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


async def test_a_letter_whose_caller_has_gone_is_never_handled() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    first, second = stage.send(serial, "a"), stage.send(serial, "b")
    second.abandon()
    Slow.gate("a").set()
    await first.wait()
    assert await stage_is_idle(stage, serial)
    assert Slow.log == ["begin a", "end a"]
    assert second.end is None


async def stage_is_idle(stage: Stage, serial: int) -> bool:
    Slow.gate("probe").set()
    probe = await stage.send(serial, "probe").wait()
    Slow.log[-2:] = []
    return probe == ("reply", "probe")


async def test_a_refused_message_costs_nothing_else() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    with pytest.raises(NotHandled, match="not me"):
        stage.at_once(serial, {"refuse": "not me"})
    assert stage.at_once(serial, 1) == 1


async def test_many_refused_messages_in_a_row_do_not_pile_up() -> None:
    stage = Stage()
    await stage.start("Echo")
    order = stage.order("Echo")
    stage.workers.start(order)
    notes = [stage.send(order.serial, {"refuse": "no"}) for _ in range(3_000)]
    stage.workers.open_gate(order.serial)
    assert all(note.end is not None and note.end[0] == "fail" for note in notes)


async def test_the_defaults_refuse_calls_and_survive_casts() -> None:
    stage = Stage()
    serial = await stage.start("Plain")
    with pytest.raises(NotHandled, match="Plain takes no calls"):
        stage.at_once(serial, 1)
    stage.cast(serial, 1)
    assert stage.of(serial) == [WorkerStarted(serial)]
    assert (await stage.failure("Plain", 1)).detail == "TypeError: Plain takes no arguments: it has no init"


async def test_a_reply_that_is_no_value_fails_the_call_only() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    with pytest.raises(WorkerCrashed, match="not a MessagePack value"):
        stage.at_once(serial, "object")
    assert stage.at_once(serial, 1) == 1


async def test_a_def_that_returns_an_awaitable_is_waited_for() -> None:
    stage = Stage()
    serial = await stage.start("Hidden")
    reply = stage.workers.handle(serial, "x")
    later = stage.send(serial, "y")
    assert isinstance(reply, asyncio.Future)
    Slow.gate("hidden").set()
    assert await reply == "x"
    assert await later.wait() == ("reply", "y")
    with pytest.raises(WorkerCrashed, match="hidden"):
        await stage.workers.handle(serial, "raise")


async def test_an_aborted_handoff_thaws_in_order() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    stage.workers.freeze_gate(serial)
    for number in range(3):
        stage.cast(serial, number)
    stage.workers.take_state(serial, 1.0)
    stage.workers.open_gate(serial)
    assert stage.at_once(serial, "casts") == [0, 1, 2]


async def test_what_waits_when_the_lease_ends_is_not_begun() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    lease = Lease(stage.workers.clock() + 3600)
    stage.workers.lease_gate(serial, lease)
    first, behind = stage.send(serial, "first"), stage.send(serial, "behind")
    await stage.until(lambda: Slow.log == ["begin first"])
    lease.end()
    Slow.gate("first").set()
    assert await first.wait() == ("reply", "first")
    await stage.until(lambda: behind in stage.workers.running[serial].gate.parked)
    assert Slow.log == ["begin first", "end first"]
