"""`states`: what one `Worker` hands over and takes over, between two messages."""

from __future__ import annotations

import pytest

from supervisor.core.events import StateGiven, StateTaken
from supervisor.workers.values import pack, unpack
from tests.supervisor.workers.samples import Slow
from tests.supervisor.workers.stage import Stage

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def fresh() -> None:
    Slow.fresh()


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
