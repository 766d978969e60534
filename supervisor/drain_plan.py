"""What a drain of a node would do, read off the read model: where each process would go, and which cannot, and why.

Law: it changes nothing; the agents decide when it is done, by the same strategies over the nodes that are there then.
Where only an agent can know, one is asked, and where that fails `to` is empty and `why` says so.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from registry.core.ids import origin_of
from registry.models import Node, Process, Sworm
from supervisor import commands
from supervisor.core import constraints
from supervisor.fitness import constraints_of, hosts
from supervisor.foresight import Wish, foresee, loads


def moves(name: str) -> list[dict[str, Any]]:
    """What a drain of this node would move; a problem when there is no such node."""
    node = commands.node_named(name)
    mine = Process.own().filter(node=name, pid__startswith=origin_of(name, node.incarnation) + ".")
    load = loads()
    found: list[dict[str, Any]] = []
    for sworm, rows in groupby(mine.order_by("sworm", "name"), key=lambda process: process.sworm):
        leaving = list(rows)
        wishes, afresh = foresee(sworm, leaving, load), _afresh(sworm)
        nowhere = Wish(None, _nobody(sworm, name))
        found += [_move(process, wishes.get(process.name, nowhere), afresh) for process in leaving]
    return found


def _move(process: Process, wish: Wish, afresh: str) -> dict[str, Any]:
    why = "; ".join(filter(None, (afresh, wish.why)))
    return {
        "sworm": process.sworm, "name": process.name, "from": process.node, "to": wish.to, "problem": wish.problem,
        "why": why,
    }  # fmt: skip


def _nobody(sworm: str, leaving: str) -> str:
    """Why no other node takes a process."""
    others = Node.objects.filter(forgotten=False, status="alive", cordoned=False).exclude(name=leaving)
    if any(hosts(node, sworm) for node in others):
        return f"no other node that is up and hosts {sworm} meets {constraints.described(constraints_of(sworm))}"
    return f"no other node that is up and takes processes hosts {sworm}"


def _afresh(sworm: str) -> str:
    keeps = Sworm.objects.filter(name=sworm, deleted=False).values_list("handoff", flat=True).first()
    return f"it starts afresh there: {sworm} does not hand off" if keeps is False else ""
