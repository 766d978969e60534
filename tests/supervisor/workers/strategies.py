"""Distribution strategies as users write them: good ones, and all kinds of bad ones."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from supervisor import Candidate

NOT_CALLABLE = 7


def fullest(name: str, candidates: Sequence[Candidate]) -> str | None:
    """The node with the most processes for its capacity, of those that have room for more than ten."""
    fit = [candidate for candidate in candidates if candidate.labels.get("room") != "none"]
    return max(fit, key=lambda c: (c.processes / c.capacity, c.node)).node if fit else None


def first_letter(name: str, candidates: Sequence[Candidate]) -> str:
    """Always the same node for names that begin alike."""
    return candidates[ord(name[0]) % len(candidates)].node


def elsewhere(name: str, candidates: Sequence[Candidate]) -> str:
    """A node that was not offered."""
    return "n99"


def raises(name: str, candidates: Sequence[Candidate]) -> str:
    """An error of its own."""
    raise LookupError(f"no idea where {name} belongs")


def returns_nonsense(name: str, candidates: Sequence[Candidate]) -> Any:
    """The candidate instead of its name."""
    return candidates[0]


def sleeps(name: str, candidates: Sequence[Candidate]) -> str:
    """Longer than anybody waits; a name that begins with q is quick."""
    if not name.startswith("q"):
        time.sleep(60)
    return candidates[0].node


def leaves(name: str, candidates: Sequence[Candidate]) -> str:
    """Ends its whole process."""
    os._exit(3)


def exits(name: str, candidates: Sequence[Candidate]) -> str:
    """Ends it politely."""
    sys.exit("enough")


def takes_nothing() -> str:
    """Cannot be called as a strategy is."""
    return ""
