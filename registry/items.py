"""Rows of the read model as the items of REST.

Law: field names are those of the contract; a row is read straight into its item, without a model object between, since
lists and batches hold thousands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from registry.models import Node, Process

PROCESS_FIELDS = (
    "sworm", "name", "pid", "node", "epoch", "state", "target", "args", "kwargs", "isolation", "groups", "meta",
    "restarts", "started_at", "revision",
)  # fmt: skip

NODE_FIELDS = (
    "name", "incarnation", "status", "cordoned", "url", "labels", "capacity", "sworms", "processes", "last_seen",
    "stats", "definitions", "revision",
)  # fmt: skip

#: Names in one query: PostgreSQL takes more, but plans each anew.
CHUNK = 2_000


def processes(**filters: Any) -> QuerySet[Process, dict[str, Any]]:
    """Process items of the rows that pass these filters."""
    rows: QuerySet[Process, dict[str, Any]] = Process.objects.filter(**filters).order_by().values(*PROCESS_FIELDS)
    return rows


def process(sworm: str, name: str) -> dict[str, Any] | None:
    """One process item; None when the read model has none."""
    return processes(sworm=sworm, name=name).first()


def processes_by_name(sworm: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The items of many names; those without a row are left out."""
    wanted = list(names)
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), CHUNK):
        for item in processes(sworm=sworm, name__in=wanted[start : start + CHUNK]):
            found[item["name"]] = item
    return found


def nodes(**filters: Any) -> QuerySet[Node, dict[str, Any]]:
    """Node items of the rows that pass these filters, forgotten ones left out."""
    rows: QuerySet[Node, dict[str, Any]] = (
        Node.objects.filter(**filters, forgotten=False).order_by().values(*NODE_FIELDS)
    )
    return rows


def node(name: str) -> dict[str, Any] | None:
    """One node item; None when there is none."""
    return nodes(name=name).first()
