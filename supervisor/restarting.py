"""A rolling restart: every process of a sworm begins anew, a few at a time.

Law: a process counts once a newer incarnation of it runs. State is not carried over: who needs that hands off. A
further name restarts with its process and has no turn of its own.
"""

from __future__ import annotations

from typing import Any

from registry.models import Process, Sworm
from supervisor import operations
from supervisor.core.operation import RESTART, Rules
from supervisor.models import Operation
from supervisor.operations import Move

KIND = "restart"
#: Restarts under way at once, unless it is told otherwise: the others serve meanwhile.
WIDTH = 1


def moves(row: Sworm) -> list[dict[str, Any]]:
    """What a restart would touch, as a dry run shows it: each stays where it is."""
    return [
        {"sworm": row.name, "name": name, "from": node, "to": node, "problem": None, "why": _why(row)}
        for name, node in _rows(row)
    ]


def begin(row: Sworm, width: int, per_minute: float, who: str, reason: str) -> Operation:
    """Restart whatever runs; a problem when that is under way already."""
    steps = [Move(row.name, name, node, node, _why(row)) for name, node in _rows(row)]
    rules = Rules(RESTART, width, per_minute)
    params = {"max_at_once": width, "max_per_minute": per_minute or None}
    only = f"{row.name} is being restarted already"
    return operations.begin(KIND, steps, rules, who, reason, params=params, only=only, sworm=row.name)


def _rows(row: Sworm) -> list[tuple[str, str]]:
    own = Process.own().filter(sworm=row.name)
    return list(own.order_by("name").values_list("name", "node"))


def _why(row: Sworm) -> str:
    return f"every process of {row.name} begins anew, with revision {row.revision} of its definition"
