"""A hybrid logical clock: stamps that only grow and stay close to the time of day.

Law: a stamp is one integer, µs since 1970, larger than every stamp made or accepted before; a stamp from elsewhere that
lies further ahead than `max_skew` is never taken over. After Kulkarni and others, "Logical Physical Clocks" (2014),
with the logical part folded into the microseconds, so that it stays below 2**53 and fits any JSON reader.
"""

from __future__ import annotations

from hashlib import blake2b

#: Epochs of different origins differ in their remainder by this number: two sides of a split never give out one epoch,
#: nor does a node whose clock was set back when it started again.
SLOTS = 4_096


class Clock:
    """The clock of one origin."""

    __slots__ = ("_last", "_slot", "max_skew")

    def __init__(self, max_skew: float, origin: str = "") -> None:
        self._slot = int.from_bytes(blake2b(origin.encode(), digest_size=2).digest(), "big") % SLOTS
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

    def epoch(self, now: float, above: int) -> int:
        """A fencing token for one name: larger than `above` and close to the time of day.

        Being of this origin's slot, it differs from what one on the other side of a split gives out, unless they share
        a slot (1 pair in 4096; then the origin decides). It is no stamp: two names may have equal ones.
        """
        least = max(self._last, int(now * 1_000_000), above + 1)
        return least + (self._slot - least) % SLOTS

    def observe(self, stamp: int, now: float) -> bool:
        """Take over a stamp seen elsewhere; False, with nothing changed, when it lies too far ahead."""
        if stamp > int(now * 1_000_000) + self.max_skew:
            return False
        self._last = max(self._last, stamp)
        return True
