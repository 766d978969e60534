"""Rows of the read model as the items of REST.

Law: field names are those of the contract; a row is read straight into its item, without a model object between, since
lists and batches hold thousands. Single items and batches are on the path of each registration: their SQL is written
out, and JSON columns go from PostgreSQL to the answer as they are, without being parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from django.db import connection
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

#: Columns that hold JSON.
JSON_FIELDS = ("args", "kwargs", "groups", "meta")

_SELECT = f"SELECT {', '.join(PROCESS_FIELDS)} FROM registry_process WHERE sworm = %s AND name"  # noqa: S608 - constants
_ONE = f"{_SELECT} = %s"
_MANY = f"{_SELECT} = ANY(%s)"


def processes(**filters: Any) -> QuerySet[Process, dict[str, Any]]:
    """Process items of the rows that pass these filters."""
    rows: QuerySet[Process, dict[str, Any]] = Process.objects.filter(**filters).order_by().values(*PROCESS_FIELDS)
    return rows


def process(sworm: str, name: str) -> dict[str, Any] | None:
    """One process item; None when the read model has none."""
    with connection.cursor() as cursor:
        cursor.execute(_ONE, [sworm, name])
        row = cursor.fetchone()
    return None if row is None else _item(row)


def processes_by_name(sworm: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The items of many names; those without a row are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_MANY, [sworm, list(names)])
        found = map(_item, cursor.fetchall())
        return {item["name"]: item for item in found}


def _item(row: Sequence[Any]) -> dict[str, Any]:
    item = dict(zip(PROCESS_FIELDS, row, strict=True))
    for field in JSON_FIELDS:
        item[field] = msgspec.Raw(item[field].encode())
    return item


def nodes(**filters: Any) -> QuerySet[Node, dict[str, Any]]:
    """Node items of the rows that pass these filters, forgotten ones left out."""
    rows: QuerySet[Node, dict[str, Any]] = (
        Node.objects.filter(**filters, forgotten=False).order_by().values(*NODE_FIELDS)
    )
    return rows


def node(name: str) -> dict[str, Any] | None:
    """One node item; None when there is none."""
    return nodes(name=name).first()
