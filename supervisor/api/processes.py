"""/sworms/{sworm}/processes: what runs under which name.

Law: reads come from the read model, and from an agent while no observer writes; whatever changes something waits until
the read model shows it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from registry import items
from registry.api import idempotency
from registry.api.bodies import Mutation, convert, read
from registry.api.endpoint import Endpoint, empty, json
from registry.api.paging import PAGING, choice, page, query
from registry.api.schema import documented
from registry.models import Membership, Process
from registry.models.observed import PROCESS_STATES
from registry.problems import Problem, done_already, refused
from registry.scopes import PROCESS_WRITE, READ
from supervisor import definitions, verbs
from supervisor.api import bodies
from supervisor.api.finding import known_or_running, possible, standing, unknown
from supervisor.registering import Begun, Outcome, Wish, register, register_batch

FILTERS = ("node", "state", "name_prefix", "q", "group", *PAGING)
CHOICES = {"state": PROCESS_STATES}
STARTING = [
    "invalid", "target_not_allowed", "target_not_found", "start_failed", "unknown_sworm", "no_node", "strategy_failed",
    "no_quorum", "broker_unavailable", "no_answer",
]  # fmt: skip


def wish_of(name: str, process: bodies.Registration, **more: Any) -> Wish:
    """What is asked for, after the checks of the door."""
    bodies.check_process(name, process)
    return Wish(name, process.target, process.args, process.kwargs, process.isolation, process.meta, **more)


def filtered(rows: QuerySet[Process, dict[str, Any]], parameters: dict[str, str]) -> QuerySet[Process, dict[str, Any]]:
    """The rows that pass a list's filters."""
    state = choice(parameters, "state", PROCESS_STATES)
    if state is not None:
        rows = rows.filter(state=state)
    if "node" in parameters:
        rows = rows.filter(node=parameters["node"])
    if "name_prefix" in parameters:
        rows = rows.filter(name__startswith=parameters["name_prefix"])
    if "q" in parameters:
        text = parameters["q"]
        rows = rows.filter(Q(name__icontains=text) | Q(target__icontains=text) | Q(pid__icontains=text))
    if "group" in parameters:
        members = Membership.objects.filter(sworm=OuterRef("sworm"), name=OuterRef("name"), group=parameters["group"])
        rows = rows.filter(Exists(members))
    return rows


class Registering(Endpoint):
    """What the two ways to register one process share."""

    def _started(self, begun: Begun, body: bodies.Registration) -> HttpResponse:
        with done_already(f"{begun.wish.name} was started"):
            # While the observer writes its row, we write ours.
            target = f"{begun.row.name}/{begun.wish.name}"
            self.audit("process.register", target, self.reason(body), after={"target": body.target})
            return json(begun.shown(), 201)


class Processes(Registering):
    """The processes of a sworm."""

    scopes = {"GET": READ, "POST": PROCESS_WRITE}

    @documented("List processes", items="Process", query=FILTERS, choices=CHOICES, problems=["unknown_sworm"])
    def get(self, request: Request, sworm: str) -> HttpResponse:
        """One page, by name."""
        parameters = query(request, FILTERS)
        rows = filtered(items.processes(sworm=sworm), parameters)
        answer = page(rows, {"name": str}, parameters)
        if not answer["items"]:
            known_or_running(sworm)
        return json(answer)

    @documented(
        "Register a process",
        body=bodies.NewProcess,
        answers={201: "Process"},
        problems=["already_started", *STARTING],
    )
    def post(self, request: Request, sworm: str) -> HttpResponse:
        """Start a process under a name; the answer comes once it runs and GET shows it."""
        row = definitions.get(sworm)
        body = read(request, bodies.NewProcess)
        begun = register(row, wish_of(body.name, body, **self._claim(request)))
        if begun.already:
            raise already_started(begun.shown())
        return self._started(begun, body)

    def _claim(self, request: Request) -> dict[str, str]:
        key = request.headers.get(idempotency.HEADER)
        return {} if key is None else {"claim": idempotency.claim_of(self.principal.key, key)}


