"""/sworms/{sworm}/migrate, /rebalance, /restart: what is asked of many processes of a sworm at once.

Law: each answers with an operation, a promise to try; its end is read there. A dry run answers with the moves that
would be made, and changes nothing.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from registry.api.bodies import read
from registry.api.endpoint import Endpoint, json
from registry.api.schema import documented
from registry.scopes import PROCESS_HANDOFF, PROCESS_WRITE
from supervisor import chosen, definitions, moving, operations, rebalancing, restarting
from supervisor.api import bodies
from supervisor.core.operation import Rules
from supervisor.core.rebalance import Limits
from supervisor.models import Operation

#: Names that a row of the audit lists.
TOLD = 100

ASKING = ["invalid", "unknown_sworm"]


class Moving(Endpoint):
    """What those endpoints share."""

    def _begun(self, operation: Operation, names: list[str] | None = None, **detail: Any) -> HttpResponse:
        """202. The audit outlives the operation's steps: it says itself which processes were named."""
        if names is not None:
            detail["names"] = names[:TOLD]
        self.audit(f"sworm.{operation.kind}", operation.sworm, operation.reason, operation=str(operation.id), **detail)
        return json(operations.whole_item(operation), 202, Location=f"/api/v1/operations/{operation.id}")


class MigrateProcesses(Moving):
    """Moves of many."""

    scopes = {"POST": PROCESS_HANDOFF}

    @documented("Move processes", body=bodies.Migrate, answers={200: "Moves", 202: "Operation"}, problems=ASKING)
    def post(self, request: Request, sworm: str) -> HttpResponse:
        """Move what a node runs of a sworm, or some processes, with their state."""
        row = definitions.get(sworm)
        body = read(request, bodies.Migrate, limit=bodies.MAX_BATCH_BODY)
        plans = moving.plan_many(row.name, body.from_, body.to, body.names)
        if body.dry_run:
            return json({"moves": moving.items(row.name, plans)})
        rules = Rules(width=body.max_at_once, per_minute=body.max_per_minute or 0.0)
        asked = {"from": body.from_, "to": body.to, "max_per_minute": body.max_per_minute}
        operation = moving.begin_many(
            row.name, plans, rules, self.principal.actor, self.reason(body), params=asked, node=body.from_ or ""
        )
        return self._begun(operation, body.names, **asked, processes=operation.total)


class RebalanceSworm(Moving):
    """Rebalancing."""

    scopes = {"POST": PROCESS_HANDOFF}

    @documented(
        "Rebalance a sworm",
        body=bodies.Rebalance,
        answers={200: "Moves", 202: "Operation"},
        problems=["in_progress", "strategy_failed", "no_node", "broker_unavailable", "no_answer", *ASKING],
    )
    def post(self, request: Request, sworm: str) -> HttpResponse:
        """Plan which processes should run elsewhere, and move them, so many a minute."""
        row = definitions.get(sworm)
        body = read(request, bodies.Rebalance, optional=True)
        planned = rebalancing.plan(row, Limits(body.max_moves, body.dwell_s))
        if body.dry_run:
            return json({"moves": rebalancing.items(row, planned)})
        asked: dict[str, Any] = {
            "max_per_minute": body.max_per_minute, "dwell_s": body.dwell_s, "max_moves": body.max_moves,
        }  # fmt: skip
        operation = rebalancing.begin(row, planned, body.max_per_minute, self.principal.actor, self.reason(body), asked)
        return self._begun(operation, **asked, processes=operation.total)


class RestartSworm(Moving):
    """Rolling restarts."""

    scopes = {"POST": PROCESS_WRITE}

    @documented(
        "Restart a sworm",
        body=bodies.RollingRestart,
        answers={200: "Moves", 202: "Operation"},
        problems=["in_progress", *ASKING],
    )
    def post(self, request: Request, sworm: str) -> HttpResponse:
        """Restart every process of a sworm, or those named, a few at a time; state is not carried over."""
        row = definitions.get(sworm)
        body = read(request, bodies.RollingRestart, limit=bodies.MAX_BATCH_BODY, optional=True)
        named = body.names is not None
        found = chosen.all_of(sworm) if body.names is None else chosen.own(sworm, body.names)
        planned = restarting.moves(row, found, chosen=named)
        if body.dry_run:
            return json({"moves": restarting.items(planned)})
        who, reason = self.principal.actor, self.reason(body)
        pace = (body.max_at_once, body.max_per_minute or 0.0)
        operation = restarting.begin(row, planned, *pace, who, reason, chosen=named)
        return self._begun(operation, body.names, max_at_once=body.max_at_once, processes=operation.total)
