"""Ctrl-C and SIGTERM while a launcher works: raised where it can be acted on, once.

Law: nothing that was begun may go unrecorded, or nobody could end it: what begins a process and what records it belong
together (`undisturbed`), and an interruption that comes between waits until both are done.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from swormweb.launch.errors import Interrupted

#: Interruptions that came while nothing may be disturbed, and how many hold them back.
_waiting: list[int] = []
_depth = 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _depth:
        _waiting.append(number)
    else:
        _raise(number)


def _raise(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is being ended now is ended once
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted(f"stopped by {signal.Signals(number).name}")


def catch() -> None:
    """Have both signals raise `Interrupted` from now on: the first of them, once."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold an interruption back until the end of the block, unless that raises something itself."""
    global _depth  # noqa: PLW0603 - signals belong to the process
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    if _waiting and not _depth:
        _raise(_waiting.pop(0))
