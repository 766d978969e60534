"""Ends the operations whose effects have come to be seen, whether or not anybody looks at them.

Law: settling is compare-and-set on rows, so that any number of observers and web processes may do it at once. A
database that is away is asked again at the next turn.
"""

from __future__ import annotations

import logging
import threading

from django.db import Error, connection

from supervisor.operations import settle_open

logger = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY = 1.0


class Settling:
    """A thread of the observer's process."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="settling", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End with the turn under way."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            try:
                settle_open()
            except Error:
                logger.debug("open operations are looked at again at the next turn", exc_info=True)
                connection.close()
        connection.close()
