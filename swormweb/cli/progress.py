"""How far long work is, told while it goes on.

Law: a terminal gets one line that is drawn again, with a bar, a rate and how long it will take; anything else gets a
plain line for each change. No figure is told before it can be known.
"""

from __future__ import annotations

import sys
import time
from typing import Any

#: Cells of the bar.
WIDTH = 24

#: Seconds of work before a rate is told.
FIRST_RATE = 1.0


class Progress:
    """The progress of one operation on stderr."""

    def __init__(self) -> None:
        self._is_drawn = sys.stderr.isatty()
        self._began = time.monotonic()
        self._at_first: int | None = None
        self._shown = ""

    def show(self, told: dict[str, Any]) -> None:
        """Tell how far it is."""
        done, total = told["progress"]["done"], told["progress"]["total"]
        if self._at_first is None:
            self._at_first = done
        line = f"{told['kind']} {told['target']}: {done} of {total}"
        if told.get("cancelling"):
            line += ", cancelled: what is under way finishes"
        if self._is_drawn:
            line = f"[{bar(done, total)}] {line}{self._rate(done, total)}"
        if line != self._shown:
            self._write(line)
            self._shown = line

    def _write(self, line: str) -> None:
        sys.stderr.write(f"\r\x1b[Ksworm: {line}" if self._is_drawn else f"sworm: {line}\n")
        sys.stderr.flush()

    def _rate(self, done: int, total: int) -> str:
        seconds = time.monotonic() - self._began
        more = done - (self._at_first or 0)
        if seconds < FIRST_RATE or more <= 0:
            return ""
        left = (total - done) * seconds / more
        return f" · {more / seconds:.1f} a second · {left:.0f} s left" if done < total else ""

    def end(self) -> None:
        """Leave the line, if one was drawn."""
        if self._is_drawn and self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def bar(done: int, total: int) -> str:
    """How much is done, as cells; only what is done whole is full."""
    full = WIDTH if total == 0 else WIDTH * min(done, total) // total
    return "#" * full + "." * (WIDTH - full)
