"""`ObjectExecutor`: how one `Worker` starts, and that its end is its own."""

from __future__ import annotations

import asyncio

import pytest

from supervisor.core.events import WorkerExited, WorkerFailed, WorkerStarted
from supervisor.errors import NotHandled, WorkerCrashed
from tests.supervisor.workers.samples import Slow
from tests.supervisor.workers.stage import Stage

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def fresh() -> None:
    Slow.fresh()


async def test_a_quick_init_starts_within_the_call() -> None:
    stage = Stage()
    await stage.start("Echo")
    order = stage.order("Echo")
    stage.workers.start(order)
    assert stage.of(order.serial) == [WorkerStarted(order.serial)]


async def test_it_knows_who_it_is() -> None:
    stage = Stage()
    serial = await stage.start("Echo", kwargs={"seat": 4})
    who = ["chat", f"name{serial}", f"n1.1.{serial}", 10 + serial]
    assert stage.at_once(serial, "who") == who
    assert stage.at_once(serial, "current") == who
    assert stage.at_once(serial, "kept") == {"seat": 4}


async def test_an_exception_in_a_call_reaches_the_caller_and_ends_the_worker() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    with pytest.raises(WorkerCrashed, match="ValueError: no seat"):
        stage.at_once(serial, {"raise": "no seat"})
    exited = await stage.told(WorkerExited, serial)
    assert not exited.normal
    assert "no seat" in exited.detail
    assert "Traceback" in exited.detail
    assert stage.send(serial, 1).end == ("bounce", "")


async def test_even_a_system_exit_costs_only_the_worker() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    with pytest.raises(WorkerCrashed, match="SystemExit"):
        await stage.call(serial, {"exit": 1})
    assert not (await stage.told(WorkerExited, serial)).normal


async def test_a_crash_fails_the_message_in_hand_and_bounces_the_others() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    first, second, third = stage.send(serial, "raise"), stage.send(serial, "b"), stage.cast(serial, "c")
    Slow.gate("raise").set()
    kind, error = await first.wait()
    assert (kind, str(error)) == ("fail", "ValueError: raise")
    assert await second.wait() == ("bounce", "")
    assert await third.wait() == ("bounce", "")
    assert Slow.log == ["begin raise", "terminate crashed"]
    assert [type(event) for event in stage.of(serial)] == [WorkerStarted, WorkerExited]


async def test_an_exception_in_a_cast_ends_the_worker() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    stage.cast(serial, "raise")
    assert not (await stage.told(WorkerExited, serial)).normal


@pytest.mark.parametrize(("target", "detail"), [("BadInit", "ValueError: no seat"), ("ExitInit", "SystemExit: 3")])
async def test_an_exception_in_init_is_a_failed_start(target: str, detail: str) -> None:
    stage = Stage()
    failed = await stage.failure(target)
    assert (failed.code, failed.detail) == ("start_failed", detail)
    assert stage.workers.running == {}


async def test_a_waiting_init_starts_later_and_gets_the_state() -> None:
    stage = Stage()
    order = stage.order("SlowStart", state={"n": 1})
    stage.workers.start(order)
    parked = stage.send(order.serial, 1)
    await stage.until(lambda: "init" in Slow.gates)
    assert stage.of(order.serial) == []
    Slow.gate("init").set()
    await stage.told(WorkerStarted, order.serial)
    assert Slow.log == ["state {'n': 1}"]
    stage.workers.open_gate(order.serial)
    kind, error = await parked.wait()
    assert kind == "fail"
    assert isinstance(error, NotHandled)


async def test_an_init_that_takes_too_long_is_a_failed_start() -> None:
    stage = Stage(start_timeout=0.01)
    failed = await stage.failure("SlowStart")
    assert (failed.code, failed.detail) == ("start_failed", "init took longer than 0.01 s")
    assert stage.workers.running == {}


async def test_a_stop_during_init_ends_it() -> None:
    stage = Stage()
    order = stage.order("SlowStart")
    stage.workers.start(order)
    await stage.until(lambda: "init" in Slow.gates)
    stage.workers.stop(order.serial, "shutdown")
    assert await stage.told(WorkerExited, order.serial) == WorkerExited(order.serial, True)
    assert len(stage.of(order.serial)) == 1


async def test_stop_terminates_and_is_always_answered() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    stage.workers.stop(serial, "shutdown")
    assert stage.of(serial)[-1] == WorkerExited(serial, True)
    stage.workers.stop(serial, "shutdown")
    stage.workers.stop(99, "shutdown")
    assert stage.of(99) == [WorkerExited(99, True)]


async def test_stop_lets_the_message_in_hand_end_first() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    first, second = stage.send(serial, "a"), stage.send(serial, "b")
    await stage.until(lambda: Slow.log == ["begin a"])
    stage.workers.stop(serial, "unregistered")
    assert second.end == ("bounce", "")
    Slow.gate("a").set()
    assert (await stage.told(WorkerExited, serial)).normal
    assert first.end == ("reply", "a")
    assert Slow.log == ["begin a", "end a", "terminate unregistered"]


@pytest.mark.parametrize("message", ["once", "always"])
async def test_a_stuck_handler_is_cancelled_after_the_grace(message: str) -> None:
    stage = Stage(grace=0.01)
    serial = await stage.start("Stubborn")
    note = stage.send(serial, message)
    await stage.until(lambda: stage.workers.running[serial].handler_task is not None)
    task = stage.workers.running[serial].handler_task
    await stage.until(lambda: "free" in Slow.gates)  # it waits where it will be cancelled
    stage.workers.stop(serial, "shutdown")
    assert (await stage.told(WorkerExited, serial)).normal
    if message == "once":
        kind, error = await note.wait()
        assert (kind, str(error)) == ("fail", "the worker was stopped while it handled this message")
    Slow.gate("free").set()  # so that the one left behind ends with the test
    assert task is not None
    await asyncio.wait({task})


async def test_finish_ends_normally_after_the_message_in_hand() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    assert await stage.call(serial, "finish") == "bye"
    assert stage.of(serial)[-1] == WorkerExited(serial, True)


async def test_what_a_worker_spawned_ends_with_it() -> None:
    stage = Stage()
    serial = await stage.start("Poller", False)
    await stage.until(lambda: "poll" in Slow.gates)
    stage.workers.stop(serial, "shutdown")
    await stage.until(lambda: Slow.log == ["poll cancelled"])


async def test_an_exception_beside_the_messages_ends_the_worker() -> None:
    stage = Stage()
    serial = await stage.start("Poller", True)
    Slow.gate("poll").set()
    exited = await stage.told(WorkerExited, serial)
    assert not exited.normal
    assert "ValueError: poll" in exited.detail


async def test_a_restart_from_within_the_event_of_a_crash_works() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    again = stage.order("Echo")
    stage.on_event = lambda event: stage.workers.start(again) if isinstance(event, WorkerExited) else None
    with pytest.raises(WorkerCrashed):
        stage.at_once(serial, {"raise": "x"})
    assert stage.of(again.serial) == [WorkerStarted(again.serial)]


async def test_a_failed_start_leaves_nothing_behind() -> None:
    stage = Stage()
    await stage.failure("BadInit")
    order = stage.order("BadInit")
    stage.on_event = lambda event: None
    stage.workers.start(order)
    assert isinstance(stage.of(order.serial)[0], WorkerFailed)
    assert stage.workers.running == {}
    assert stage.workers.starting == {}
    assert stage.send(order.serial, 1).end == ("bounce", "")
