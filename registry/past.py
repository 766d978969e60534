"""The map as it stood, and how far the history reaches back.

Law: reads only. The map of a moment is the newest change of each key until then; what is behind the horizon is refused,
never told in part.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from registry.models import Horizon
from registry.problems import Problem, refused
from registry.stream import rfc3339, stamp

#: The newest change of each key until a moment. `%(all)s`: whether processes of all sworms are wanted.
_AT = """
    SELECT sworm, name, revision, row FROM (
        SELECT DISTINCT ON (sworm, name) sworm, name, revision, row FROM registry_change
        WHERE at <= %(at)s AND (%(all)s OR sworm = '' OR sworm = ANY(%(sworms)s))
        ORDER BY sworm, name, revision DESC, id DESC) AS newest
    WHERE row IS NOT NULL ORDER BY sworm, name
"""

_REVISION = "SELECT coalesce(max(revision), 0) FROM registry_change WHERE at <= %s"


def events_floor() -> int:
    """Events up to this revision may be gone."""
    return Horizon.objects.values_list("events", flat=True).first() or 0


def refuse_compacted(since: int) -> None:
    """410 when events after this revision may be gone already."""
    floor = events_floor()
    if since < floor:
        raise Problem(
            "compacted", f"events up to revision {floor} are no longer kept; ask without since, or since={floor}"
        )


def map_at(at: datetime, sworms: frozenset[str] | None) -> dict[str, Any]:
    """The map at a moment: nodes, and the processes of these sworms (None: of all).

    422 for a moment that has not come, 410 for one that is behind the horizon.
    """
    if at > timezone.now():
        raise refused("at", f"{rfc3339(at)} has not come yet")
    began = Horizon.objects.values_list("changes", flat=True).first()
    if began is None or at < began:
        since = "is not kept yet" if began is None else f"is kept since {rfc3339(began)}"
        raise Problem("compacted", f"the map's history {since}")
    nodes: list[dict[str, Any]] = []
    processes: list[dict[str, Any]] = []
    with connection.cursor() as cursor:
        cursor.execute(_REVISION, [at])
        revision = cursor.fetchone()[0]
        cursor.execute(_AT, {"at": at, "all": sworms is None, "sworms": sorted(sworms or ())})
        for sworm, name, number, text in cursor.fetchall():
            row = msgspec.json.decode(text) if isinstance(text, str) else text
            if sworm:
                row["started_at"] = stamp(row["started_at"])
                processes.append({"sworm": sworm, "name": name, **row, "revision": number})
            else:
                nodes.append({"name": name, **row, "revision": number})
    return {"at": rfc3339(at), "revision": revision, "nodes": nodes, "processes": processes}
