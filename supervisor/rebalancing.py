"""Rebalancing a sworm: the plan, with a reason for each move, and the operation that carries it out at leisure.

Law: `supervisor.core.rebalance` plans, from the read model; nothing is moved that the plan does not name, and a process
that went elsewhere by itself meanwhile stays there. Where a strategy draws by a claim, or is a user's own code, an
agent is asked where it wants each (`supervisor.foresight`); without an answer there is no plan.
"""

from __future__ import annotations

import time
from typing import Any

from registry.models import Process, Sworm
from supervisor import foresight, operations
from supervisor.core import rebalance
from supervisor.core.operation import Rules
from supervisor.core.rebalance import Limits, Placed
from supervisor.fitness import TOLD, candidate, fit
from supervisor.models import Operation
from supervisor.operations import Move

KIND = "rebalance"
#: Moves under way at once: a rebalance is never urgent.
WIDTH = 2


def plan(row: Sworm, limits: Limits) -> list[rebalance.Move]:
    """The moves that bring a sworm to where its strategy wants it; one without a target is wanted nowhere.

    Raises a problem when the strategy cannot be asked: part of a plan is none.
    """
    now = time.time()
    own = Process.own().filter(sworm=row.name, state="running")
    placed = [Placed(row.name, *values, values[2] / 1e6) for values in own.values_list("name", "node", "epoch")]
    candidates = [candidate(node) for node in fit(row.name)]
    if row.distribution_strategy in TOLD or not candidates:
        return rebalance.plan(placed, candidates, row.distribution_strategy, limits, now)
    movable = [process for process in placed if now - process.since >= limits.dwell]
    told = foresight.wanted(row, [process.name for process in movable])
    moves = rebalance.plan(movable, candidates, lambda name, _: told[name], limits, now)
    nowhere = [rebalance.Move(*process[:3], "", "") for process in movable
               if not told[process.name]]  # fmt: skip
    return [*moves, *nowhere]


def items(row: Sworm, planned: list[rebalance.Move]) -> list[dict[str, Any]]:
    """A plan as a dry run shows it."""
    problem = f"{row.distribution_strategy} wants it nowhere, so it stays"
    return [
        {"sworm": m.sworm, "name": m.name, "from": m.source, "to": m.target or None,
         "problem": None if m.target else problem, "why": m.why if m.target else ""}
        for m in planned
    ]  # fmt: skip


def begin(
    row: Sworm, planned: list[rebalance.Move], per_minute: float, who: str, reason: str, params: dict[str, Any]
) -> Operation:
    """Carry a plan out; a problem when the sworm is being rebalanced already."""
    moves = [Move(move.sworm, move.name, move.source, move.target, move.why) for move in planned if move.target]
    rules = Rules(width=WIDTH, per_minute=per_minute, planned=True)
    only = f"{row.name} is being rebalanced already"
    return operations.begin(KIND, moves, rules, who, reason, params=params, only=only, sworm=row.name)
