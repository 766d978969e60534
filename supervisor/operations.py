"""Operations: asked for, sent to an agent, and settled by what the read model shows.

Law: every change is compare-and-set on an open state, so an operation ends once. Its end is read off the observed rows
(and the agent's refusal, and its deadline), never off a wish: whoever looks, looks at the same evidence, and any
process may settle. What an agent is asked runs in a thread of ours; if that dies with its process, the deadline ends
the operation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone

from registry.problems import Problem, problem_of
from supervisor.models import CANCELLED, FAILED, OPEN_STATES, PENDING, RUNNING, SUCCEEDED, Operation

logger = logging.getLogger(__name__)

#: Operations settled at one look at the list.
MOST_SETTLED = 100
THREADS = 8

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="operation")


@dataclass(frozen=True)
class Seen:
    """What the read model says of an operation: how far it is and, at its end, how it ended."""

    done: int
    total: int
    state: str = RUNNING
    problem: dict[str, Any] | None = None
    step: str = ""


#: Kind -> what is seen of such an operation. Each kind's module adds itself.
JUDGES: dict[str, Callable[[Operation], Seen]] = {}


def item(operation: Operation) -> dict[str, Any]:
    """An operation as REST shows it."""
    return {
        "id": str(operation.id),
        "kind": operation.kind,
        "target": operation.target,
        "state": operation.state,
        "progress": {"done": operation.done, "total": operation.total},
        "steps": operation.steps,
        "problem": operation.problem,
        "requested_by": operation.requested_by,
        "reason": operation.reason,
        "created_at": operation.created_at,
        "ended_at": operation.ended_at,
    }


def start(operation: Operation, send: Callable[[Operation], None]) -> Operation:
    """Store a new operation and carry it to its agent in the background. `send` raises the problem of a refusal."""
    operation.steps = [_step("requested")]
    operation.save(force_insert=True)
    _pool.submit(_carry, operation, send)
    return operation


def settle(operation: Operation) -> Operation:
    """Look at an operation's effect and store what is seen; returns it as it stands now."""
    if operation.state != RUNNING:
        return operation
    seen = JUDGES[operation.kind](operation)
    if seen.state == RUNNING and _late(operation):
        detail = "no end was seen in time; what it moved is told by GET"
        seen = Seen(seen.done, seen.total, FAILED, {"code": "no_answer", "detail": detail}, "gave up waiting")
    if seen.state != RUNNING:
        _end(operation, seen)
    elif (seen.done, seen.total) != (operation.done, operation.total):
        _open(operation).update(done=seen.done, total=seen.total)
    operation.refresh_from_db()
    return operation


def settle_open() -> int:
    """Settle whatever is open; returns how many were. Called at intervals, and by whoever lists operations."""
    open_ones = list(Operation.objects.filter(state__in=OPEN_STATES).order_by("created_at")[:MOST_SETTLED])
    for operation in open_ones:
        if operation.state == PENDING and _late(operation):
            fail(operation, "no_answer", "the agent never took it up")
        else:
            settle(operation)
    return len(open_ones)


def cancel(operation: Operation) -> Operation:
    """End an operation that has not reached its agent; a problem when it has, or is over."""
    ended = Seen(operation.done, operation.total, CANCELLED, None, "cancelled")
    if operation.state == PENDING and _end(operation, ended):
        operation.refresh_from_db()
        return operation
    operation.refresh_from_db()
    raise Problem("not_cancellable" if operation.state in OPEN_STATES else "ended", f"it is {operation.state}")


def fail(operation: Operation, code: str, detail: str) -> None:
    """End an operation that came to nothing."""
    _end(operation, Seen(operation.done, operation.total, FAILED, {"code": code, "detail": detail}, detail))


def deadline_in(seconds: float) -> float:
    """A deadline for `params["deadline"]`: seconds since 1970."""
    return time.time() + seconds


def _carry(operation: Operation, send: Callable[[Operation], None]) -> None:
    try:
        begun = _open(operation).update(state=RUNNING, steps=[*operation.steps, _step("sent to the agent")])
        if begun:
            send(operation)
    except Exception as error:  # noqa: BLE001 - a thread of ours must say what happened where people look
        _failed(operation, problem_of(error))
    finally:
        connection.close()


def _failed(operation: Operation, problem: Problem) -> None:
    try:
        fail(operation, problem.code, problem.detail)
    except DatabaseError as error:
        logger.warning("operation %s failed, which could not be stored: %s", operation.id, error)


def _end(operation: Operation, seen: Seen) -> bool:
    """Store the end; False when another was first."""
    steps = [*(_open(operation).values_list("steps", flat=True).first() or []), _step(seen.step or seen.state)]
    done = seen.total if seen.state == SUCCEEDED else seen.done
    ended: int = _open(operation).update(
        state=seen.state, done=done, total=seen.total, problem=seen.problem, steps=steps, ended_at=timezone.now()
    )
    return ended == 1


def _open(operation: Operation) -> Any:
    return Operation.objects.filter(pk=operation.pk, state__in=OPEN_STATES)


def _late(operation: Operation) -> bool:
    return time.time() > float(operation.params.get("deadline", 0.0))


def _step(text: str) -> dict[str, str]:
    return {"at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), "text": text}
