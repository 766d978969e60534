"""Distribution strategies of somebody's own, good and bad."""

from __future__ import annotations

import os

from supervisor import Candidate


def first(name: str, candidates: list[Candidate]) -> str:
    """The first node by name."""
    return min(candidate.node for candidate in candidates)


def leaves(name: str, candidates: list[Candidate]) -> str:
    """Ends the process that it runs in."""
    os._exit(1)


def raises(name: str, candidates: list[Candidate]) -> str:
    """An error of its own."""
    raise LookupError(f"no idea where {name} belongs")
