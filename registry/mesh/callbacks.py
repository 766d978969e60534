"""The one queue through which a mesh calls its owner.

Law: callbacks run in the order they were queued, never two at once, and what one raises is logged and stops nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

log = logging.getLogger("registry.mesh")


class Callbacks:
    """First in, first out. `soon` runs a function in a later turn of the loop."""

    __slots__ = ("_busy", "_queue", "_soon")

    def __init__(self, soon: Callable[[Callable[[], None]], None]) -> None:
        self._soon = soon
        self._queue: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._busy = False

    def call(self, callback: Callable[..., None], *args: Any) -> None:
        """Queue a callback; whoever queues it so is called by the loop, and drains before he returns."""
        self._queue.append((callback, args))

    def post(self, callback: Callable[..., None], *args: Any) -> None:
        """Queue a callback for a later turn: the owner is in the middle of a call of his own."""
        self._queue.append((callback, args))
        self._soon(self.drain)

    def drain(self) -> None:
        """Make the calls that are queued, and those that these lead to."""
        if self._busy or not self._queue:
            return
        self._busy = True
        try:
            while self._queue:
                callback, args = self._queue.popleft()
                self._make(callback, args)
        finally:
            self._busy = False

    def _make(self, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        try:
            callback(*args)
        except Exception:
            log.exception("the owner of the mesh failed in %s", getattr(callback, "__name__", callback))
