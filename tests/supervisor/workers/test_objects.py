"""`ObjectExecutor`: one `Worker`, its messages one at a time and in order, its end its own."""

from __future__ import annotations

import asyncio

import pytest

from registry.core.quorum import Lease
from supervisor.core.events import StateGiven, StateTaken, WorkerExited, WorkerFailed, WorkerStarted
from supervisor.errors import NotHandled, WorkerCrashed
from supervisor.workers import objects
from supervisor.workers.protocol import LATER
from supervisor.workers.values import pack, unpack
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


async def test_an_idle_worker_answers_in_the_callers_turn() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    assert stage.at_once(serial, {"a": [1]}) == {"a": [1]}


async def test_it_knows_who_it_is() -> None:
    stage = Stage()
    serial = await stage.start("Echo", kwargs={"seat": 4})
    who = ["chat", f"name{serial}", f"n1.1.{serial}", 10 + serial]
    assert stage.at_once(serial, "who") == who
    assert stage.at_once(serial, "current") == who
    assert stage.at_once(serial, "kept") == {"seat": 4}


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


# --------------------------------------------------------------------------------------------------------------- start


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


# ------------------------------------------------------------------------------------------------------------- handoff


async def test_the_state_goes_from_one_worker_to_the_next() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    stage.cast(serial, "a")
    stage.workers.freeze_gate(serial)
    parked = stage.cast(serial, "b")
    stage.workers.take_state(serial, 1.0)
    taken = stage.of(serial)[-1]
    assert isinstance(taken, StateTaken)
    assert (taken.stateful, taken.problem, unpack(taken.state)) == (True, "", ["a"])
    heir = await stage.start("Echo", state=unpack(taken.state))
    assert stage.at_once(heir, "casts") == ["a"]
    stage.workers.bounce_gate(serial, "n2.1.5")
    assert parked.end == ("bounce", "n2.1.5")
    assert stage.send(serial, 1).end == ("bounce", "n2.1.5")


async def test_an_aborted_handoff_thaws_in_order() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    stage.workers.freeze_gate(serial)
    for number in range(3):
        stage.cast(serial, number)
    stage.workers.take_state(serial, 1.0)
    stage.workers.open_gate(serial)
    assert stage.at_once(serial, "casts") == [0, 1, 2]


async def test_the_state_waits_for_the_message_in_hand_and_for_no_other() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    first, second = stage.send(serial, "a"), stage.send(serial, "b")
    await stage.until(lambda: Slow.log == ["begin a"])
    stage.workers.freeze_gate(serial)
    stage.workers.take_state(serial, 10.0)
    Slow.gate("handoff").set()
    Slow.gate("a").set()
    taken = await stage.told(StateTaken, serial)
    assert unpack(taken.state) == ["begin a", "end a"]
    assert first.end == ("reply", "a")
    stage.workers.bounce_gate(serial, "n2.1.5")
    assert second.end == ("bounce", "n2.1.5")


async def test_letters_that_arrive_while_the_state_is_taken_wait_for_it() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    stage.workers.freeze_gate(serial)
    stage.workers.take_state(serial, 10.0)
    await stage.until(lambda: "handoff" in Slow.gates)
    stage.workers.open_gate(serial)
    note = stage.send(serial, "a")
    Slow.gate("a").set()
    Slow.gate("handoff").set()
    assert unpack((await stage.told(StateTaken, serial)).state) == []
    assert await note.wait() == ("reply", "a")


async def test_a_state_that_takes_too_long_is_given_up() -> None:
    stage = Stage()
    serial = await stage.start("Slow")
    stage.workers.freeze_gate(serial)
    stage.workers.take_state(serial, 0.01)
    taken = await stage.told(StateTaken, serial)
    assert (taken.stateful, taken.problem) == (False, "no state within 0.01 s")
    stage.workers.open_gate(serial)
    Slow.gate("a").set()
    assert await stage.call(serial, "a") == "a"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("BadState", "not a MessagePack value"),
        ("BigState", "at most 4194304"),
        ("RaisingState", "ValueError: no state"),
    ],
)
async def test_a_state_that_cannot_be_taken_says_why(target: str, problem: str) -> None:
    stage = Stage()
    serial = await stage.start(target)
    stage.workers.freeze_gate(serial)
    stage.workers.take_state(serial, 1.0)
    taken = await stage.told(StateTaken, serial)
    assert problem in taken.problem
    assert not taken.stateful


async def test_a_worker_without_begin_handoff_has_no_state() -> None:
    stage = Stage()
    serial = await stage.start("Plain")
    stage.workers.take_state(serial, 1.0)
    assert stage.of(serial)[-1] == StateTaken(serial, b"", False)


async def test_a_losers_state_is_merged_between_messages() -> None:
    stage = Stage()
    serial = await stage.start("Echo")
    stage.workers.give_state(serial, "n2.1.5", pack(["theirs"]))
    assert await stage.told(StateGiven, serial) == StateGiven(serial, "n2.1.5")
    assert stage.at_once(serial, "casts") == ["theirs"]


async def test_a_failing_merge_says_why_and_ends_nothing() -> None:
    stage = Stage()
    serial = await stage.start("RaisingState")
    stage.workers.give_state(serial, "n2.1.5", pack(None))
    assert (await stage.told(StateGiven, serial)).problem == "ValueError: no merge"
    assert serial in stage.workers.running


# ----------------------------------------------------------------------------------------------------------------- end


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
async def test_a_stuck_handler_is_cancelled_after_the_grace(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "GRACE", 0.01)
    stage = Stage()
    serial = await stage.start("Stubborn")
    note = stage.send(serial, message)
    await stage.until(lambda: stage.workers.running[serial].handler_task is not None)
    task = stage.workers.running[serial].handler_task
    await asyncio.sleep(0)
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
