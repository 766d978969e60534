"""The time of day for a node: near the wall clock, never back, never by leaps.

Law: it advances by at least nine and at most eleven tenths of real time, whatever anybody does to the wall clock, so
that no timer of a core stands still or fires early by more than that. It moves towards the wall clock at that rate, as
`adjtime` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: By which part of real time it may be fast or slow to catch up with the wall clock.
RATE = 0.1


def since_boot() -> float:
    """Seconds that passed since the machine started, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """Call it for seconds since 1970. `wall` and `steady` are given in tests and in the simulator."""

    __slots__ = ("_offset", "_read_at", "_steady", "_wall")

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = since_boot) -> None:
        self._wall, self._steady = wall, steady
        self._read_at = steady()
        self._offset = wall() - self._read_at

    def __call__(self) -> float:
        """Seconds since 1970; larger than the last time, if real time has passed."""
        now = self._steady()
        room = RATE * (now - self._read_at)
        self._read_at = now
        self._offset += max(-room, min(room, self._wall() - now - self._offset))
        return now + self._offset

    def peek(self) -> float:
        """The same for another thread: since the owner looked last, it goes on at the rate of real time."""
        return self._steady() + self._offset
