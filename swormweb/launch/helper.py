"""A program that imports what it needs while its turn has not come, does one thing when asked, and ends.

Law: it reads one JSON object from its input and answers on its output; what goes wrong is the last line of its log.
Asked nothing, it does nothing. It is started early, since imports are most of its time.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swormweb.launch.errors import PartFailed
from swormweb.launch.parts import ROOT


def last_line(text: str) -> str:
    """The last thing that a program said, which is mostly why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


class Helper:
    """One such program, as a context manager: it is gone at the end, asked or not."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        log.touch(mode=0o600)
        self._begins_at = log.stat().st_size
        pipe = subprocess.PIPE
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, env=dict(environ), cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors
            )

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.returncode is None:
            self._process.communicate()

    def ask(self, request: Any) -> str:
        """Have it do its one thing; returns what it answers. Raises `PartFailed` with the reason when it cannot."""
        answer, _ = self._process.communicate(json.dumps(request).encode())
        if self._process.returncode != 0:
            said = self._log.read_bytes()[self._begins_at :].decode(errors="replace")
            raise PartFailed(f"{self._log.stem} failed: {last_line(said)} ({self._log})")
        return answer.decode()
