"""/events, /events/stream, /map: what happened, as pages, as a stream, and as the map stood.

Law: only reading. A token bound to some sworms sees what concerns those, and nothing else. What was compacted away is
410, never a gap that nobody notices.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.request import Request

from registry import auth
from registry.api.endpoint import Endpoint, json
from registry.api.paging import PAGING, choice, current_revision, moment, page, query, whole
from registry.api.schema import documented
from registry.auth import Principal
from registry.eventstream import CONTENT_TYPE, FIELDS, Wanted, lines
from registry.kinds import KINDS
from registry.models import Event
from registry.past import map_at, refuse_compacted
from registry.problems import refused
from registry.scopes import READ

EQUAL = ("sworm", "name", "node", "kind")
EVENT_FILTERS = ("since", "order", *EQUAL, *PAGING)
STREAM_FILTERS = ("since", *EQUAL)
CHOICES = {"kind": tuple(KINDS)}

#: Largest revision that a column holds.
MAX_REVISION = 2**63 - 1

LAST_SEEN = "Last-Event-ID"


def filtered(equal: dict[str, str], sworms: frozenset[str] | None) -> QuerySet[Event]:
    """The events that somebody wants and may see."""
    rows = Event.objects.filter(**equal)
    return rows if sworms is None else rows.filter(sworm__in=sworms)


def _equal(parameters: Mapping[str, str]) -> dict[str, str]:
    """The values that events are asked to have."""
    choice(parameters, "kind", tuple(KINDS))
    return {field: parameters[field] for field in EQUAL if field in parameters}


def _since(parameters: Mapping[str, str], field: str, newest: int) -> int:
    """The revision after which events are asked for, by default the newest."""
    since = whole(parameters, field, newest, MAX_REVISION)
    if since > newest:
        raise refused(field, f"is {since}, but the newest revision is {newest}")
    refuse_compacted(since)
    return since


class Events(Endpoint):
    """The history."""

    scopes = {"GET": READ}

    @documented("List events", items="Event", query=EVENT_FILTERS, choices=CHOICES, problems=["compacted"])
    def get(self, request: Request) -> HttpResponse:
        """One page, the oldest first unless `order=desc`."""
        parameters = query(request, EVENT_FILTERS)
        rows = filtered(_equal(parameters), self.principal.sworms)
        if "since" in parameters:
            rows = rows.filter(revision__gt=_since(parameters, "since", current_revision()))
        descending = choice(parameters, "order", ("asc", "desc")) == "desc"
        key = {"revision": int, "id": int}
        return json(page(rows.order_by().values(*FIELDS), key, parameters, descending=descending))


class EventStream(Endpoint):
    """The history as it happens."""

    scopes = {"GET": READ}

    @documented("Follow events", stream=CONTENT_TYPE, query=STREAM_FILTERS, choices=CHOICES, problems=["compacted"])
    def get(self, request: Request) -> StreamingHttpResponse:
        """Server-sent events: each has its revision as `id` and an event as JSON in `data`. It begins after `since`
        (or the header `Last-Event-ID`, which browsers send when they come back), else with what happens from now on. A
        `heartbeat` comes each 10 s. It ends when the right to look does.
        """
        parameters = query(request, STREAM_FILTERS)
        equal = _equal(parameters)
        answer = StreamingHttpResponse(
            lines(Wanted(equal, self._since(request, parameters), self._again(request))), content_type=CONTENT_TYPE
        )
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Accel-Buffering"] = "no"  # proxies that buffer would hold it back
        return answer

    def _since(self, request: Request, parameters: dict[str, str]) -> int:
        seen = request.headers.get(LAST_SEEN, "").strip()
        field, told = (LAST_SEEN, {LAST_SEEN: seen}) if seen else ("since", parameters)
        return _since(told, field, current_revision())

    def _again(self, request: Request) -> auth.Again:
        """How to look again whether this principal may still look."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if header:
            return auth.Again(token=header.partition(" ")[2].strip())
        return auth.Again(user=request.user.pk, session=request.session.session_key or "")


class MapAt(Endpoint):
    """The map of a moment."""

    scopes = {"GET": READ}

    @documented(
        "The map as it stood", answers={200: "PastMap"}, query=("at", "sworm"), problems=["invalid", "compacted"]
    )
    def get(self, request: Request) -> HttpResponse:
        """Nodes and processes as they stood at the moment `at`."""
        parameters = query(request, ("at", "sworm"))
        if "at" not in parameters:
            raise refused("at", "is missing; a moment as 2030-01-31T12:00:00Z")
        return json(map_at(moment(parameters, "at"), self._sworms(self.principal, parameters.get("sworm"))))

    def _sworms(self, principal: Principal, wanted: str | None) -> frozenset[str] | None:
        if wanted is None:
            return principal.sworms
        self.require_sworm(wanted)
        return frozenset({wanted})
