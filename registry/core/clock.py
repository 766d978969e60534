"""A hybrid logical clock: stamps that only grow and stay close to the time of day.

Law: a stamp is one integer, µs since 1970, larger than every stamp made or accepted before; a stamp from elsewhere that lies
further ahead than `max_skew` is never taken over. After Kulkarni and others, "Logical Physical Clocks" (2014), with the
logical part folded into the microseconds, so that it stays below 2**53 and fits any JSON reader.
"""

from __future__ import annotations


class Clock:
    """The clock of one node."""

    __slots__ = ("_last", "max_skew")

    def __init__(self, max_skew: float) -> None:
        self.max_skew = int(max_skew * 1_000_000)  #: µs
        self._last = 0

    def stamp(self, now: float, above: int = 0) -> int:
        """A new stamp, larger than all before and than `above`; `now` in seconds since 1970."""
        self._last = max(self._last + 1, int(now * 1_000_000), above + 1)
        return self._last

    def observe(self, stamp: int, now: float) -> bool:
        """Take over a stamp seen elsewhere; False, with nothing changed, when it lies too far ahead."""
        if stamp > int(now * 1_000_000) + self.max_skew:
            return False
        self._last = max(self._last, stamp)
        return True
