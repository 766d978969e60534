"""Operations as rows: made, read, cancelled and ended.

Law: every change is compare-and-set on an open state, so an operation ends once. Whoever asks for one only writes rows
and rings; the observer that writes carries it out (`supervisor.engine`), under its term. Its end is read off observed
rows, never off a wish.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, F, Func, JSONField, QuerySet, Value
from django.utils import timezone

from registry.bell import OPERATIONS, ring_once_written
from registry.models import ObserverTerm
from registry.problems import Problem
from registry.retention import DAY, Sweep
from registry.stream import rfc3339
from supervisor.core.operation import FAILED as STEP_FAILED
from supervisor.core.operation import OPEN, End, Rules, Step
from supervisor.models import CANCELLED, FAILED, OPEN_STATES, PENDING, RUNNING, SUCCEEDED, Operation, OperationStep

#: Seconds within which an observer must take an operation up: nobody wants it carried out an hour later.
TAKE_UP = 60.0

#: Processes that the item of one operation shows; the rest are read page by page.
SHOWN = 1_000

#: Names that the problem of a failed one lists.
LISTED = 100

#: Parameters that are the engine's own, not what was asked.
INTERNAL = frozenset({"rules", "take_up_by", "incarnation", "deadline"})

#: Fields of a stored step that change.
_CHANGING = ("state", "attempts", "pid", "epoch", "code", "detail", "asked_at", "ended_at")


@dataclass(frozen=True)
class Move:
    """One process that shall be moved (or, without `to` and `source`, restarted), and why."""

    sworm: str
    name: str
    source: str = ""
    to: str = ""
    why: str = ""


class Term(NamedTuple):
    """The observer's right to carry out operations: its holder and number."""

    holder: str
    number: int


# ------------------------------------------------------------------------------------------------------------- asking


def begin(
    kind: str, moves: Iterable[Move], rules: Rules, who: str, reason: str, *, params: Mapping[str, Any],
    only: str = "", **target: str,
) -> Operation:  # fmt: skip
    """Store a new operation with its processes, and ring. `target`: `sworm`, `name`, `node`, as far as it has them.

    `only`: what to say when one of this kind and target is open already; empty: there may be several.
    """
    stored = list(moves)
    told = {**params, "rules": asdict(rules), "take_up_by": time.time() + TAKE_UP}
    operation = Operation(kind=kind, params=told, total=len(stored), requested_by=who, reason=reason, **target)
    operation.steps = [note("requested")]
    with transaction.atomic():
        if only:
            _refuse_second(kind, target, only)
        operation.save(force_insert=True)
        OperationStep.objects.bulk_create(
            (OperationStep(operation=operation, number=number, **asdict(move)) for number, move in enumerate(stored)),
            batch_size=1_000,
        )
        ring_once_written(OPERATIONS)
    return operation


