"""Keeps a busy loop awake for the blink of an eye after it has sent something that will be answered.

Law: only time is won or lost here. To wake a loop that sleeps in the kernel costs several times what a call to another
node takes else, so a loop that sends again and again looks for the answer once more, and once more, before it sleeps;
one that sends now and then never does. Whenever the answer comes later than that, it takes a row of sends anew, so that
what is spent in vain stays a small part of what the sends themselves cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: Seconds for which the loop stays awake after a send; an answer within one machine, or one rack, comes sooner.
STAY = 0.000_2

#: Seconds between two sends up to which the loop counts as busy.
OFTEN = 0.001

#: So many sends in a row, none further apart than that, make it busy.
STREAK = 8


class Linger:
    """The wakefulness of one loop. `sent` costs a clock's reading."""

    __slots__ = ("_clock", "_last", "_loop", "_staying", "_streak")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter) -> None:
        """Used on this loop only. `clock` gives seconds."""
        self._loop = loop
        self._clock = clock
        self._last = 0.0
        self._streak = 0
        self._staying = False

    def sent(self) -> None:
        """Something was sent just now, and an answer, or the next one to answer, is to be expected."""
        now = self._clock()
        self._streak = self._streak + 1 if now - self._last < OFTEN else 0
        self._last = now
        if self._streak >= STREAK and not self._staying:
            self._staying = True
            self._loop.call_soon(self._stay)

    def _stay(self) -> None:
        if self._clock() - self._last < STAY:
            self._loop.call_soon(self._stay)  # a turn with something to do does not sleep
        else:
            self._staying, self._streak = False, 0
