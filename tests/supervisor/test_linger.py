"""A busy loop stays awake for a moment after a send; an idle one sleeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from supervisor.linger import OFTEN, STAY, STREAK, Linger


class Loop:
    """Only what is asked for here: functions to call in a later turn."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], None]] = deque()

    def call_soon(self, function: Callable[[], None]) -> None:
        self.soon.append(function)

    def turn(self) -> None:
        for _ in range(len(self.soon)):
            self.soon.popleft()()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def busy() -> tuple[Loop, Clock, Linger]:
    loop, clock = Loop(), Clock()
    linger = Linger(loop, clock)  # type: ignore[arg-type]
    for _ in range(STREAK + 1):
        linger.sent()
        clock.now += OFTEN / 4
    return loop, clock, linger


def test_a_loop_that_sends_now_and_then_sleeps_at_once() -> None:
    loop, clock = Loop(), Clock()
    linger = Linger(loop, clock)  # type: ignore[arg-type]
    for _ in range(10 * STREAK):
        linger.sent()
        clock.now += 2 * OFTEN
    assert not loop.soon


def test_one_that_sends_often_stays_awake_for_a_moment_and_no_longer() -> None:
    loop, clock, linger = busy()
    linger.sent()
    clock.now += STAY / 2
    loop.turn()
    assert len(loop.soon) == 1
    clock.now += STAY
    loop.turn()
    assert not loop.soon


def test_each_send_begins_the_moment_anew_with_one_watch() -> None:
    loop, clock, linger = busy()
    for _ in range(5):
        linger.sent()
        clock.now += STAY / 2
        loop.turn()
        assert len(loop.soon) == 1


def test_staying_in_vain_takes_a_streak_again() -> None:
    loop, clock, linger = busy()
    clock.now += OFTEN / 2
    loop.turn()
    for _ in range(STREAK - 1):
        linger.sent()
        clock.now += OFTEN / 2
    assert not loop.soon
    linger.sent()
    assert loop.soon


def test_after_a_pause_it_takes_a_streak_again() -> None:
    loop, clock, linger = busy()
    clock.now += 1.0
    loop.turn()
    linger.sent()
    assert not loop.soon
