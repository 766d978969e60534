"""/nodes: what runs processes, and taking it in and out of service.

Law: a node is commanded by its present incarnation's queue alone; whether it obeyed is seen in its row.
"""

from __future__ import annotations

import time

from django.db import connection
from django.http import HttpResponse
from rest_framework.request import Request

from registry import items
from registry.api.bodies import Mutation, read
from registry.api.endpoint import Endpoint, empty, json
from registry.api.paging import PAGING, choice, page, query
from registry.api.schema import documented
from registry.models import Node
from registry.models.observed import NODE_ENDED, NODE_STATUSES
from registry.observed import observer_writes
from registry.problems import Problem
from registry.scopes import NODE_DRAIN, READ
from supervisor import commands, drain_plan, draining, operations
from supervisor.api import bodies
from supervisor.client import Asked

#: Seconds between two looks at a row that will change in a moment.
LOOK_AGAIN = 0.02

OBEYING = ["unknown_node", "no_node", "broker_unavailable"]


def found(name: str) -> dict[str, object]:
    """A node's item; 404 when there is none."""
    item = items.node(name)
    if item is None:
        raise Problem("unknown_node", f"no node is named {name!r}")
    return item


class Nodes(Endpoint):
    """All nodes that were not forgotten."""

    scopes = {"GET": READ}

    @documented("List nodes", items="Node", query=("status", *PAGING), choices={"status": NODE_STATUSES})
    def get(self, request: Request) -> HttpResponse:
        """One page, by name."""
        parameters = query(request, ("status", *PAGING))
        status = choice(parameters, "status", NODE_STATUSES)
        rows = items.nodes() if status is None else items.nodes(status=status)
        return json(page(rows, {"name": str}, parameters))


class OneNode(Endpoint):
    """One node."""

    scopes = {"GET": READ, "DELETE": NODE_DRAIN}

    @documented("Read a node", answers={200: "Node"}, problems=["unknown_node"])
    def get(self, request: Request, node: str) -> HttpResponse:
        """Read it."""
        query(request, ())
        return json(found(node))

    @documented("Forget a node", body=Mutation, answers={204: None}, problems=["unknown_node", "not_ended", *OBEYING])
    def delete(self, request: Request, node: str) -> HttpResponse:
        """Forget a node that left or died; it shows up again only as a new incarnation."""
        self.require_unbound()
        item = found(node)
        body = read(request, Mutation, optional=True)
        ended = Node.objects.filter(name=node, status__in=NODE_ENDED, forgotten=False)
        if not ended.exists():
            raise Problem("not_ended", f"{node} is {item['status']}; only a node that left or died can be forgotten")
        if item["status"] == "dead":
            self._tell_agents(node)
        ended.update(forgotten=True)
        before = {"status": item["status"], "forgotten": False}
        self.audit("node.forget", node, self.reason(body), before=before, after={"forgotten": True})
        return empty()

    def _tell_agents(self, node: str) -> None:
        """Have majorities counted without it, if an agent is there to be told."""
        alive = Node.objects.filter(status="alive", forgotten=False).order_by("name")
        others = [Asked(row.name, row.incarnation) for row in alive]
        if others:
            commands.certain(commands.ask(others, "forget", None, deadline=time.time() + commands.SHORT, node=node))


class Cordon(Endpoint):
    """Whether a node takes new processes."""

    scopes = {"POST": NODE_DRAIN}
    cordoned = True

    @documented("Cordon a node", body=Mutation, answers={200: "Node"}, problems=["no_answer", *OBEYING])
    def post(self, request: Request, node: str) -> HttpResponse:
        """The node takes no new processes; what runs there stays."""
        return self._set(request, node)

    def _set(self, request: Request, node: str) -> HttpResponse:
        self.require_unbound()
        row = commands.node_named(node)
        before = {"cordoned": row.cordoned}
        body = read(request, Mutation, optional=True)
        verb = "cordon" if self.cordoned else "uncordon"
        deadline = time.time() + commands.SHORT
        answer = commands.ask([Asked(row.name, row.incarnation)], verb, None, deadline=deadline)
        commands.certain(answer)
        self.audit(f"node.{verb}", node, self.reason(body), before=before, after={"cordoned": self.cordoned})
        return json(self._shown(node, deadline))

    def _shown(self, node: str, deadline: float) -> dict[str, object]:
        """The node's item once it shows what was done; at the latest when there is no time left to wait for it."""
        item = found(node)
        while item["cordoned"] != self.cordoned and time.time() < deadline and observer_writes():
            connection.close()
            time.sleep(LOOK_AGAIN)
            item = found(node)
        return {**item, "cordoned": self.cordoned}


class Uncordon(Cordon):
    """The opposite."""

    cordoned = False

    @documented("Uncordon a node", body=Mutation, answers={200: "Node"}, problems=["no_answer", *OBEYING])
    def post(self, request: Request, node: str) -> HttpResponse:
        """The node takes new processes again."""
        return self._set(request, node)


class DrainNode(Endpoint):
    """Emptying a node."""

    scopes = {"POST": NODE_DRAIN}

    @documented(
        "Drain a node", body=bodies.Drain, answers={200: "Moves", 202: "Operation"}, problems=["in_progress", *OBEYING]
    )
    def post(self, request: Request, node: str) -> HttpResponse:
        """Hand every process over with its state; the node leaves when it is empty."""
        self.require_unbound()
        commands.node_named(node)
        body = read(request, bodies.Drain, optional=True)
        if body.dry_run:
            return json({"moves": drain_plan.moves(node)})
        operation = draining.begin(node, body.deadline_s, self.principal.actor, self.reason(body))
        self.audit("node.drain", node, operation.reason, operation=str(operation.id))
        return json(operations.whole_item(operation), 202, Location=f"/api/v1/operations/{operation.id}")
