"""Moving processes: the plan that a dry run shows, and the operation that carries it out.

Law: the source's node decides; here a move is only planned, from the read model, and refused when it cannot be. What
may have changed until its turn comes is judged then, by `supervisor.core.operation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from registry.models import Node, Process
from registry.problems import Problem, refused
from supervisor import chosen, operations
from supervisor.core.operation import Rules
from supervisor.fitness import obstacle, takers
from supervisor.foresight import Wish, foresee
from supervisor.models import Operation
from supervisor.operations import Move

HANDOFF, MIGRATE = "handoff", "migrate"
#: Moves that an operation has under way at once, unless it is told otherwise.
WIDTH = 8


@dataclass(frozen=True)
class Plan:
    """One move: from where, to where (None: wherever placement wants it), and why it cannot be."""

    process: Process
    to: str | None
    problem: str | None
    why: str = ""

    def item(self, wish: Wish) -> dict[str, Any]:
        """The move as a dry run shows it; `wish`: where placement wants it, if nobody says where to."""
        why = "; ".join(filter(None, (self.why, wish.why)))
        return {
            "sworm": self.process.sworm,
            "name": self.process.name,
            "from": self.process.node,
            "to": self.to or wish.to,
            "problem": self.problem or wish.problem,
            **({"why": why} if why else {}),
        }

    def move(self) -> Move:
        """The move as an operation takes it."""
        return Move(self.process.sworm, self.process.name, self.process.node, self.to or "", self.why)


def items(sworm: str, plans: Iterable[Plan]) -> list[dict[str, Any]]:
    """Moves of one sworm as a dry run shows them."""
    told = list(plans)
    wishes = foresee(sworm, [plan.process for plan in told if plan.to is None and plan.problem is None])
    return [plan.item(wishes.get(plan.process.name, Wish(None))) for plan in told]


def plan_one(sworm: str, name: str, to: str | None) -> Plan:
    """Look at the move of one process; a problem when there is no such process."""
    process = Process.objects.filter(sworm=sworm, name=name).first()
    if process is None:
        raise Problem("unknown_process", f"nothing is registered as {name!r} in {sworm}")
    return Plan(process, to, _obstacle(process, to, takers(sworm)))


def begin_one(wanted: Plan, who: str, reason: str) -> Operation:
    """Move one process; 422 when that cannot be."""
    if wanted.problem is not None:
        raise refused("to", wanted.problem)
    process = wanted.process
    rules = Rules(width=1, strict=True)
    return operations.begin(
        HANDOFF, [wanted.move()], rules, who, reason, params={"to": wanted.to}, sworm=process.sworm, name=process.name
    )


def plan_many(sworm: str, source: str | None, to: str | None, names: Sequence[str] | None) -> list[Plan]:
    """Look at the moves of everything on a node, or of some names (of those on a node, if both are given).

    Problems: neither is given, a node or a name that does not exist, a node that takes nothing.
    """
    if to is not None and (problem := _unfit(sworm, to)):
        raise refused("to", problem)
    if to is not None and to == source:
        raise refused("to", f"is {source}, where they run already")
    if names is not None:
        found = chosen.named(sworm, names, source)
    elif source is not None:
        found = chosen.on_node(sworm, source)
    else:
        raise refused("from", "name a node to leave, or the processes by `names`, or both")
    why = f"it is to leave {source}" if source is not None else "it was chosen"
    fit = takers(sworm)
    return [Plan(process, to, _obstacle(process, to, fit), why) for process in found]


def begin_many(
    sworm: str, plans: Iterable[Plan], rules: Rules, who: str, reason: str, *, params: dict[str, Any], node: str = ""
) -> Operation:
    """Move them; what cannot be moved fails when its turn comes, unless it can by then."""
    moves = [plan.move() for plan in plans]
    return operations.begin(MIGRATE, moves, rules, who, reason, params=params, sworm=sworm, node=node)


def _obstacle(process: Process, to: str | None, fit: frozenset[str]) -> str | None:
    if to is None:
        return None if fit - {process.node} else "no other node could take it"
    if to == process.node:
        return f"it runs on {to} already"
    return None if to in fit else _unfit(process.sworm, to)


def _unfit(sworm: str, to: str) -> str | None:
    """Why a node takes no process of a sworm."""
    node = Node.objects.filter(name=to, forgotten=False).first() if "\x00" not in to else None
    if node is None:
        return f"no node is named {to!r}"
    return obstacle(sworm, node)
