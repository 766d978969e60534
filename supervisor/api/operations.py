"""/operations: what was asked for, how far it is, and cancelling it.

Law: looking changes nothing: what is shown is what the observer stored, which stores an end only once the read model
shows its effects. A cancel is a wish on the row; what is under way finishes.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from registry.api.bodies import Mutation, read
from registry.api.endpoint import Endpoint, json
from registry.api.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    PAGING,
    after,
    choice,
    current_revision,
    decode_cursor,
    encode_cursor,
    envelope,
    page,
    query,
    whole,
)
from registry.api.schema import documented
from registry.auth import Principal
from registry.problems import Problem, refused
from registry.scopes import NODE_DRAIN, PROCESS_HANDOFF, PROCESS_WRITE, READ
from supervisor import draining, moving, operations, rebalancing, restarting
from supervisor.core.operation import STATES as STEP_STATES
from supervisor.models import STATES, Operation, OperationStep

#: Kind -> the scope that its cancel needs: that of asking for it.
KINDS = (moving.HANDOFF, moving.MIGRATE, rebalancing.KIND, restarting.KIND, draining.KIND)
SCOPES = {draining.KIND: NODE_DRAIN, restarting.KIND: PROCESS_WRITE}

STEP_FILTERS = ("state", *PAGING)
#: What a step's item is made of.
STEP_FIELDS = (
    "number", "sworm", "name", "source", "to", "why", "state", "attempts", "code", "detail", "asked_at", "ended_at",
)  # fmt: skip
FILTERS = ("state", "kind", "sworm", "node", *PAGING)


def visible(principal: Principal) -> QuerySet[Operation]:
    """The operations that a principal may see."""
    rows = Operation.objects.all()
    return rows if principal.sworms is None else rows.filter(sworm__in=principal.sworms)


def found(principal: Principal, text: str) -> Operation:
    """An operation by the id in a path; 404 when there is none."""
    return _found(visible(principal), text)


def _found(rows: QuerySet[Operation], text: str) -> Operation:
    try:
        row = rows.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        row = None
    if row is None:
        raise Problem("unknown_operation", f"no operation has the id {text!r}")
    return row


class Operations(Endpoint):
    """All operations, the newest first."""

    scopes = {"GET": READ}

    @documented("List operations", items="Operation", query=FILTERS, choices={"state": STATES, "kind": KINDS})
    def get(self, request: Request) -> HttpResponse:
        """One page, the newest first."""
        parameters = query(request, FILTERS)
        rows = visible(self.principal)
        state = choice(parameters, "state", STATES)
        rows = rows if state is None else rows.filter(state=state)
        choice(parameters, "kind", KINDS)
        for field in ("kind", "sworm", "node"):
            if field in parameters:
                rows = rows.filter(**{field: parameters[field]})
        return json(_page(rows, parameters))


def _page(rows: QuerySet[Operation], parameters: dict[str, str]) -> dict[str, Any]:
    limit = whole(parameters, "limit", DEFAULT_LIMIT, MAX_LIMIT, least=1)
    if "cursor" in parameters:
        (last,) = decode_cursor(parameters["cursor"], [str])
        before = Operation.objects.filter(pk=_uuid(last)).first()
        if before is None:
            raise refused("cursor", "was not made by this list")
        rows = rows.filter(after(["created_at", "id"], [before.created_at, before.pk], descending=True))
    revision = current_revision()
    shown = list(rows.order_by("-created_at", "-id")[: limit + 1])
    cursor = encode_cursor([str(shown[limit - 1].pk)]) if len(shown) > limit else None
    return envelope([operations.item(row) for row in shown[:limit]], cursor, revision)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise refused("cursor", "was not made by this list") from None


class OneOperation(Endpoint):
    """One operation."""

    scopes = {"GET": READ}

    @documented(
        "Read an operation", answers={200: "Operation"}, query=("processes",), problems=["unknown_operation", "invalid"]
    )
    def get(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - as the path names it
        """Read it, as far as it is now, with as many of its processes among `steps` as are wanted."""
        most = whole(query(request, ("processes",)), "processes", operations.SHOWN, operations.SHOWN)
        return json(operations.whole_item(found(self.principal, id), most))


class OperationSteps(Endpoint):
    """The processes of one operation."""

    scopes = {"GET": READ}

    @documented(
        "List an operation's processes",
        items="Step",
        query=STEP_FILTERS,
        choices={"state": STEP_STATES},
        problems=["unknown_operation"],
    )
    def get(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - as the path names it
        """One page, in the order of their turns."""
        row = found(self.principal, id)
        parameters = query(request, STEP_FILTERS)
        state = choice(parameters, "state", STEP_STATES)
        steps = row.processes.all() if state is None else row.processes.filter(state=state)

        def shown(values: dict[str, Any]) -> dict[str, Any]:
            return operations.step_item(OperationStep(**values), row.created_at)

        return json(page(steps.values(*STEP_FIELDS), {"number": int}, parameters, shown))


class CancelOperation(Endpoint):
    """Cancelling."""

    @documented(
        "Cancel an operation",
        body=Mutation,
        answers={200: "Operation"},
        problems=["unknown_operation", "ended"],
    )
    def post(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - as the path names it
        """Begin nothing more of it; what is under way finishes, and its end is told by GET."""
        row = _found(Operation.objects.all(), id)  # whoever may ask for one may cancel one, seen or not
        scope = SCOPES.get(row.kind, PROCESS_HANDOFF)
        if not self.principal.may(scope):
            raise Problem("forbidden", f"this needs the scope {scope}")
        if row.sworm:
            self.require_sworm(row.sworm, scope)
        else:
            self.require_unbound(scope)
        body = read(request, Mutation, optional=True)
        wished = operations.cancel(row, self.principal.actor)
        key, before = str(row.pk), {"state": row.state, "target": row.target}
        self.audit("operation.cancel", key, self.reason(body), before=before, operation=key, sworm=row.sworm)
        return json(operations.whole_item(wished))
