"""…/{name}/call, cast, restart, handoff: what is asked of one running process.

Law: a call ends in a reply or an error. A handoff is an operation: its answer is a promise to try, its end is read
there.
"""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from registry.api.bodies import Mutation, read
from registry.api.endpoint import Endpoint, json
from registry.api.schema import documented
from registry.problems import done_already
from registry.scopes import PROCESS_CALL, PROCESS_HANDOFF, PROCESS_WRITE
from supervisor import definitions, moving, operations, verbs
from supervisor.api import bodies
from supervisor.api.finding import possible, standing

REACHING = ["invalid", "unknown_sworm", "unknown_process", "no_node", "broker_unavailable"]


class CallProcess(Endpoint):
    """Calls."""

    scopes = {"POST": PROCESS_CALL}

    @documented(
        "Call a process",
        body=bodies.Call,
        answers={200: "Reply"},
        problems=["call_timeout", "worker_crashed", "not_json", *REACHING],
    )
    def post(self, request: Request, sworm: str, name: str) -> HttpResponse:
        """Send a message and wait for the reply."""
        row = definitions.get(sworm)
        possible(name)
        body = read(request, bodies.Call)
        bodies.check_portable(body.message, "message")
        reply = verbs.call(row, name, body.message, body.timeout_ms / 1000)
        self.audit("process.call", f"{sworm}/{name}", self.reason(body))
        return json({"reply": reply})


class CastProcess(Endpoint):
    """Casts."""

    scopes = {"POST": PROCESS_CALL}

    @documented("Cast to a process", body=bodies.Cast, answers={202: "Accepted"}, problems=["no_answer", *REACHING])
    def post(self, request: Request, sworm: str, name: str) -> HttpResponse:
        """Send a message; no reply comes."""
        row = definitions.get(sworm)
        possible(name)
        body = read(request, bodies.Cast)
        bodies.check_portable(body.message, "message")
        verbs.cast(row, name, body.message)
        self.audit("process.cast", f"{sworm}/{name}", self.reason(body))
        return json({"accepted": True}, 202)


class RestartProcess(Endpoint):
    """Restarts."""

    scopes = {"POST": PROCESS_WRITE}

    @documented(
        "Restart a process", body=Mutation, answers={202: "Accepted"}, problems=["start_failed", "no_answer", *REACHING]
    )
    def post(self, request: Request, sworm: str, name: str) -> HttpResponse:
        """Stop the worker and start it anew, failed ones too."""
        row = definitions.get(sworm)
        possible(name)
        body = read(request, Mutation, optional=True)
        before = standing(sworm, name)
        restarted = verbs.restart(row, name)
        with done_already(f"{name} was restarted"):
            self.audit("process.restart", f"{sworm}/{name}", self.reason(body), before=before)
            restarted.wait()
        return json({"accepted": True}, 202)


class HandoffProcess(Endpoint):
    """Handoffs of one process."""

    scopes = {"POST": PROCESS_HANDOFF}

    @documented("Hand a process off", body=bodies.Handoff, answers={200: "Moves", 202: "Operation"}, problems=REACHING)
    def post(self, request: Request, sworm: str, name: str) -> HttpResponse:
        """Move a process with its state to a node (null: the one that placement chooses)."""
        row = definitions.get(sworm)
        possible(name)
        body = read(request, bodies.Handoff, optional=True)
        plan = moving.plan_one(row.name, name, body.to)
        if body.dry_run:
            return json({"moves": moving.items(sworm, [plan])})
        operation = moving.begin_one(plan, self.principal.actor, self.reason(body))
        before, after = standing(sworm, name), {"to": body.to}
        what = f"{sworm}/{name}"
        self.audit("process.handoff", what, operation.reason, before=before, after=after, operation=str(operation.id))
        return json(operations.whole_item(operation), 202, Location=f"/api/v1/operations/{operation.id}")
