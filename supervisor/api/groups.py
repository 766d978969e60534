"""/sworms/{sworm}/groups: who is in which group, and messages to all of one.

Law: a group is there as long as it has members; one without any is empty, not unknown. Joining and leaving may be
repeated and are answered once the read model shows them. A message reaches the members that the agent asked knows of.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Func
from django.http import HttpResponse
from rest_framework.request import Request

from registry import items
from registry.api.bodies import Mutation, read
from registry.api.endpoint import Endpoint, empty, json
from registry.api.paging import PAGING, page, query
from registry.api.schema import documented
from registry.core.ids import BadName, check_name
from registry.models import Membership
from registry.problems import done_already, refused
from registry.scopes import PROCESS_CALL, PROCESS_WRITE, READ
from supervisor import definitions, group_verbs
from supervisor.api import bodies
from supervisor.api.finding import known_or_running, possible

#: Members that the list of groups names of each; a group's own page has all.
NAMED = 1_000

REACHING = ["invalid", "unknown_sworm", "no_node", "broker_unavailable", "no_answer"]


class Groups(Endpoint):
    """The groups of a sworm."""

    scopes = {"GET": READ}

    @documented("List groups", items="Group", query=PAGING, problems=["unknown_sworm", "invalid"])
    def get(self, request: Request, sworm: str) -> HttpResponse:
        """One page, by name: each group with its size and the first 1000 names of its members."""
        parameters = query(request, PAGING)
        rows = Membership.objects.filter(sworm=sworm).order_by().values("group")
        names = Func(ArrayAgg("name", order_by="name"), template=f"(%(expressions)s)[1:{NAMED}]")
        counted: Any = rows.annotate(size=Count("pid"), members=names)
        answer = page(counted, {"group": str}, parameters, lambda row: _group(sworm, row))
        if not answer["items"]:
            known_or_running(sworm)
        return json(answer)


class OneGroup(Endpoint):
    """One group."""

    scopes = {"GET": READ}

    @documented("Read a group", answers={200: "GroupMembers"}, query=PAGING, problems=["unknown_sworm", "invalid"])
    def get(self, request: Request, sworm: str, group: str) -> HttpResponse:
        """Its members, one page by name: their names, and what runs under them."""
        parameters = query(request, PAGING)
        possible_group(group)
        names = Membership.objects.filter(sworm=sworm, group=group).values("name")
        answer = page(items.processes(sworm=sworm, name__in=names), {"name": str}, parameters)
        if not answer["items"]:
            known_or_running(sworm)
        members = [item["name"] for item in answer["items"]]
        return json({"sworm": sworm, "name": group, "members": members, **answer})


class Member(Endpoint):
    """One process as a member."""

    scopes = {"PUT": PROCESS_WRITE, "DELETE": PROCESS_WRITE}

    @documented("Join a group", body=Mutation, answers={204: None}, problems=["unknown_process", *REACHING])
    def put(self, request: Request, sworm: str, group: str, name: str) -> HttpResponse:
        """Put a process into the group; nothing changes when it is in already."""
        return self._set(request, "join", sworm, group, name)

    @documented("Leave a group", body=Mutation, answers={204: None}, problems=["unknown_process", *REACHING])
    def delete(self, request: Request, sworm: str, group: str, name: str) -> HttpResponse:
        """Take a process out of the group; nothing changes when it is not in it."""
        return self._set(request, "leave", sworm, group, name)

    def _set(self, request: Request, kind: str, sworm: str, group: str, name: str) -> HttpResponse:
        row = definitions.get(sworm)
        possible_group(group)
        possible(name)
        reason = self.reason(read(request, Mutation, optional=True))
        done = group_verbs.set_member(row, kind, group, name)
        with done_already(f"{name} was told to {kind} {group}"):
            self.audit(f"group.{kind}", f"{sworm}/{name}", reason, after={"group": group, "in": kind == "join"})
            done.wait()
        return empty()


class Publish(Endpoint):
    """A cast to all members."""

    scopes = {"POST": PROCESS_CALL}

    @documented("Publish to a group", body=bodies.Cast, answers={202: "Accepted"}, problems=REACHING)
    def post(self, request: Request, sworm: str, group: str) -> HttpResponse:
        """Send a message to every member; no reply comes."""
        row = definitions.get(sworm)
        possible_group(group)
        body = read(request, bodies.Cast)
        bodies.check_portable(body.message, "message")
        group_verbs.publish(row, group, body.message)
        self.audit("group.publish", f"{sworm}/{group}", self.reason(body))
        return json({"accepted": True}, 202)


class MultiCall(Endpoint):
    """A call to all members."""

    scopes = {"POST": PROCESS_CALL}

    @documented("Call a group", body=bodies.Call, answers={200: "Replies"}, problems=["call_timeout", *REACHING])
    def post(self, request: Request, sworm: str, group: str) -> HttpResponse:
        """Send a message to every member and wait for all replies: each is a reply or a problem."""
        row = definitions.get(sworm)
        possible_group(group)
        body = read(request, bodies.Call)
        bodies.check_portable(body.message, "message")
        replies = group_verbs.multi_call(row, group, body.message, body.timeout_ms / 1000)
        self.audit("group.call", f"{sworm}/{group}", self.reason(body), members=len(replies))
        return json({"replies": replies})


def possible_group(group: str) -> None:
    """422 for what no group can be called."""
    try:
        check_name(group, "group")
    except BadName as error:
        raise refused("group", str(error)) from None


def _group(sworm: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"sworm": sworm, "name": row["group"], "size": row["size"], "members": row["members"]}
