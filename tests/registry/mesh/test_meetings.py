"""`Meetings`: what does not stand yet ends in time, once, and without a flood of words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from registry.core.ids import Origin
from registry.mesh.callbacks import Callbacks
from registry.mesh.handshake import Acceptor
from registry.mesh.link import MEETING, OVER, Dial, Link
from registry.mesh.meetings import Meetings
from registry.mesh.protocol import CLOCK_SKEW, DUPLICATE, LOST, TIMEOUT, Hello, Identity, Options, Traffic
from registry.mesh.roster import Roster
from tests.registry.mesh.owners import KEY, Owner

URL = "ws://127.0.0.1:1"
DIAL: Dial = (URL, "n2.1")


class Timer:
    """Something to be called later, and whether it was called off."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Table:
    """A mesh with no wires whose time is a number, and its meetings."""

    def __init__(self, **options: Any) -> None:
        self.options = Options(**options)
        self.traffic = Traffic()
        self.identity = Identity("n1.1", url="ws://here")
        self.now = 0.0
        self.timers: list[Timer] = []
        self.standing: set[Origin] = set()
        self.owner = Owner()
        self.roster = Roster("n1.1", lambda: 1)
        self.calls = Callbacks(lambda function: function())
        self.meetings = Meetings(self, KEY, self.owner, self.calls, self.roster)

    def stands(self, origin: Origin) -> bool:
        return origin in self.standing

    def time(self) -> float:
        return self.now

    def later(self, delay: float, function: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        timer = Timer(lambda: function(*args))
        self.timers.append(timer)
        return timer  # type: ignore[return-value]

    def link(self, asked: Dial | None = None) -> Link:
        return Link(self, asked)  # type: ignore[arg-type]

    def dial(self, asked: Dial = DIAL) -> Link:
        link = self.link(asked)
        assert self.meetings.dial(link, asked)
        return link

    def stranger(self, peer: Origin | None = None) -> Link:
        link = self.link()
        assert self.meetings.admit(link)
        if peer is not None:
            assert isinstance(link.handshake, Acceptor)
            link.handshake.peer = Hello(1, peer, "agent", "control", 1, "")
        return link


def test_a_dial_that_nobody_answers_fails_at_the_time_out_and_once() -> None:
    table = Table(handshake_timeout=3.0)
    link = table.dial()
    (timer,) = table.timers
    timer.call()
    timer.call()
    assert link.stage is OVER
    assert table.owner.told == [("failed", URL, "n2.1", False, f"{TIMEOUT}: no link within 3 s", None)]
    assert not table.meetings


def test_the_same_dial_is_made_once_until_it_is_over() -> None:
    table = Table()
    link = table.dial()
    assert not table.meetings.dial(table.link(DIAL), DIAL)
    table.meetings.give_up(link, f"{LOST}: gone", refused=True)
    assert table.owner.of("failed") == [(URL, "n2.1", True, f"{LOST}: gone", None)]
    table.dial()


def test_more_strangers_than_allowed_are_not_met() -> None:
    table = Table(max_strangers=2)
    first = table.stranger()
    table.stranger()
    assert not table.meetings.admit(table.link())
    table.meetings.give_up(first, f"{LOST}: gone")
    table.stranger()


def test_a_dial_that_lost_against_the_peers_own_waits_for_that_and_fails_only_with_it() -> None:
    table = Table()
    link = table.dial()
    table.meetings.give_up(link, f"{DUPLICATE}: the peer's dial came first")
    assert table.owner.told == []
    table.timers[-1].call()
    assert [what[:2] for what in table.owner.of("failed")] == [(URL, "n2.1")]

    table = Table()
    table.meetings.give_up(table.dial(), f"{DUPLICATE}: the peer's dial came first")
    table.standing.add("n2.1")
    table.meetings.stood(table.link(), "n2.1")
    table.timers[-1].call()
    assert table.owner.told == []


def test_a_dial_that_meets_somebody_else_fails_by_name() -> None:
    table = Table()
    link = table.dial()
    table.meetings.part(link)
    table.meetings.stood(link, "n3.7")
    table.calls.drain()
    ((url, origin, refused, reason, _),) = table.owner.of("failed")
    assert (url, origin, refused) == (URL, "n2.1", True)
    assert f"n3.7 answered at {URL}, not n2.1" in reason


def test_who_only_looks_whether_the_port_is_open_is_not_worth_a_word() -> None:
    table = Table()
    table.meetings.give_up(table.stranger(), f"{LOST}: the connection ended without a word")
    table.meetings.give_up(table.stranger("n2.1"), f"{DUPLICATE}: another link came first")
    assert table.owner.told == []
    assert table.traffic.refused == 0


def test_strangers_get_one_word_a_second_with_the_count_of_the_rest() -> None:
    table = Table()
    for _ in range(5):
        table.meetings.give_up(table.stranger(), f"{TIMEOUT}: no link")
    table.now = 1.5
    table.meetings.give_up(table.stranger("n2.1"), f"{TIMEOUT}: no link")
    assert table.owner.of("refused") == [
        (None, f"{TIMEOUT}: no link"),
        ("n2.1", f"{TIMEOUT}: no link (4 more since the last word about this)"),
    ]
    assert table.traffic.refused == 6


def test_who_is_kept_out_is_told_why_in_its_own_log_and_not_all_the_time(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    for now in (0.0, 2.0, 40.0):
        table.now = now
        table.meetings.give_up(table.dial(), f"{CLOCK_SKEW}: the clock of n1.1 is 60.0 s ahead of that of n2.1")
        table.meetings.give_up(table.dial(("ws://nobody", None)), f"{LOST}: gone")
    assert caplog.messages == [f"no link with {URL}: clock_skew: the clock of n1.1 is 60.0 s ahead of that of n2.1"] * 2


def test_closing_ends_each_meeting_and_each_dial_and_lets_none_begin() -> None:
    table = Table()
    dialled, stranger = table.dial(), table.stranger()
    table.meetings.close("farewell", "closed")
    table.calls.drain()
    assert table.owner.told == [("failed", URL, "n2.1", False, "closed", None)]
    assert [dialled.stage, stranger.stage] == [OVER, OVER]
    assert all(timer.cancelled for timer in table.timers)
    assert not table.meetings.dial(table.link(DIAL), DIAL)
    assert not table.meetings.admit(table.link())


@pytest.mark.parametrize("again", [False, True])
def test_a_link_that_is_over_is_given_up_without_a_word(again: bool) -> None:
    table = Table()
    link = table.dial()
    assert link.stage is MEETING
    table.meetings.leave(link, "")
    if again:
        table.meetings.give_up(link, f"{LOST}: gone")
    assert table.owner.told == []
