"""The verbs on groups, from outside the cluster.

Law: as `supervisor.verbs`: one agent is asked; what changes the registry returns only once the read model shows it; a
message is sent at most once.
"""

from __future__ import annotations

import math
import time
from typing import Any

from registry.models import Sworm
from registry.problems import Problem
from supervisor import commands
from supervisor.verbs import SLACK, Effect, sayable


def set_member(row: Sworm, kind: str, group: str, name: str) -> Effect:
    """Put a process into a group (`join`), or take it out (`leave`). Raises `unknown_process`."""
    deadline = time.time() + commands.SHORT
    nodes = commands.host_first(row.name, name)
    answer = commands.ask(nodes, kind, row, deadline=deadline, sworm=row.name, group=group, name=name)
    return Effect(row, commands.certain(answer), deadline)


def publish(row: Sworm, group: str, message: Any) -> None:
    """Hand a message over for every member; returns once an agent has taken it."""
    deadline = time.time() + commands.SHORT
    nodes = commands.nodes_for(row.name)
    answer = commands.ask(nodes, "publish", row, deadline=deadline, sworm=row.name, group=group, message=message)
    commands.certain(answer)


def multi_call(row: Sworm, group: str, message: Any, timeout: float) -> list[dict[str, Any]]:
    """Every member's reply to a message, or the problem instead. `timeout` in seconds."""
    deadline = time.time() + timeout + SLACK
    asked = {"sworm": row.name, "group": group, "message": message, "timeout_ms": math.ceil(timeout * 1000)}
    nodes = commands.nodes_for(row.name)
    rows: list[list[Any]] = commands.certain(commands.ask(nodes, "multi_call", row, deadline=deadline, **asked))
    return [_reply(*row) for row in rows]


def _reply(name: str, reply: Any, error: list[str] | None) -> dict[str, Any]:
    if error is not None:
        return {"name": name, "problem": commands.refusal(*error).as_dict()}
    try:
        return {"name": name, "reply": sayable(reply)}
    except Problem as problem:
        return {"name": name, "problem": problem.as_dict()}
