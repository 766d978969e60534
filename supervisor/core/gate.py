"""What lets a message through to a worker: run, park or bounce.

Law: a gate belongs to one incarnation of a process and only moves forward through this table; a parked message is let
through, bounced or refused exactly once and in order. The hot path calls it directly, so it holds no lock and does no
I/O: all of its callers live on one loop.

    shut  --open-->  open  --freeze-->  frozen  --open-->  open
    shut, open, frozen  --bounce-->  bounced      (final)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from registry.core.quorum import Lease

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
        after = TABLE.get((self.own, verb))
        if after is None:
            raise IllegalStep(f"a gate that is {self.own} cannot {verb}")
        self.set_own(after)

    @property
    def is_open(self) -> bool:
        """Whether a message may run now."""
        return self.state == OPEN

    def park(self, item: Item) -> bool:
        """Keep a message for later; False when the gate does not park (open: run it; bounced: send it back)."""
        if self.state in (OPEN, BOUNCED):
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

    def under(self, lease: Lease | None, clock: Callable[[], float]) -> Gate[Item]:
        """This gate, as one that looks at a lease before each message (None: at none); parked messages go along."""
        gate: Gate[Item] = LeasedGate(lease, clock) if lease is not None else Gate()
        gate.parked, gate.moved_to = self.parked, self.moved_to
        gate.set_own(self.own)
        return gate

    @property
    def own(self) -> str:
        """The state by the table, whatever a lease says."""
        return self.state

    def set_own(self, state: str) -> None:
        """Take over another gate's state."""
        self.state = state

    def _release(self) -> list[Item]:
        items = list(self.parked)
        self.parked.clear()
        return items


class LeasedGate(Gate[Item]):
    """A gate that reads as frozen, though open by the table, from the moment its lease has lapsed."""

    __slots__ = ("_clock", "_lease", "_own")

    def __init__(self, lease: Lease, clock: Callable[[], float]) -> None:
        self._lease = lease
        self._clock = clock  #: the clock that the lease counts by
        super().__init__()

    @property
    def state(self) -> str:
        """See `Gate`; asked before each message."""
        return FROZEN if self._own is OPEN and not self._lease.holds(self._clock()) else self._own

    @state.setter
    def state(self, state: str) -> None:
        self._own = state

    @property
    def own(self) -> str:
        """See `Gate.own`."""
        return self._own

    def set_own(self, state: str) -> None:
        """See `Gate.set_own`."""
        self._own = state
