"""`TaskExecutor`: a coroutine function with a mailbox."""

from __future__ import annotations

import gc

import pytest

from registry.core.quorum import Lease
from supervisor import current
from supervisor.core.events import StateGiven, StateTaken, WorkerExited, WorkerStarted
from supervisor.errors import NoReply, NotHandled, WorkerCrashed
from supervisor.workers.protocol import LATER
from supervisor.workers.values import pack, unpack
from tests.supervisor.workers.samples import Slow
from tests.supervisor.workers.stage import Stage

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def fresh() -> None:
    Slow.fresh()


async def test_it_receives_calls_and_casts_in_order() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    stage.cast(serial, "a")
    stage.cast(serial, "b")
    assert stage.workers.handle(serial, "all") is LATER
    assert await stage.call(serial, "all") == ["cats", "a", "b"]


async def test_it_knows_who_it_is() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    assert await stage.call(serial, "who") == ["chat", f"name{serial}", f"n1.1.{serial}", 10 + serial]


async def test_nobody_is_current_outside_a_worker() -> None:
    with pytest.raises(RuntimeError, match="outside a worker"):
        current()


async def test_wrong_arguments_are_a_failed_start() -> None:
    stage = Stage()
    assert "missing 1 required" in (await stage.failure("room")).detail


async def test_returning_is_a_normal_end() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    for ending in ("return", "exit"):
        serial = await stage.start("room", "cats")
        note, behind = stage.send(serial, ending), stage.send(serial, "all")
        assert await stage.told(WorkerExited, serial) == WorkerExited(serial, True)
        kind, error = await note.wait()
        assert kind == "fail"
        assert isinstance(error, NoReply)
        assert await behind.wait() == ("bounce", "")


async def test_raising_is_a_crash() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    with pytest.raises(WorkerCrashed, match="ValueError: room"):
        await stage.call(serial, "raise")
    exited = await stage.told(WorkerExited, serial)
    assert not exited.normal
    assert "Traceback" in exited.detail


async def test_a_refused_message_costs_nothing_else() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    with pytest.raises(NotHandled, match="not here"):
        await stage.call(serial, "no")
    assert await stage.call(serial, "all") == ["cats"]


async def test_stop_cancels_it() -> None:
    stage = Stage()
    serial = await stage.start("sleeper")
    note = stage.send(serial, 1)
    stage.workers.stop(serial, "shutdown")
    assert await stage.told(WorkerExited, serial) == WorkerExited(serial, True)
    assert note.end == ("bounce", "")


async def test_one_that_ignores_its_cancellation_is_left_behind() -> None:
    stage = Stage(grace=0.01)
    serial = await stage.start("deaf")
    await stage.until(lambda: "free" in Slow.gates)
    stage.workers.stop(serial, "shutdown")
    assert (await stage.told(WorkerExited, serial)).normal
    assert Slow.log == ["ignored", "ignored"]
    Slow.gate("free").set()


async def test_the_state_goes_from_one_to_the_next() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    stage.cast(serial, "a")
    assert await stage.call(serial, "all") == ["cats", "a"]
    stage.workers.freeze_gate(serial)
    stage.workers.take_state(serial, 10.0)
    taken = await stage.told(StateTaken, serial)
    assert (taken.stateful, unpack(taken.state)) == (True, ["a"])
    heir = await stage.start("room", "cats", state=["a"])
    assert await stage.call(heir, "all") == ["cats", "a"]


async def test_the_state_waits_for_the_message_in_hand_and_for_no_other() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    held, line, behind = stage.send(serial, "hold"), stage.cast(serial, "a"), stage.send(serial, "all")
    await stage.until(lambda: "hold" in Slow.gates)
    stage.workers.freeze_gate(serial)
    stage.workers.take_state(serial, 10.0)
    Slow.gate("hold").set()
    assert unpack((await stage.told(StateTaken, serial)).state) == []
    assert held.end == ("reply", "held")
    stage.workers.bounce_gate(serial, "n2.1.5")
    assert (line.end, behind.end) == (("bounce", "n2.1.5"), ("bounce", "n2.1.5"))


async def test_a_message_in_hand_for_too_long_gives_the_state_up_and_a_thaw_goes_on() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    held, behind = stage.send(serial, "hold"), stage.send(serial, "all")
    await stage.until(lambda: "hold" in Slow.gates)
    stage.workers.freeze_gate(serial)
    stage.workers.take_state(serial, 0.01)
    assert (await stage.told(StateTaken, serial)).problem == "no state within 0.01 s"
    stage.workers.open_gate(serial)
    Slow.gate("hold").set()
    assert await held.wait() == ("reply", "held")
    assert await behind.wait() == ("reply", ["cats"])


async def test_one_without_hooks_has_no_state_and_keeps_its_own() -> None:
    stage = Stage()
    serial = await stage.start("sleeper")
    stage.workers.take_state(serial, 1.0)
    stage.workers.give_state(serial, "n2.1.5", pack(1))
    assert stage.of(serial) == [
        WorkerStarted(serial), StateTaken(serial, b"", False), StateGiven(serial, "n2.1.5")
    ]  # fmt: skip


async def test_a_losers_state_is_merged() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    assert await stage.call(serial, "all") == ["cats"]
    stage.workers.give_state(serial, "n2.1.5", pack(["theirs"]))
    assert await stage.told(StateGiven, serial) == StateGiven(serial, "n2.1.5")
    assert await stage.call(serial, "all") == ["cats", "theirs"]


async def test_a_hook_that_only_its_own_task_holds_is_not_collected() -> None:
    stage = Stage()
    serial = await stage.start("forgetful")
    stage.workers.give_state(serial, "n2.1.5", pack(1))
    await stage.until(lambda: Slow.hook is not None)
    gc.collect()
    waits = Slow.hook()
    assert waits is not None
    waits.set_result(None)
    assert await stage.told(StateGiven, serial) == StateGiven(serial, "n2.1.5")


async def test_what_waits_when_the_lease_ends_is_not_begun() -> None:
    stage = Stage()
    serial = await stage.start("room", "cats")
    lease = Lease(stage.workers.clock() + 3600)
    stage.workers.lease_gate(serial, lease)
    held, behind = stage.send(serial, "hold"), stage.send(serial, "all")
    await stage.until(lambda: "hold" in Slow.gates)
    lease.end()
    Slow.gate("hold").set()
    assert await held.wait() == ("reply", "held")
    await stage.until(lambda: behind in stage.workers.running[serial].gate.parked)
    assert behind.end is None
