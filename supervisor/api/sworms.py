"""/sworms: the definitions.

Law: a change names the revision that it changes (If-Match); who names none gets 428, who names an old one 412.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from registry.api.bodies import Mutation, read
from registry.api.endpoint import Endpoint, empty, json
from registry.api.paging import PAGING, page, query
from registry.api.schema import documented
from registry.core.ids import BadName, check_slug
from registry.models import Node, Process, Sworm, SwormRevision
from registry.models.observed import NODE_ENDED
from registry.problems import Problem, refused
from registry.scopes import CONFIG_WRITE, READ
from supervisor import definitions, trials
from supervisor.advice import advise, difference
from supervisor.api.bodies import NewSworm, Revert, Settings, SettingsPatch, given

REVISION = ("revision", "at", "actor", "reason", "deleted", "fields")
FIELDS = ("name", "revision", *definitions.WRITABLE, "created_at", "updated_at")


def items(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Definitions as REST shows them: with the revision that each node runs, and how many processes there are."""
    found = list(rows)
    names = [row["name"] for row in found]
    runs: dict[str, dict[str, int]] = defaultdict(dict)
    there = Node.objects.filter(forgotten=False).exclude(status__in=NODE_ENDED)
    for node, revisions in there.values_list("name", "definitions"):
        for sworm, revision in revisions.items():
            runs[sworm][node] = revision
    counted = Process.objects.filter(sworm__in=names).values_list("sworm").annotate(Count("id")).order_by()
    counts = dict(counted)
    drifts = definitions.drifts(found)
    return [
        {
            **row,
            "nodes": runs[row["name"]],
            "processes": counts.get(row["name"], 0),
            "drift": drifts.get(row["name"], {}),
        }
        for row in found
    ]


def item(row: Sworm) -> dict[str, Any]:
    """One definition as REST shows it."""
    return items([{field: getattr(row, field) for field in FIELDS}])[0]


def advised(row: Sworm, before: Sworm | None, untried: str) -> dict[str, Any]:
    """The same after a change, with what there is to know about it; `untried`: of a strategy that nobody tried."""
    told = [advice._asdict() for advice in [*trials.advice(untried), *advise(before, row)]]
    return {**item(row), "advice": told} if told else item(row)


def expected(request: Request, row: Sworm) -> int | None:
    """Which of the revisions in If-Match is changed: the row's, if it is among them; None for `*`.

    RFC 9110, 13.1.1: a list of tags, compared strongly.
    """
    text = request.headers.get("If-Match", "").strip()
    if not text:
        raise Problem("precondition_required", "send the ETag of what you change as If-Match")
    if text == "*":
        return None
    tags = [tag.strip() for tag in text.split(",")]
    if definitions.etag(row) not in tags:
        detail = f"{row.name} is at revision {row.revision}; If-Match is {text}"
        raise Problem("precondition_failed", detail, headers={"ETag": definitions.etag(row)})
    return row.revision


class Sworms(Endpoint):
    """All definitions."""

    scopes = {"GET": READ, "POST": CONFIG_WRITE}

    @documented("List the definitions", items="Sworm", query=PAGING)
    def get(self, request: Request) -> HttpResponse:
        """One page, by name."""
        rows = definitions.live()
        if self.principal.sworms is not None:
            rows = rows.filter(name__in=self.principal.sworms)
        answer = page(rows.values(*FIELDS), {"name": str}, query(request, PAGING))
        answer["items"] = items(answer["items"])
        return json(answer)

    @documented("Create a definition", body=NewSworm, answers={201: "Sworm"}, problems=["already_exists", "invalid"])
    def post(self, request: Request) -> HttpResponse:
        """Create one."""
        body = read(request, NewSworm)
        try:
            check_slug(body.name, "sworm name")
        except BadName as error:
            raise refused("name", str(error)) from None
        self.require_sworm(body.name)
        untried = trials.refuse_unusable(body.name, None, given(body))
        row = definitions.create(body.name, given(body), self.principal, self.reason(body))
        return json(advised(row, None, untried), 201, ETag=definitions.etag(row), Location=f"/api/v1/sworms/{row.name}")


