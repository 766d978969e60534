"""What a change of a definition means: when each field takes effect, whom it touches, and what about it is dangerous.

Law: advice refuses nothing (`supervisor.core.spec.check` does that); it says what somebody would want to have known. A
field of the definition without its line in `EFFECTS` does not exist (a test holds the two together): agents read each
of them where it is used, at the revision that they hold then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.db.models import Count

from registry.models import Node, Process, Sworm
from supervisor.core.constraints import BadConstraint, eligible, parse
from supervisor.core.spec import ACTIVE, PERMANENT, PROCESS, TEMPORARY, allows
from supervisor.core.strategies import UNIFORM
from supervisor.fitness import hosts

DANGER = "danger"
NOTE = "note"

_PLACED = "at the next placement; unless redistribution is active, what runs stays until it is moved or rebalanced"

#: Field -> when a change of it is obeyed, and whether running processes go on as they are.
EFFECTS: dict[str, tuple[str, bool]] = {
    "restart": ("at the next end of a worker", False),
    "max_restarts": ("at the next end of a worker", False),
    "max_seconds": ("at the next end of a worker", False),
    "handoff": ("at the next move, drain or conflict", False),
    "handoff_timeout_ms": ("at the next move, drain or conflict", False),
    "distribution_strategy": (_PLACED, True),
    "redistribution": ("at once", False),
    "constraints": (_PLACED, True),
    "sync_interval_ms": ("at the next repair round of each node; the shortest of its sworms counts", False),
    "max_sync_size": ("at the next delta", False),
    "allowed_modules": ("at the next start of a worker; what runs goes on", True),
    "isolation": ("at the next registration; what is registered keeps its own until it is registered anew", True),
    "checkpoint_interval_ms": ("at the next checkpoint", False),
    "checkpoint_copies": ("at the next checkpoint", False),
}

#: Fields whose change makes running processes follow under active redistribution.
_FOLLOWED = ("distribution_strategy", "constraints", "redistribution")

#: Milliseconds: below, repair costs more than it brings; above, a lost frame is missed for long.
SHORT_SYNC, LONG_SYNC = 50, 5_000
#: Milliseconds: a worker may need longer for its state.
SHORT_HANDOFF = 200


class Advice(NamedTuple):
    """One thing to know. `field` is empty for the whole; `level` danger or note."""

    field: str
    level: str
    text: str


def changed(before: Sworm, after: Sworm) -> list[str]:
    """The fields in which two definitions differ."""
    return [field for field in EFFECTS if getattr(before, field) != getattr(after, field)]


def advise(before: Sworm | None, after: Sworm) -> list[Advice]:
    """What to know before (or after) a definition becomes another one; None: it is new. Dangers come first."""
    fields = [*EFFECTS] if before is None else changed(before, after)
    found = [*_alone(after, fields), *_nodes(after, fields)]
    if before is not None:
        found += _running(before, after, fields)
    return sorted(found, key=lambda advice: advice.level != DANGER)


def _alone(row: Sworm, fields: list[str]) -> Iterator[Advice]:
    """What is inconsistent whatever runs."""
    if row.restart == PERMANENT and row.max_restarts == 0:
        yield Advice("max_restarts", DANGER, "0 restarts: permanent processes fail for good at their first end")
    if row.restart == TEMPORARY and row.checkpoint_copies:
        yield Advice("checkpoint_copies", NOTE, "temporary processes are not restored, so their checkpoints are unused")
    if not row.handoff and "handoff_timeout_ms" in fields and row.handoff_timeout_ms != 5_000:
        yield Advice("handoff_timeout_ms", NOTE, "without handoff it bounds checkpoints only")
    if row.handoff and row.handoff_timeout_ms < SHORT_HANDOFF:
        text = f"workers slower than {row.handoff_timeout_ms} ms do not move, or without their state when a node leaves"
        yield Advice("handoff_timeout_ms", DANGER, text)
    if "sync_interval_ms" in fields and row.sync_interval_ms < SHORT_SYNC:
        yield Advice("sync_interval_ms", NOTE, "every node repairs this often, for all of its sworms")
    if "sync_interval_ms" in fields and row.sync_interval_ms > LONG_SYNC:
        text = f"what a lost frame carried may be missed for {row.sync_interval_ms / 1000:g} s"
        yield Advice("sync_interval_ms", DANGER, text)
    if row.distribution_strategy == UNIFORM and row.redistribution == ACTIVE and "redistribution" in fields:
        yield Advice("redistribution", NOTE, "processes move whenever a node comes or goes")


def _nodes(row: Sworm, fields: list[str]) -> Iterator[Advice]:
    """What the nodes of the moment make of it."""
    if "constraints" not in fields or not row.constraints:
        return
    try:
        wanted = parse(row.constraints)
    except BadConstraint:
        return  # `check` refuses it
    nodes = Node.objects.filter(forgotten=False, status="alive")
    fitting = [node.name for node in nodes if hosts(node, row.name) and eligible(wanted, node.labels)]
    if not fitting:
        yield Advice("constraints", DANGER, "no live node has these labels: whatever is registered or re-homed waits")
    elif len(fitting) == 1:
        yield Advice("constraints", DANGER, f"only {fitting[0]} has these labels: nothing takes over when it is gone")


def _running(before: Sworm, after: Sworm, fields: list[str]) -> Iterator[Advice]:
    """What it means for what runs."""
    rows = Process.objects.filter(sworm=after.name)
    count = rows.count()
    if not count or not fields:
        return
    later = [field for field in fields if EFFECTS[field][1]]
    yield Advice("", NOTE, f"{count} processes run")
    follow = {*_FOLLOWED} if after.redistribution == ACTIVE else set()
    for field in (field for field in later if field not in follow):
        yield Advice(field, NOTE, f"{count} processes go on as they are: it counts {EFFECTS[field][0]}")
    if follow & {*fields}:
        yield Advice("redistribution", NOTE, f"{count} processes move within seconds, as far as they belong elsewhere")
    if after.restart == TEMPORARY and "restart" in fields:
        yield Advice("restart", DANGER, f"{count} processes are gone when they crash or their node does, from now on")
    if before.handoff and not after.handoff:
        yield Advice("handoff", DANGER, f"{count} processes lose their state when they move from now on")
    if before.checkpoint_copies and not after.checkpoint_copies:
        yield Advice("checkpoint_copies", DANGER, f"{count} processes lose their state with their node from now on")
    if "allowed_modules" in fields and after.allowed_modules:
        prefixes = tuple(map(str, after.allowed_modules))
        for target, number in rows.values_list("target").annotate(Count("id")).order_by("target"):
            if target and not allows(prefixes, target.partition(":")[0]):
                text = f"{number} processes run {target}, which could not be started any more"
                yield Advice("allowed_modules", DANGER, text)
    if "isolation" in fields and after.isolation == PROCESS:
        yield Advice("isolation", NOTE, "each process costs an operating-system process")


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{field: {"before", "after"}} of what differs."""
    return {
        field: {"before": before.get(field), "after": after.get(field)}
        for field in sorted(before.keys() | after.keys())
        if before.get(field) != after.get(field)
    }
