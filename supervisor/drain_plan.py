"""What a drain of a node would do, read off the read model: where each process would go, and which cannot, and why.

Law: it changes nothing and asks nobody; the agents decide when it is done, by the same strategies over the nodes that
are there then. Where only an agent can know, `to` is empty and `why` says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from registry.core.ids import origin_of
from registry.models import Node, Process, Sworm
from supervisor import commands
from supervisor.core import constraints
from supervisor.core.strategies import UNIFORM, Candidate, wish
from supervisor.fitness import TOLD, candidate, constraints_of, hosts


@dataclass
class _Takers:
    """The other nodes as one sworm's processes see them."""

    strategy: str
    fit: list[str]
    problem: str | None
    why: str


def moves(name: str) -> list[dict[str, Any]]:
    """What a drain of this node would move; a problem when there is no such node."""
    node = commands.node_named(name)
    others = list(Node.objects.filter(forgotten=False, status="alive", cordoned=False).exclude(name=name))
    mine = Process.own().filter(node=name, pid__startswith=origin_of(name, node.incarnation) + ".")
    rows = mine.order_by("sworm", "name").values_list("sworm", "name")
    takers = {sworm: _takers(sworm, others) for sworm in {sworm for sworm, _ in rows}}
    load = {other.name: candidate(other) for other in others}
    return [_move(sworm, process, name, takers[sworm], load) for sworm, process in rows]


def _move(sworm: str, process: str, node: str, takers: _Takers, load: dict[str, Candidate]) -> dict[str, Any]:
    to = None
    if takers.fit and takers.strategy in TOLD:
        to = wish(takers.strategy, process, "", [load[fit] for fit in takers.fit])
        load[to] = load[to]._replace(processes=load[to].processes + 1)
    return {"sworm": sworm, "name": process, "from": node, "to": to, "problem": takers.problem, "why": takers.why}


def _takers(sworm: str, others: Iterable[Node]) -> _Takers:
    row = Sworm.objects.filter(name=sworm, deleted=False).first()
    hosting = [node for node in others if hosts(node, sworm)]
    demands = constraints_of(sworm)
    fit = sorted(node.name for node in hosting if constraints.eligible(demands, node.labels))
    strategy = row.distribution_strategy if row is not None else UNIFORM
    return _Takers(strategy, fit, _problem(sworm, hosting, fit, demands), _why(row, strategy))


def _problem(sworm: str, hosting: list[Node], fit: list[str], demands: constraints.Constraints) -> str | None:
    if fit:
        return None
    if hosting:
        return f"no other node that is up and hosts {sworm} meets {constraints.described(demands)}"
    return f"no other node that is up and takes processes hosts {sworm}"


def _why(row: Sworm | None, strategy: str) -> str:
    sentences = []
    if row is not None and not row.handoff:
        sentences.append(f"it starts afresh there: {row.name} does not hand off")
    if strategy not in TOLD:
        sentences.append(f"{strategy} chooses its node, which only the agents can tell")
    return "; ".join(sentences)
