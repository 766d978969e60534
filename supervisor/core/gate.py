"""What lets a message through to a worker: run, park or bounce.

Law: a gate belongs to one incarnation of a process and only moves forward through this table; a parked message is let
through, bounced or refused exactly once and in order. The hot path calls it directly, so it holds no lock and does no
I/O: all of its callers live on one loop.

    shut  --open-->  open  --freeze-->  frozen  --open-->  open
    shut, open, frozen  --bounce-->  bounced      (final)
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

SHUT = "shut"  #: not open yet: the worker is starting; messages are parked
OPEN = "open"
FROZEN = "frozen"  #: the state is being taken; messages are parked
BOUNCED = "bounced"  #: gone, perhaps elsewhere: messages go back to their senders

Item = TypeVar("Item")

TABLE: dict[tuple[str, str], str] = {
    (SHUT, "open"): OPEN,
    (SHUT, "freeze"): FROZEN,
    (OPEN, "freeze"): FROZEN,
    (FROZEN, "open"): OPEN,
    (SHUT, "bounce"): BOUNCED,
    (OPEN, "bounce"): BOUNCED,
    (FROZEN, "bounce"): BOUNCED,
}


class IllegalStep(Exception):
    """The gate has no such transition; nothing was changed."""


class Gate(Generic[Item]):
    """The gate of one incarnation. `Item` is whatever the shell parks: a message with its way back."""

    __slots__ = ("moved_to", "parked", "state")

    def __init__(self) -> None:
        self.state = SHUT
        self.parked: deque[Item] = deque()
        self.moved_to = ""  #: pid that bounced messages should try; empty: nobody

    def _step(self, verb: str) -> None:
        after = TABLE.get((self.state, verb))
        if after is None:
            raise IllegalStep(f"a gate that is {self.state} cannot {verb}")
        self.state = after

    @property
    def is_open(self) -> bool:
        """Whether a message may run now."""
        return self.state == OPEN

    def park(self, item: Item) -> bool:
        """Keep a message for later; False when the gate does not park (open: run it; bounced: send it back)."""
        if self.state == OPEN or self.state == BOUNCED:
            return False
        self.parked.append(item)
        return True

    def open(self) -> list[Item]:
        """Open; returns what was parked, to be run in this order before anything newer."""
        self._step("open")
        return self._release()

    def freeze(self) -> None:
        """Park from now on."""
        self._step("freeze")

    def bounce(self, moved_to: str) -> list[Item]:
        """Shut for good; returns what was parked, to be sent back in this order."""
        self._step("bounce")
        self.moved_to = moved_to
        return self._release()

    def _release(self) -> list[Item]:
        items = list(self.parked)
        self.parked.clear()
        return items
