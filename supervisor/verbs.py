"""The verbs on one running process, from outside the cluster.

Law: each asks one agent (the process's host first, where that helps) and says what came of it; what changes the
registry returns only once the read model shows it. A call or a cast is asked at most once.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from registry import items
from registry.jsonable import has_bytes, jsonable
from registry.models import Sworm
from registry.observed import observer_writes, wait_observed
from registry.problems import Problem
from supervisor import commands, definitions

#: Seconds that a call's answer may be on its way beyond its own time-out, so that the agent's word comes first.
SLACK = 1.0


def whereis(sworm: str, name: str) -> dict[str, Any] | None:
    """What runs under a name, as an item: from the read model, or from an agent while no observer writes."""
    shown = items.process(sworm, name)
    if observer_writes():
        return shown
    return _asked_whereis(sworm, name)


@dataclass(frozen=True)
class Effect:
    """Something that agents have done; the read model may not show it yet."""

    row: Sworm
    result: Any
    deadline: float

    def wait(self) -> None:
        """Return once the read model shows it, or at the deadline."""
        if isinstance(self.result, dict) and self.result.get("origin"):
            origin, version = str(self.result["origin"]), int(self.result.get("version", 0))
            wait_observed(self.row.name, origin, version, self.deadline)


def unregister(row: Sworm, name: str) -> Effect:
    """Stop what runs under a name, and end the name."""
    deadline = time.time() + commands.STARTING
    nodes = commands.nodes_for(row.name)
    answer = commands.ask(nodes, "unregister", row, deadline=deadline, sworm=row.name, name=name)
    return Effect(row, commands.certain(answer), deadline)


def restart(row: Sworm, name: str) -> Effect:
    """Restart what runs (or failed) under a name."""
    deadline = time.time() + commands.STARTING
    nodes = commands.nodes_for(row.name)
    answer = commands.ask(nodes, "restart", row, deadline=deadline, sworm=row.name, name=name)
    return Effect(row, commands.certain(answer), deadline)


def call(row: Sworm, name: str, message: Any, timeout: float) -> Any:
    """A worker's reply to a message. `timeout` in seconds. Raises the problem of whatever went wrong."""
    nodes = commands.host_first(row.name, name)
    deadline = time.time() + timeout + SLACK
    asked = {"sworm": row.name, "name": name, "message": message, "timeout_ms": math.ceil(timeout * 1000)}
    try:
        reply = commands.certain(commands.ask(nodes, "call", row, deadline=deadline, **asked))
    except Problem as problem:
        if problem.code == "no_answer":
            raise Problem("call_timeout", problem.detail) from None
        raise
    return sayable(reply)


def sayable(reply: Any) -> Any:
    """A reply unchanged. Raises `not_json` when JSON cannot say it."""
    if has_bytes(reply) or _has_odd_floats(reply):
        raise Problem("not_json")
    return reply


def cast(row: Sworm, name: str, message: Any) -> None:
    """Hand a message over; returns once an agent has taken it for a process that it knows."""
    nodes = commands.host_first(row.name, name)
    deadline = time.time() + commands.SHORT
    answer = commands.ask(nodes, "cast", row, deadline=deadline, sworm=row.name, name=name, message=message)
    commands.certain(answer)


def _asked_whereis(sworm: str, name: str) -> dict[str, Any] | None:
    row = definitions.live().filter(name=sworm).first()
    nodes = commands.nodes_for(sworm)
    answer = commands.ask(nodes, "get", row, deadline=time.time() + commands.SHORT, sworm=sworm, name=name)
    if not answer.ok and answer.problem == "not_registered":
        return None
    item = jsonable(commands.certain(answer))
    started_at = datetime.fromtimestamp(item["started_at"], UTC)
    return {"revision": 0, **item, "started_at": started_at, "observed": False}


def _has_odd_floats(value: Any) -> bool:
    """Whether a number is in there that JSON cannot say."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(_has_odd_floats(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(map(_has_odd_floats, value))
