"""Keeps a stranger from filling the log: one word a second for each kind of thing, with a count of what was passed
over.

Law: pure; time is an argument, and memory is bounded by the number of kinds, which strangers cannot choose.
"""

from __future__ import annotations

#: Seconds between two words about one kind of thing.
INTERVAL = 1.0


class Throttle:
    """Decides what is worth a word."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._next: dict[str, float] = {}
        self._passed: dict[str, int] = {}

    def pass_over(self, kind: str, now: float) -> int | None:
        """None: say nothing this time. Else speak, and say that so many were passed over since the last word."""
        if now < self._next.get(kind, now):
            self._passed[kind] = self._passed.get(kind, 0) + 1
            return None
        self._next[kind] = now + self._interval
        return self._passed.pop(kind, 0)
