"""How a thread behaves while the broker is away: wait longer each time, and say so once.

Law: nothing here touches the broker. A `Backoff` belongs to one thread; an `Outage` may be shared by all threads that
use one broker, so that a broker that goes away costs one line in the log and one more when it is back.
"""

from __future__ import annotations

import logging
import random
import threading
import time

#: First and longest pause between two attempts, in seconds. The longest is what an operator waits for after the
#: broker came back; the first spares a broker that only restarts.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Backoff:
    """Pauses that double from `first` to `longest` seconds, each shortened by up to half so that threads spread out."""

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        self._first = first
        self._longest = longest
        self._pause = first

    def next(self) -> float:
        """The pause to make now, in seconds."""
        pause, self._pause = self._pause, min(self._pause * 2, self._longest)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """An attempt came through: begin again with the shortest pause."""
        self._pause = self._first


class Outage:
    """Whether something is away, since when, and one log line at each change. Safe from any thread."""

    def __init__(self, what: str, logger: logging.Logger) -> None:
        self._what = what
        self._logger = logger
        self._lock = threading.Lock()
        self._since: float | None = None
        self.count = 0  #: outages begun so far

    @property
    def away(self) -> bool:
        """Whether the last attempt failed."""
        return self._since is not None

    def failed(self, error: BaseException) -> None:
        """An attempt failed; the first of an outage is logged."""
        with self._lock:
            if self._since is not None:
                return
            self._since = time.monotonic()
            self.count += 1
        self._logger.warning("%s is away, trying again until it is back: %s", self._what, error)

    def recovered(self) -> None:
        """An attempt came through; the first after an outage is logged."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            self._logger.warning("%s is back after %.1f s", self._what, time.monotonic() - since)
