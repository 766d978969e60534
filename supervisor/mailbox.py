"""Hands things over to one event loop, in the order in which they were put, without a thread switch for each.

Law: `put` is safe from any thread and never blocks; a batch costs one wake-up of the loop. Things are handled on the
loop's thread only, one after the other, never within another's handling: what is put meanwhile comes after.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

#: Things handled in one turn of the loop; the rest has to let timers and sockets have theirs first.
TURN = 256


class Mailbox(Generic[Item]):
    """The way to one loop. Made on that loop's thread, or bound to it later with `bind`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handle: Callable[[Item], None]) -> None:
        self._loop = loop
        self._handle = handle
        self._items: deque[Item] = deque()
        self._posted = False
        self._busy = False
        self._thread = threading.get_ident()

    def bind(self) -> None:
        """Say that the calling thread is the loop's."""
        self._thread = threading.get_ident()

    def put(self, item: Item) -> None:
        """Have an item handled, soon. After the loop has ended it vanishes."""
        self._items.append(item)
        if not self._posted:
            self._post()

    def drain(self) -> None:
        """On the loop's thread: handle now what is waiting. Elsewhere, or from within a handling, it does nothing."""
        if not self._items or self._busy or threading.get_ident() != self._thread:
            return
        self._busy = True
        try:
            for _ in range(TURN):
                if not self._items:
                    return
                self._handle_one(self._items.popleft())
        finally:
            self._busy = False
        if not self._posted:
            self._post()

    def __len__(self) -> int:
        return len(self._items)

    def _post(self) -> None:
        self._posted = True
        with suppress(RuntimeError):  # the loop is closed: nobody needs this any more
            if threading.get_ident() == self._thread:
                self._loop.call_soon(self._drain_posted)
            else:
                self._loop.call_soon_threadsafe(self._drain_posted)

    def _drain_posted(self) -> None:
        self._posted = False  # said first: what is put from here on posts again
        self.drain()

    def _handle_one(self, item: Item) -> None:
        try:
            self._handle(item)
        except Exception:
            logger.exception("handling %r failed", item)
