"""Moving one process: the plan that a dry run shows, and the operation that carries it out.

Law: the source's node decides; here it is only asked, and its success is read off the process's row: on the wanted
node, with a higher epoch, running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from registry.models import Event, Node, Process, Sworm
from registry.problems import Problem, refused
from supervisor import commands, operations
from supervisor.client import Asked
from supervisor.models import FAILED, SUCCEEDED, Operation
from supervisor.operations import Seen

KIND = "handoff"
#: Seconds beyond the state's own time-out after which a move that shows no effect has failed.
PATIENCE = 20.0


@dataclass(frozen=True)
class Plan:
    """One move: from where, to where (None: wherever placement wants it), and why it cannot be."""

    row: Sworm
    process: Process
    to: str | None
    problem: str | None

    def move(self) -> dict[str, Any]:
        """The move as a dry run shows it."""
        return {
            "sworm": self.row.name,
            "name": self.process.name,
            "from": self.process.node,
            "to": self.to,
            "problem": self.problem,
        }

    def refuse_if_impossible(self) -> None:
        """A problem when the move cannot be."""
        if self.problem is not None:
            raise refused("to", self.problem)


def plan(row: Sworm, name: str, to: str | None) -> Plan:
    """Look at a move without making it; a problem when there is no such process."""
    process = Process.objects.filter(sworm=row.name, name=name).first()
    if process is None:
        raise Problem("unknown_process", f"nothing is registered as {name!r} in {row.name}")
    return Plan(row, process, to, _obstacle(process, to))


def begin(wanted: Plan, requested_by: str, reason: str) -> Operation:
    """Ask the process's node to move it."""
    process = wanted.process
    params = {
        "from": process.node,
        "to": wanted.to,
        "pid": process.pid,
        "epoch": process.epoch,
        "deadline": operations.deadline_in(wanted.row.handoff_timeout_ms / 1000 + PATIENCE),
    }
    operation = Operation(
        kind=KIND, sworm=process.sworm, name=process.name, params=params, total=1,
        requested_by=requested_by, reason=reason,
    )  # fmt: skip
    return operations.start(operation, lambda made: _send(made, wanted))


def _send(operation: Operation, wanted: Plan) -> None:
    process = wanted.process
    nodes: list[Asked] = commands.host_first(process.sworm, process.name)
    deadline = operations.deadline_in(commands.STARTING)
    answer = commands.ask(
        nodes, "handoff", wanted.row, deadline=deadline,
        sworm=process.sworm, name=process.name, to=wanted.to, claim=operation.id.hex,
    )  # fmt: skip
    commands.certain(answer)


def judge(operation: Operation) -> Seen:
    """What the read model says of a handoff."""
    params = operation.params
    process = Process.objects.filter(sworm=operation.sworm, name=operation.name).first()
    if process is None:
        return _lost("unknown_process", "the process ended before it moved")
    if process.node != params["from"] and process.epoch > params["epoch"]:
        return _elsewhere(process, params["to"])
    refusal = Event.objects.filter(
        sworm=operation.sworm, name=operation.name, kind="handoff_failed", at__gte=operation.created_at
    ).first()
    if refusal is not None:
        return _lost("refused", refusal.detail or "the handoff failed; the process runs on where it was")
    return Seen(0, 1)


def _elsewhere(process: Process, to: str | None) -> Seen:
    if process.state != "running":
        return Seen(0, 1)
    if to is not None and process.node != to:
        return _lost("refused", f"it runs on {process.node}, not on {to}")
    return Seen(1, 1, SUCCEEDED, None, f"runs on {process.node} as {process.pid}")


def _lost(code: str, detail: str) -> Seen:
    return Seen(0, 1, FAILED, {"code": code, "detail": detail}, detail)


def _obstacle(process: Process, to: str | None) -> str | None:
    if to is None:
        others = [asked.node for asked in commands.nodes_for(process.sworm) if asked.node != process.node]
        return None if others else "no other node could take it"
    node = Node.objects.filter(name=to, forgotten=False).first() if "\x00" not in to else None
    if node is None:
        return f"no node is named {to!r}"
    if to == process.node:
        return f"it runs on {to} already"
    if node.status != "alive" or node.cordoned:
        return f"{to} is {'cordoned' if node.cordoned else node.status} and takes no processes"
    if "*" not in node.sworms and process.sworm not in node.sworms:
        return f"{to} does not host {process.sworm}"
    return None


operations.JUDGES[KIND] = judge