def _refuse_second(kind: str, target: Mapping[str, str], sentence: str) -> None:
    """A problem when one is open; whoever asks for the same at this moment waits for the end of this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{kind} {sorted(target.items())}"])
    if Operation.objects.filter(kind=kind, state__in=OPEN_STATES, **target).exists():
        raise Problem("in_progress", sentence)


def cancel(operation: Operation, who: str) -> Operation:
    """Begin nothing more of an operation; what is under way finishes. A problem when it has ended."""
    ended = {"state": CANCELLED, "ended_at": timezone.now(), "cancelled_by": who}
    unbegun = Operation.objects.filter(pk=operation.pk, state=PENDING)
    if not unbegun.update(**ended, steps=_noted(f"cancelled by {who} before it began")):
        steps = _noted(f"{who} wants no more of it")
        wished = still_open(operation).filter(cancelled_by="").update(cancelled_by=who, steps=steps)
        if not wished and not still_open(operation).exists():
            operation.refresh_from_db()
            raise Problem("ended", f"it is {operation.state}")
    ring_once_written(OPERATIONS)
    operation.refresh_from_db()
    return operation


# ------------------------------------------------------------------------------------------------------------- reading


def item(operation: Operation, shown: Iterable[OperationStep] = ()) -> dict[str, Any]:
    """An operation as REST shows it, with as many of its processes as are given."""
    return {
        "id": str(operation.id),
        "kind": operation.kind,
        "target": operation.target,
        "state": operation.state,
        "progress": {"done": operation.done, "total": operation.total},
        "steps": [*operation.steps, *(step_item(step, operation.created_at) for step in shown)],
        "problem": operation.problem,
        "asked": {name: value for name, value in operation.params.items() if name not in INTERNAL},
        "cancelling": bool(operation.cancelled_by) and operation.state in OPEN_STATES,
        "cancelled_by": operation.cancelled_by,
        "requested_by": operation.requested_by,
        "reason": operation.reason,
        "created_at": operation.created_at,
        "started_at": operation.started_at,
        "ended_at": operation.ended_at,
    }


def whole_item(operation: Operation, most: int = SHOWN) -> dict[str, Any]:
    """An operation with the first of its processes."""
    return item(operation, operation.processes.order_by("number")[:most])


def step_item(step: OperationStep, created_at: datetime) -> dict[str, Any]:
    """A process of an operation as REST shows it."""
    at = step.ended_at or step.asked_at
    return {
        "at": stamp(at) if at else created_at,
        "text": f"{step.sworm}/{step.name}: {step.detail or step.state}",
        "number": step.number,
        "sworm": step.sworm,
        "name": step.name,
        "from": step.source or None,
        "to": step.to or None,
        "why": step.why,
        "state": step.state,
        "attempts": step.attempts,
        "code": step.code,
        "detail": step.detail,
    }


# -------------------------------------------------------------------------------- the observer's side, under its term


def take_up(operation: Operation, term: Term) -> bool:
    """Begin, or go on with, an operation; False when it is not open any more, or the term is lost."""
    again = operation.state == RUNNING
    steps = _noted(f"taken up {'again ' if again else ''}by {term.holder}")
    started_at = operation.started_at or timezone.now()
    fresh = _mine(operation, term).filter(state=operation.state)
    taken = fresh.update(state=RUNNING, steps=steps, started_at=started_at) == 1
    if taken:
        operation.refresh_from_db()
    return taken


def remark(operation: Operation, term: Term, text: str) -> None:
    """Add a line to what became of an operation that has not ended."""
    _mine(operation, term).update(steps=_noted(text))


def store(operation: Operation, term: Term, steps: Iterable[Step], done: int, end: End | None) -> bool:
    """Store what changed, all or nothing; False when the operation is not open any more, or the term is lost."""
    with transaction.atomic():
        if _mine(operation, term).update(done=done) != 1:
            return False
        _store_steps(operation, steps)
        if end is not None:
            _mine(operation, term).update(**_ending(operation, done, end))
    return True


def _store_steps(operation: Operation, steps: Iterable[Step]) -> None:
    """Write these steps over what is stored of them."""
    OperationStep.objects.bulk_create(
        (OperationStep(operation=operation, **asdict(step)) for step in steps),
        batch_size=1_000, update_conflicts=True, unique_fields=["operation", "number"], update_fields=_CHANGING,
    )  # fmt: skip


def _ending(operation: Operation, done: int, ended: End) -> dict[str, Any]:
    problem = None
    if ended.state == FAILED:
        left = operation.processes.filter(state__in=(*OPEN, STEP_FAILED)).values_list("sworm", "name")[:LISTED]
        names = [f"{sworm}/{name}" for sworm, name in left]
        problem = {"code": ended.code, "detail": ended.detail, "left_behind": names}
    return {
        "state": ended.state,
        "done": F("total") if ended.state == SUCCEEDED else done,
        "problem": problem,
        "steps": _noted(ended.detail or ended.state),
        "ended_at": timezone.now(),
    }


def still_open(operation: Operation) -> QuerySet[Operation]:
    """The row of an operation, as long as it has not ended."""
    return Operation.objects.filter(pk=operation.pk, state__in=OPEN_STATES)


def _mine(operation: Operation, term: Term) -> QuerySet[Operation]:
    held = ObserverTerm.objects.filter(term=term.number, holder=term.holder)
    return still_open(operation).filter(Exists(held))


def stored_steps(operation: Operation) -> list[Step]:
    """The processes of an operation as the state machine takes them."""
    fields = Step.__dataclass_fields__
    return [Step(**values) for values in operation.processes.order_by("number").values(*fields)]


def note(text: str) -> dict[str, str]:
    """One line of what became of an operation."""
    return {"at": stamp(time.time()), "text": text}


def _noted(text: str) -> Func:
    """The stored lines with one more, whoever else adds to them meanwhile."""
    line = Value([note(text)], output_field=JSONField())
    return Func(F("steps"), line, template="(%(expressions)s)", arg_joiner=" || ", output_field=JSONField())


def stamp(at: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC."""
    return rfc3339(datetime.fromtimestamp(at, UTC))


#: Steps go with their operation; an operation that is open stays however old it is.
_OLD_STEPS = """
    DELETE FROM supervisor_operationstep WHERE id IN (
        SELECT step.id FROM supervisor_operationstep AS step
        JOIN supervisor_operation AS of ON of.id = step.operation_id
        WHERE of.ended_at < clock_timestamp() - make_interval(secs => %s) ORDER BY step.id LIMIT %s)
"""
_OLD = """
    DELETE FROM supervisor_operation WHERE id IN (
        SELECT id FROM supervisor_operation AS of
        WHERE ended_at < clock_timestamp() - make_interval(secs => %s)
          AND NOT EXISTS (SELECT 1 FROM supervisor_operationstep AS step WHERE step.operation_id = of.id)
        ORDER BY ended_at LIMIT %s)
"""


def sweeps(days: float) -> tuple[Sweep, ...]:
    """What drops operations that ended longer ago, for the observer's retention."""
    return (Sweep("operation steps", _OLD_STEPS, days * DAY), Sweep("operations", _OLD, days * DAY))
