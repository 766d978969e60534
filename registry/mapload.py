"""The live map's rows from the tables: all of them, or those after a revision.

Law: reads only; one call sees one state of the database. Every call gives its connection back, since its thread may not
come again for long.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from django.db import connection, transaction
from django.db.models import Min

from registry.items import NODE_FIELDS
from registry.mapstate import Change
from registry.models import Counter, Node, ObserverTerm, Process, Removal
from registry.observed import observer_age
from registry.projection import FORGOTTEN, STREAM_COLUMNS
from registry.stream import rfc3339

Result = TypeVar("Result")

#: What the stream says of a node: as REST does, but for what is asked of one node at a time.
STREAM_NODE = tuple(field for field in NODE_FIELDS if field != "definitions")


class Loaded(NamedTuple):
    """What was read. `age`: seconds since an observer last showed that it writes; None: none ever did."""

    change: Change
    floor: int  #: from here on nothing that was removed is forgotten
    age: float | None


def _gives_back(function: Callable[..., Result]) -> Callable[..., Result]:
    @wraps(function)
    def wrapped(*arguments: Any) -> Result:
        try:
            return function(*arguments)
        finally:
            connection.close()

    return wrapped


@_gives_back
def load(since: int | None) -> Loaded:
    """The rows after a revision; None: all."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        after = -1 if since is None else since
        revision = Counter.objects.values_list("revision", flat=True).first() or 0
        nodes = [_node(row) for row in Node.objects.filter(revision__gt=after).values(*STREAM_NODE, "forgotten")]
        rows = Process.objects.filter(revision__gt=after).values_list(*STREAM_COLUMNS)
        removed = list(Removal.objects.filter(revision__gt=after).values_list("revision", "sworm", "name"))
        floor = Removal.objects.aggregate(least=Min("revision"))["least"] or 0
        change = Change(revision, nodes, [_row(row) for row in rows], removed)
        return Loaded(change, floor, observer_age() if ObserverTerm.objects.exists() else None)


_STARTED_AT = STREAM_COLUMNS.index("started_at")


def _row(row: tuple[Any, ...]) -> list[Any]:
    values = list(row)
    values[_STARTED_AT] = rfc3339(values[_STARTED_AT])
    return values


def _node(row: dict[str, Any]) -> dict[str, Any]:
    if row.pop("forgotten"):
        return {"name": row["name"], "status": FORGOTTEN, "revision": row["revision"]}
    return {**row, "last_seen": rfc3339(row["last_seen"])}
