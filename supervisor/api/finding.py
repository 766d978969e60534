"""What a path names must exist: the 404s of sworms and processes.

Law: only reading, and only to refuse with the right word.
"""

from __future__ import annotations

from typing import Any

from registry.core.ids import BadName, check_name
from registry.models import Process
from registry.problems import Problem
from supervisor import definitions


def possible(name: str) -> None:
    """404 for a name that no process can have."""
    try:
        check_name(name)
    except BadName as error:
        raise Problem("unknown_process", f"no process can have this name: {error}") from None


def standing(sworm: str, name: str) -> dict[str, Any] | None:
    """What the audit says of a process before something is done to it; None when nothing is seen under the name."""
    seen = Process.objects.filter(sworm=sworm, name=name).values("pid", "node", "epoch", "state").first()
    return None if seen is None else {**seen}


def unknown(sworm: str, name: str) -> Problem:
    """404 for a name that nothing runs under."""
    return Problem("unknown_process", f"nothing is registered as {name!r} in {sworm}")


def known_or_running(sworm: str) -> None:
    """404 for a sworm that has neither definition nor processes."""
    if not definitions.live().filter(name=sworm).exists() and not Process.objects.filter(sworm=sworm).exists():
        raise Problem("unknown_sworm", f"no definition is named {sworm!r}")
