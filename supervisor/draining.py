"""Emptying a node: the preview, and the operation.

Law: a drain has succeeded when its node left and nothing of that incarnation is registered any more; otherwise it
failed, and says what stayed behind. A node that came back under a new incarnation has nothing to do with it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from registry.core.ids import origin_of
from registry.models import Node, Process
from registry.problems import Problem
from supervisor import commands, operations
from supervisor.client import Asked
from supervisor.models import FAILED, SUCCEEDED, Operation
from supervisor.operations import Seen

KIND = "drain"
#: Seconds beyond the drain's own deadline until its node must have left.
PATIENCE = 20.0
#: Names that a failed drain lists.
LISTED = 100


def moves(name: str) -> list[dict[str, Any]]:
    """What a drain of this node would move."""
    node = commands.node_named(name)
    others = Node.objects.filter(forgotten=False, status="alive", cordoned=False).exclude(name=name)
    hosted = {sworm for sworms in others.values_list("sworms", flat=True) for sworm in sworms}
    rows = _of(name, node.incarnation).order_by("sworm", "name").values_list("sworm", "name")
    return [
        {
            "sworm": sworm,
            "name": process,
            "from": name,
            "to": None,
            "problem": None if hosted & {"*", sworm} else "no other node could take it",
        }
        for sworm, process in rows
    ]


def begin(name: str, deadline_s: float, requested_by: str, reason: str) -> Operation:
    """Ask a node to hand everything over and leave."""
    node = commands.node_named(name)
    if Operation.objects.filter(kind=KIND, node=name, state__in=("pending", "running")).exists():
        raise Problem("in_progress", f"{name} is being drained already")
    params = {
        "incarnation": node.incarnation,
        "deadline_s": deadline_s,
        "deadline": operations.deadline_in(deadline_s + PATIENCE),
    }
    operation = Operation(
        kind=KIND, node=name, params=params, total=_of(name, node.incarnation).count(),
        requested_by=requested_by, reason=reason,
    )  # fmt: skip
    return operations.start(operation, _send)


def _send(operation: Operation) -> None:
    asked = Asked(operation.node, operation.params["incarnation"])
    deadline = operations.deadline_in(commands.SHORT)
    seconds = operation.params["deadline_s"]
    answer = commands.ask([asked], "drain", None, deadline=deadline, deadline_s=seconds, leave=True)
    commands.certain(answer)


def judge(operation: Operation) -> Seen:
    """What the read model says of a drain."""
    incarnation = operation.params["incarnation"]
    node = Node.objects.filter(name=operation.node).first()
    remaining = _of(operation.node, incarnation)
    count = remaining.count()
    total = max(operation.total, count)
    gone = node is None or node.incarnation != incarnation or node.status == "left"
    if gone and count == 0:
        return Seen(total, total, SUCCEEDED, None, f"{operation.node} left without a process")
    if node is not None and node.incarnation == incarnation and node.status == "dead":
        names = [f"{sworm}/{name}" for sworm, name in remaining.values_list("sworm", "name")[:LISTED]]
        detail = f"{operation.node} died while it drained; {count} processes had not moved"
        return Seen(total - count, total, FAILED, {"code": "refused", "detail": detail, "left_behind": names}, detail)
    return Seen(total - count, total)


def _of(node: str, incarnation: int) -> QuerySet[Process]:
    return Process.objects.filter(node=node, pid__startswith=origin_of(node, incarnation) + ".")


operations.JUDGES[KIND] = judge
