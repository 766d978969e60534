"""Where placement wants processes now: what previews and plans name as the target of whoever was asked for none.

Law: a preview promises nothing; the strategy is asked again when a turn comes. What the read model tells is computed
here (`TOLD`); where a strategy draws by a claim, or is a user's own code, an agent is asked. Whoever cannot be asked is
said to be so, never guessed at.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from registry.models import Node, Process, Sworm
from registry.problems import Problem
from supervisor import commands
from supervisor.core.strategies import UNIFORM, Candidate, heaviest, wish
from supervisor.fitness import TOLD, candidate, takers
from supervisor.foresight_command import MOST


class Wish(NamedTuple):
    """Where a process would go; None: nowhere, for `problem`, or unknown, as `why` says."""

    to: str | None
    problem: str | None = None
    why: str = ""


def loads() -> dict[str, Candidate]:
    """The nodes as strategies see them."""
    return {node.name: candidate(node) for node in Node.objects.filter(forgotten=False)}


def wanted(row: Sworm, names: Sequence[str], without: str = "") -> dict[str, str]:
    """What agents say: {name: node}, empty for none; `without`: the node that they leave. Raises a problem."""
    found: dict[str, str] = {}
    for start in range(0, len(names), MOST):
        some, nodes = names[start : start + MOST], commands.nodes_for(row.name)
        deadline = time.time() + commands.SHORT
        told = commands.ask(nodes, "foresee", row, deadline=deadline, sworm=row.name, names=list(some), without=without)
        found.update(zip(some, commands.certain(told), strict=True))
    return found


def foresee(sworm: str, leaving: Iterable[Process], load: dict[str, Candidate] | None = None) -> dict[str, Wish]:
    """{name: wish} of processes of one sworm that each leave their node. `load` is kept up to date."""
    row = Sworm.objects.filter(name=sworm, deleted=False).first()
    strategy = row.distribution_strategy if row is not None else UNIFORM
    fit, by_node = takers(sworm), defaultdict[str, list[str]](list)
    found: dict[str, Wish] = {}
    load = loads() if load is None else load
    for process in leaving:
        others = [load[node] for node in sorted(fit - {process.node})]
        if not others:
            continue
        if row is not None and strategy not in TOLD:
            by_node[process.node].append(process.name)
        else:
            to = wish(strategy, process.name, "", others)
            load[to] = load[to]._replace(processes=load[to].processes + 1)
            found[process.name] = Wish(to)
    for node, names in by_node.items():
        assert row is not None
        found.update(_asked(row, names, node, sorted(fit - {node})))
    return found


def _asked(row: Sworm, names: list[str], node: str, others: list[str]) -> dict[str, Wish]:
    strategy = row.distribution_strategy
    try:
        told = wanted(row, names, node)
    except Problem as problem:
        if problem.code != "strategy_failed":
            return dict.fromkeys(names, Wish(None, None, f"{strategy} chooses its node; it could not be asked"))
        # Whatever must go somewhere goes to the heaviest that may take it, as agents do it then.
        why = f"its strategy fails ({problem.detail}), so its name decides"
        return {name: Wish(heaviest(name, others), None, why) for name in names}
    nowhere = Wish(None, f"{strategy} wants none of {', '.join(others)} for it")
    return {name: Wish(told[name]) if told[name] else nowhere for name in names}