class OneSworm(Endpoint):
    """One definition."""

    scopes = {"GET": READ, "PUT": CONFIG_WRITE, "PATCH": CONFIG_WRITE, "DELETE": CONFIG_WRITE}

    @documented("Read a definition", answers={200: "Sworm"}, problems=["unknown_sworm"])
    def get(self, request: Request, sworm: str) -> HttpResponse:
        """Read it."""
        query(request, ())
        row = definitions.get(sworm)
        if request.headers.get("If-None-Match") == definitions.etag(row):
            return HttpResponse(status=304, headers={"ETag": definitions.etag(row)})
        return json(item(row), ETag=definitions.etag(row))

    @documented(
        "Replace a definition",
        body=Settings,
        answers={200: "Sworm"},
        problems=["unknown_sworm", "precondition_required", "precondition_failed", "invalid"],
        if_match=True,
    )
    def put(self, request: Request, sworm: str) -> HttpResponse:
        """Replace all of its fields; those not given get their defaults."""
        return self._change(request, sworm, Settings)

    @documented(
        "Change a definition",
        body=SettingsPatch,
        answers={200: "Sworm"},
        problems=["unknown_sworm", "precondition_required", "precondition_failed", "invalid"],
        if_match=True,
    )
    def patch(self, request: Request, sworm: str) -> HttpResponse:
        """Change the given fields."""
        return self._change(request, sworm, SettingsPatch)

    @documented(
        "Delete a definition",
        body=Mutation,
        answers={204: None},
        problems=["unknown_sworm", "precondition_required", "precondition_failed", "has_processes"],
        if_match=True,
    )
    def delete(self, request: Request, sworm: str) -> HttpResponse:
        """Delete it; refused while it has processes."""
        row = definitions.get(sworm)
        revision, body = expected(request, row), read(request, Mutation, optional=True)
        definitions.delete(sworm, revision, self.principal, self.reason(body))
        return empty()

    def _change(self, request: Request, sworm: str, kind: type[Settings] | type[SettingsPatch]) -> HttpResponse:
        before = definitions.get(sworm)
        revision = expected(request, before)
        body = read(request, kind)
        if body.name not in (UNSET, sworm):
            raise refused("name", f"is {body.name!r}, but the path says {sworm!r}; a sworm cannot be renamed")
        untried = trials.refuse_unusable(sworm, before, given(body))
        row = definitions.change(sworm, given(body), revision, self.principal, self.reason(body))
        return json(advised(row, before, untried), ETag=definitions.etag(row))


class SwormRevisions(Endpoint):
    """How a definition came to be what it is."""

    scopes = {"GET": READ}

    @documented("List a definition's revisions", items="SwormRevision", query=PAGING)
    def get(self, request: Request, sworm: str) -> HttpResponse:
        """One page, the newest first; of a deleted one too."""
        rows = SwormRevision.objects.filter(sworm=sworm)
        answer = page(rows.order_by().values(*REVISION), {"revision": int}, query(request, PAGING), descending=True)
        shown: list[dict[str, Any]] = answer["items"]
        if not shown and not rows.exists():
            raise Problem("unknown_sworm", f"no definition is named {sworm!r}")
        if shown:
            older = rows.filter(revision__lt=shown[-1]["revision"]).order_by("-revision").values(*REVISION).first()
            for newer, before in zip(shown, [*shown[1:], older], strict=True):
                newer["changed"] = difference(before["fields"], newer["fields"]) if before else {}
        return json(answer)


class RevertSworm(Endpoint):
    """Going back."""

    scopes = {"POST": CONFIG_WRITE}

    @documented(
        "Go back to a revision of a definition",
        body=Revert,
        answers={200: "Sworm"},
        problems=["unknown_revision", "precondition_required", "precondition_failed"],
        if_match=True,
    )
    def post(self, request: Request, sworm: str) -> HttpResponse:
        """Write again, as a new revision, what the definition was at an older one."""
        before = definitions.get(sworm)
        revision = expected(request, before)
        body = read(request, Revert)
        untried = trials.refuse_unusable(sworm, before, definitions.at_revision(sworm, body.revision))
        row = definitions.revert(sworm, body.revision, revision, self.principal, self.reason(body))
        return json(advised(row, before, untried), ETag=definitions.etag(row))