class ProcessBatch(Endpoint):
    """Many registrations at once."""

    scopes = {"POST": PROCESS_WRITE}

    @documented(
        "Register many processes",
        body=bodies.Batch,
        answers={200: "BatchResults"},
        problems=["invalid", "too_large", "unknown_sworm", "no_node", "broker_unavailable"],
    )
    def post(self, request: Request, sworm: str) -> HttpResponse:
        """Start each item by itself; one result for each, in order."""
        row = definitions.get(sworm)
        body = read(request, bodies.Batch, limit=bodies.MAX_BATCH_BODY)
        judged = [_judged(item) for item in body.items]
        wishes = [wish for wish in judged if isinstance(wish, Wish)]
        outcomes = iter(register_batch(row, wishes) if wishes else [])
        results = [
            _result(_named(item), next(outcomes) if isinstance(wish, Wish) else Outcome(problem=wish))
            for item, wish in zip(body.items, judged, strict=True)
        ]
        started = sum(result["status"] == 201 for result in results)
        self.audit("process.register", sworm, self.reason(body), started=started, asked=len(results))
        return json({"results": results})


class OneProcess(Registering):
    """One name."""

    scopes = {"GET": READ, "PUT": PROCESS_WRITE, "DELETE": PROCESS_WRITE}

    @documented("Read a process", answers={200: "Process"}, problems=["unknown_sworm", "unknown_process"])
    def get(self, request: Request, sworm: str, name: str) -> HttpResponse:
        """What runs under a name."""
        query(request, ())
        possible(name)
        item = verbs.whereis(sworm, name)
        if item is None:
            known_or_running(sworm)
            raise unknown(sworm, name)
        return json(item)

    @documented(
        "Register unless running", body=bodies.Registration, answers={200: "Process", 201: "Process"}, problems=STARTING
    )
    def put(self, request: Request, sworm: str, name: str) -> HttpResponse:
        """The process that runs under the name: 201 when this started it, 200 when it ran before."""
        row = definitions.get(sworm)
        body = read(request, bodies.Registration)
        begun = register(row, wish_of(name, body))
        return json(begun.shown()) if begun.already else self._started(begun, body)

    @documented(
        "Stop a process",
        body=Mutation,
        answers={204: None},
        problems=["unknown_sworm", "unknown_process", "no_node", "broker_unavailable", "no_answer"],
    )
    def delete(self, request: Request, sworm: str, name: str) -> HttpResponse:
        """Stop what runs under the name, and end the name."""
        row = definitions.get(sworm)
        possible(name)
        reason = self.reason(read(request, Mutation, optional=True))
        before = standing(sworm, name)
        stopped = verbs.unregister(row, name)
        with done_already(f"{name} was stopped"):
            self.audit("process.unregister", f"{sworm}/{name}", reason, before=before)
            stopped.wait()
        return empty()


def already_started(item: dict[str, Any] | None) -> Problem:
    """409, with the process that runs."""
    item = item or {}
    return Problem("already_started", f"it runs as {item.get('pid')}", members={"process": item})


def _judged(item: dict[str, Any]) -> Wish | Problem:
    try:
        process = convert(item, bodies.NewProcess)
        if process.reason:
            raise refused("reason", "is the whole batch's; an item has none of its own")
        return wish_of(process.name, process)
    except Problem as problem:
        return problem


def _named(item: dict[str, Any]) -> Any:
    return item.get("name")


def _result(name: Any, outcome: Outcome) -> dict[str, Any]:
    if outcome.problem is not None:
        return {"name": name, "status": outcome.problem.status, "problem": outcome.problem.as_dict()}
    if outcome.already:
        problem = already_started(outcome.item)
        return {"name": name, "status": problem.status, "problem": problem.as_dict(), "process": outcome.item}
    return {"name": name, "status": 201, "process": outcome.item}
