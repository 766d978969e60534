"""Many deadlines, one timer.

Law: something is due at its time or a little later (a hundredth of a second to one second, by its length), never
before. Adding and discarding cost one dict access each, because nearly every call is answered long before it is due.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Expiring(Protocol):
    """What has a deadline. `due_slot` is ours."""

    due_slot: int

    def expire(self) -> None:
        """The deadline has passed. Must not raise."""
        ...


#: Milliseconds to which deadlines are rounded up: of time-outs up to one second, up to ten, and longer ones.
FINE = 10
MEDIUM = 50
COARSE = 1_000


class Deadlines:
    """The deadlines of one loop."""

    __slots__ = ("armed", "loop", "slots", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.slots: dict[int, set[Expiring]] = {}  #: milliseconds of the loop's clock -> what is due then
        self.armed = 0  #: the slot that the timer waits for
        self.timer: asyncio.TimerHandle | None = None

    def add(self, item: Expiring, timeout: float) -> None:
        """Call `item.expire()` after this many seconds, unless it is discarded."""
        grain = FINE if timeout <= 1.0 else MEDIUM if timeout <= 10.0 else COARSE
        slot = item.due_slot = (int((self.loop.time() + timeout) * 1_000) // grain + 1) * grain
        found = self.slots.get(slot)
        if found is not None:
            found.add(item)
            return
        self.slots[slot] = {item}
        if self.timer is None or slot < self.armed:
            self._arm(slot)

    def discard(self, item: Expiring) -> None:
        """Forget a deadline; harmless when it has passed."""
        found = self.slots.get(item.due_slot)
        if found is not None:
            found.discard(item)

    def _arm(self, slot: int) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.armed = slot
        self.timer = self.loop.call_at(slot / 1_000, self._fire)

    def _fire(self) -> None:
        self.timer = None
        now = int(self.loop.time() * 1_000)
        for slot in sorted(slot for slot in self.slots if slot <= now):
            for item in self.slots.pop(slot):
                item.expire()
        if self.slots:
            self._arm(min(slot for slot in self.slots))

    def close(self) -> None:
        """Forget everything."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.slots.clear()
