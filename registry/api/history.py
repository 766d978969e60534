"""/audit: what was done.

Law: only reading. A token bound to some sworms sees what concerns those, and nothing else.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from rest_framework.request import Request

from registry.api.endpoint import Endpoint, json
from registry.api.paging import PAGING, choice, moment, page, query
from registry.api.schema import documented
from registry.models import AuditEntry
from registry.problems import refused
from registry.scopes import READ
from registry.whence import DOORS

AUDIT_FIELDS = (
    "id", "at", "actor", "door", "address", "action", "sworm", "target", "reason", "operation", "before", "after",
    "detail",
)  # fmt: skip
AUDIT_EQUAL = ("actor", "action", "sworm", "target", "door", "operation")
_SPAN = {"from": "at__gte", "until": "at__lt"}
AUDIT_FILTERS = (*AUDIT_EQUAL, "from", "until", "q", *PAGING)


def _equal(parameters: dict[str, str], *fields: str) -> dict[str, Any]:
    return {field: parameters[field] for field in fields if field in parameters}


class Audit(Endpoint):
    """Who did what, why."""

    scopes = {"GET": READ}

    @documented("List the audit", items="AuditEntry", query=AUDIT_FILTERS, choices={"door": DOORS})
    def get(self, request: Request) -> HttpResponse:
        """One page, the newest first."""
        parameters = query(request, AUDIT_FILTERS)
        choice(parameters, "door", DOORS)
        rows = AuditEntry.objects.filter(**_equal(parameters, *AUDIT_EQUAL))
        span = {field: moment(parameters, field) for field in ("from", "until") if field in parameters}
        if len(span) == 2 and span["until"] <= span["from"]:
            raise refused("until", f"{parameters['until']} is not after from, {parameters['from']}")
        rows = rows.filter(**{_SPAN[field]: at for field, at in span.items()})
        if "q" in parameters:
            text = parameters["q"]
            rows = rows.filter(Q(target__icontains=text) | Q(reason__icontains=text) | Q(actor__icontains=text))
        if self.principal.sworms is not None:
            rows = rows.filter(sworm__in=self.principal.sworms)
        return json(page(rows.order_by().values(*AUDIT_FIELDS), {"id": int}, parameters, descending=True))
