"""A rolling restart: every process of a sworm, or some of them, begin anew, a few at a time.

Law: a process counts once a newer incarnation of it runs. State is not carried over: who needs that hands off. A
further name restarts with its process and has no turn of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from registry.models import Process, Sworm
from supervisor import operations
from supervisor.core.operation import RESTART, Rules
from supervisor.models import Operation
from supervisor.operations import Move

KIND = "restart"
#: Restarts under way at once, unless it is told otherwise: the others serve meanwhile.
WIDTH = 1


def moves(row: Sworm, processes: Iterable[Process], *, chosen: bool) -> list[Move]:
    """What a restart touches: each stays where it is. `chosen`: somebody named them, it is not the whole sworm."""
    what = "it was chosen; it begins anew" if chosen else f"every process of {row.name} begins anew"
    why = f"{what}, with revision {row.revision} of its definition"
    return [Move(row.name, process.name, process.node, process.node, why) for process in processes]


def items(planned: Iterable[Move]) -> list[dict[str, Any]]:
    """The same as a dry run shows it."""
    return [
        {"sworm": move.sworm, "name": move.name, "from": move.source, "to": move.to, "problem": None, "why": move.why}
        for move in planned
    ]


def begin(
    row: Sworm, planned: Sequence[Move], width: int, per_minute: float, who: str, reason: str, *, chosen: bool
) -> Operation:
    """Restart them; a problem when a restart of the sworm is under way already."""
    rules = Rules(RESTART, width, per_minute)
    params = {"max_at_once": width, "max_per_minute": per_minute or None, "named": len(planned) if chosen else None}
    only = f"{row.name} is being restarted already"
    return operations.begin(KIND, planned, rules, who, reason, params=params, only=only, sworm=row.name)
