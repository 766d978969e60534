"""Rebalancing a sworm: the plan, with a reason for each move, and the operation that carries it out at leisure.

Law: `supervisor.core.rebalance` plans, from the read model; nothing is moved that the plan does not name, and a process
that went elsewhere by itself meanwhile stays there. What only an agent can know is not guessed at here: where a
strategy draws by a claim, or is a user's own code, only what may not stay where it is moves, and the strategy says
where when its turn comes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from registry.models import Process, Sworm
from supervisor import operations
from supervisor.core import rebalance
from supervisor.core.operation import Rules
from supervisor.core.rebalance import Limits, Placed
from supervisor.core.strategies import Candidate
from supervisor.fitness import TOLD, candidate, fit
from supervisor.models import Operation
from supervisor.operations import Move

KIND = "rebalance"
#: Moves under way at once: a rebalance is never urgent.
WIDTH = 2


def plan(row: Sworm, limits: Limits) -> list[rebalance.Move]:
    """The moves that bring a sworm to where its strategy wants it; without a target: wherever that says then."""
    own = Process.own().filter(sworm=row.name, state="running")
    placed = [Placed(row.name, *values, values[2] / 1e6) for values in own.values_list("name", "node", "epoch")]
    candidates, now = [candidate(node) for node in fit(row.name)], time.time()
    if row.distribution_strategy in TOLD:
        return rebalance.plan(placed, candidates, row.distribution_strategy, limits, now)
    where, known = {one.name: one.node for one in placed}, {one.node for one in candidates}

    def stay(name: str, found: Sequence[Candidate]) -> str:
        return where[name] if where[name] in known else found[0].node

    return [move._replace(target="") for move in rebalance.plan(placed, candidates, stay, limits, now)]


def items(planned: list[rebalance.Move]) -> list[dict[str, Any]]:
    """A plan as a dry run shows it."""
    return [
        {"sworm": m.sworm, "name": m.name, "from": m.source, "to": m.target or None, "problem": None, "why": m.why}
        for m in planned
    ]


def begin(
    row: Sworm, planned: list[rebalance.Move], per_minute: float, who: str, reason: str, params: dict[str, Any]
) -> Operation:
    """Carry a plan out; a problem when the sworm is being rebalanced already."""
    moves = [Move(move.sworm, move.name, move.source, move.target, move.why) for move in planned]
    rules = Rules(width=WIDTH, per_minute=per_minute, planned=True)
    only = f"{row.name} is being rebalanced already"
    return operations.begin(KIND, moves, rules, who, reason, params=params, only=only, sworm=row.name)
