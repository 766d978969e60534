"""`Arrivals`: what peers send to workers of this agent is handled, answered, or goes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from registry.core.ids import Origin, Pid
from supervisor.arrivals import Arrivals
from supervisor.deadlines import Deadlines
from supervisor.errors import BadValue, WorkerCrashed
from supervisor.lane import Bounced, Call, Cast, CastBounced, Failed, Mark, Marked, Replied
from supervisor.letters import Incoming, Own
from supervisor.workers.values import pack
from tests.supervisor.workers.samples import Slow
from tests.supervisor.workers.stage import Stage

pytestmark = pytest.mark.asyncio

PEER = "n2.1"
BROKEN = b"\xc1"  #: the one byte that begins no MessagePack value


class Desk:
    """A `Post` that keeps what is sent, over the workers of a stage."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.sent: list[Any] = []
        self.deadlines = Deadlines(asyncio.get_running_loop())
        self.arrivals = Arrivals(self, self.stage.workers, self.deadlines)

    def ended(self, letter: Own) -> None:
        raise AssertionError("no letter of this node's own is here")

    def bounced(self, letter: Own, pid: Pid) -> None:
        raise AssertionError("no letter of this node's own is here")

    def settled(self, letter: Incoming) -> None:
        self.deadlines.discard(letter)

    def send(self, origin: Origin, message: tuple[Any, ...]) -> bool:
        assert origin == PEER
        self.sent.append(message)
        return True

    def call(self, serial: int, message: Any, timeout_ms: int = 20_000) -> None:
        body = message if isinstance(message, bytes) else pack(message)
        self.arrivals.called(PEER, Call(1, "chat", "x", serial, timeout_ms, body))

    def cast(self, serial: int, message: Any) -> None:
        body = message if isinstance(message, bytes) else pack(message)
        self.arrivals.was_cast(PEER, Cast(2, "chat", "x", serial, body))


@pytest.fixture(autouse=True)
def fresh() -> None:
    Slow.fresh()


async def test_an_idle_worker_answers_in_the_frames_own_turn() -> None:
    desk = Desk()
    desk.call(await desk.stage.start("Echo"), {"a": [1]})
    assert desk.sent == [Replied(1, pack({"a": [1]}))]


async def test_a_busy_worker_answers_when_it_gets_there() -> None:
    desk = Desk()
    serial = await desk.stage.start("Slow")
    desk.call(serial, "k")
    await desk.stage.until(lambda: Slow.log == ["begin k"])
    assert desk.sent == []
    Slow.gate("k").set()
    await desk.stage.until(lambda: desk.sent == [Replied(1, pack("k"))])
    assert not any(desk.deadlines.slots.values())


async def test_a_call_whose_time_has_passed_never_begins_and_is_not_answered() -> None:
    desk = Desk()
    serial = await desk.stage.start("Slow")
    desk.call(serial, "first")
    desk.call(serial, "late", timeout_ms=1)
    await desk.stage.until(lambda: len([slot for slot in desk.deadlines.slots.values() if slot]) == 1)
    Slow.gate("first").set()
    await desk.stage.until(lambda: desk.sent == [Replied(1, pack("first"))])
    assert Slow.log == ["begin first", "end first"]


async def test_what_is_no_message_fails_and_reaches_no_worker() -> None:
    desk = Desk()
    serial = await desk.stage.start("Echo")
    desk.call(serial, BROKEN)
    (failed,) = desk.sent
    assert isinstance(failed, Failed)
    assert failed.code == BadValue.code
    assert "not MessagePack" in failed.detail
    desk.cast(serial, BROKEN)
    assert desk.sent == [failed]
    assert desk.stage.at_once(serial, "casts") == []


async def test_a_crash_is_told_to_the_peer() -> None:
    desk = Desk()
    desk.call(await desk.stage.start("Echo"), {"raise": "spilled"})
    (failed,) = desk.sent
    assert isinstance(failed, Failed)
    assert failed.code == WorkerCrashed.code
    assert "spilled" in failed.detail


async def test_what_finds_no_worker_goes_back_whole() -> None:
    desk = Desk()
    desk.call(99, 1)
    desk.cast(99, [2])
    assert desk.sent == [Bounced(1, ""), CastBounced("chat", "x", 99, "", pack([2]))]


async def test_a_mark_comes_back_behind_what_waits_at_a_closed_gate() -> None:
    desk = Desk()
    serial = await desk.stage.start("Echo")
    desk.stage.workers.freeze_gate(serial)
    desk.call(serial, "k")
    desk.arrivals.asked(PEER, Mark(9, serial))
    assert desk.sent == []
    desk.stage.workers.bounce_gate(serial, "n3.1.1")
    assert desk.sent == [Bounced(1, "n3.1.1"), Marked(9)]
