"""A hybrid logical clock: stamps that only grow and stay close to the time of day.

Law: a stamp is one integer, µs since 1970, larger than every stamp made or accepted before; a stamp from elsewhere that
lies further ahead than `max_skew` is never taken over. After Kulkarni and others, "Logical Physical Clocks" (2014),
with the logical part folded into the microseconds, so that it stays below 2**53 and fits any JSON reader.
"""

from __future__ import annotations


class Clock:
    """The clock of one node."""

    __slots__ = ("_last", "max_skew")

    def __init__(self, max_skew: float) -> None:
        self.max_skew = int(max_skew * 1_000_000)  #: µs
        self._last = 0

    def stamp(self, now: float, above: int = 0) -> int:
        """A new stamp, larger than all before and than `above`; `now` in seconds since 1970.

        An `above` beyond the skew is exceeded for once and moves nothing: the next stamp is near the time of day again.
        """
        stamp = max(self._last + 1, int(now * 1_000_000))
        if above < stamp or self.observe(above, now):
            stamp = self._last = max(stamp, above + 1)
            return stamp
        self._last = stamp
        return above + 1

    def observe(self, stamp: int, now: float) -> bool:
        """Take over a stamp seen elsewhere; False, with nothing changed, when it lies too far ahead."""
        if stamp > int(now * 1_000_000) + self.max_skew:
            return False
        self._last = max(self._last, stamp)
        return True
