"""/processes: what runs in any sworm, in the order that somebody wants to read it in.

Law: only reading, and only the read model. A token bound to some sworms sees the processes of those.
"""

from __future__ import annotations

from datetime import datetime

from django.http import HttpResponse
from rest_framework.request import Request

from registry import items
from registry.api.endpoint import Endpoint, json
from registry.api.paging import choice, page, query
from registry.api.schema import documented
from registry.scopes import READ
from supervisor.api.processes import CHOICES, FILTERS, filtered

#: What the list may be sorted by -> its type; sworm and name decide between equals.
SORTS: dict[str, type] = {
    "sworm": str, "name": str, "node": str, "state": str, "restarts": int, "epoch": int, "started_at": datetime,
}  # fmt: skip

PARAMETERS = ("sworm", "sort", "order", *FILTERS)
WORDS = {"sort": tuple(SORTS), **CHOICES}


class AllProcesses(Endpoint):
    """The processes of every sworm."""

    scopes = {"GET": READ}

    @documented("List processes of all sworms", items="Process", query=PARAMETERS, choices=WORDS)
    def get(self, request: Request) -> HttpResponse:
        """One page, by sworm and name unless `sort` says otherwise."""
        parameters = query(request, PARAMETERS)
        rows = filtered(items.processes(), parameters)
        if "sworm" in parameters:
            rows = rows.filter(sworm=parameters["sworm"])
        if self.principal.sworms is not None:
            rows = rows.filter(sworm__in=self.principal.sworms)
        by = choice(parameters, "sort", tuple(SORTS)) or "sworm"
        descending = choice(parameters, "order", ("asc", "desc")) == "desc"
        return json(page(rows, {by: SORTS[by], "sworm": str, "name": str}, parameters, descending=descending))
