"""/replicas: each node's copy of each registry as it was observed, and two such snapshots entry by entry.

Law: only reading. A token bound to some sworms sees what concerns those; the directory is nobody's but theirs who see
all. What a copy held at a version is exactly what its origin's map was at that version (the invariant of the registry),
so entries recorded at another version still say what did not change in between; what did is told as unknown, never
guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db.models import F, Q, QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from registry.api.endpoint import Endpoint, json
from registry.api.paging import PAGING, page, query, whole
from registry.api.schema import documented
from registry.auth import Principal
from registry.core.names import Registration, Spec
from registry.jsonable import jsonable
from registry.models import ReplicaSnapshot
from registry.problems import Problem, refused
from registry.scopes import READ

FIELDS = ("id", "node", "sworm", "size", "digest", "digests", "versions", "behind", "observed_at")
FILTERS = ("node", "sworm", *PAGING)

#: Differences in one answer; the counts tell of all.
MOST = 1000
#: Largest id that a column holds.
MAX_ID = 2**63 - 1


def visible(principal: Principal) -> QuerySet[ReplicaSnapshot]:
    """The snapshots that a principal may see."""
    rows = ReplicaSnapshot.objects.all()
    return rows if principal.sworms is None else rows.filter(sworm__in=principal.sworms)


def newest(rows: QuerySet[ReplicaSnapshot]) -> QuerySet[ReplicaSnapshot]:
    """Of these rows the newest of each (node, sworm)."""
    latest = ReplicaSnapshot.objects.order_by("node", "sworm", "-observed_at", "-pk").distinct("node", "sworm")
    return rows.filter(pk__in=latest.values("pk"))


def _filtered(rows: QuerySet[ReplicaSnapshot], parameters: dict[str, str]) -> QuerySet[ReplicaSnapshot]:
    given = {name: parameters[name] for name in ("node", "sworm") if name in parameters}
    return rows.filter(**given).order_by()


class Replicas(Endpoint):
    """The newest snapshot of each node's replica of each sworm."""

    scopes = {"GET": READ}

    @documented("List replicas", items="Replica", query=FILTERS)
    def get(self, request: Request) -> HttpResponse:
        """One page, by node and sworm; the empty sworm is the cluster-wide directory."""
        parameters = query(request, FILTERS)
        rows = _filtered(newest(visible(self.principal)), parameters).values(*FIELDS)
        return json(page(rows, {"node": str, "sworm": str}, parameters))


class Snapshots(Endpoint):
    """Every snapshot that is kept."""

    scopes = {"GET": READ}

    @documented("List snapshots of replicas", items="Replica", query=FILTERS)
    def get(self, request: Request) -> HttpResponse:
        """One page, the newest first."""
        parameters = query(request, FILTERS)
        rows = _filtered(visible(self.principal), parameters).values(*FIELDS)
        return json(page(rows, {"id": int}, parameters, descending=True))


class Compare(Endpoint):
    """Two snapshots of one sworm."""

    scopes = {"GET": READ}

    @documented(
        "Compare two snapshots",
        answers={200: "Comparison"},
        query=("left", "right"),
        problems=["unknown_snapshot", "invalid"],
    )
    def get(self, request: Request) -> HttpResponse:
        """What differs, origin by origin and entry by entry."""
        parameters = query(request, ("left", "right"))
        left, right = (self._found(parameters, side) for side in ("left", "right"))
        if left.sworm != right.sworm:
            raise refused("right", f"is of {right.sworm or 'the directory'}, not of {left.sworm or 'the directory'}")
        return json(compared(left, right))

    def _found(self, parameters: dict[str, str], side: str) -> ReplicaSnapshot:
        if side not in parameters:
            raise refused(side, "is missing; it is the id of a snapshot")
        number = whole(parameters, side, 0, MAX_ID)
        row = visible(self.principal).filter(pk=number).first()
        if row is None:
            raise Problem("unknown_snapshot", f"no snapshot has the id {number}; it may have been pruned")
        return row


# ------------------------------------------------------------------------------------------------------------ comparing


@dataclass
class Held:
    """What is known of one side's copy of one origin."""

    version: int | None  #: None: it has no copy of this origin
    entries: dict[str, Any] = field(default_factory=dict)  #: key in JSON -> value
    unknown: set[str] = field(default_factory=set)  #: keys that were changed since, or may have been
    complete: bool = False  #: every key is among the entries


def compared(left: ReplicaSnapshot, right: ReplicaSnapshot) -> dict[str, Any]:
    """Two snapshots of one sworm, as the answer."""
    origins = sorted({*left.versions, *right.versions})
    recorded = [_recorded(left), _recorded(right)]
    entries: list[dict[str, Any]] = []
    counts = {"same": 0, "only_left": 0, "only_right": 0, "differs": 0, "unknown": 0}
    told = []
    for origin in origins:
        sides = [_held(row, base, origin) for row, base in zip((left, right), recorded, strict=True)]
        told.append(_origin(origin, left, right, sides))
        for entry in _entries(origin, *sides):
            counts[entry["verdict"]] += 1
            if entry["verdict"] != "same" and len(entries) < MOST:
                entries.append(entry)
    shown = [{name: getattr(row, name) for name in FIELDS} for row in (left, right)]
    return {"left": shown[0], "right": shown[1], "origins": told, "counts": counts, "entries": entries}


def _recorded(row: ReplicaSnapshot) -> ReplicaSnapshot | None:
    """The snapshot whose entries tell most of this one: itself, else the first after it, else the last."""
    if row.entries is not None:
        return row
    kept = ReplicaSnapshot.objects.filter(sworm=row.sworm, entries__isnull=False)
    later = kept.filter(Q(observed_at__gte=row.observed_at)).order_by("observed_at", "pk").first()
    return later or kept.order_by(F("observed_at").desc(), "-pk").first()


def _held(row: ReplicaSnapshot, base: ReplicaSnapshot | None, origin: str) -> Held:
    version = row.versions.get(origin)
    held = Held(version)
    if version is None:
        held.complete = True
        return held
    at = base.versions.get(origin) if base is not None else None
    if base is None or at is None:
        return held
    held.complete = at == version
    for key, value, changed in _unpacked(base).get(origin, ()):
        name = msgspec.json.encode(key).decode()
        if at <= version or (changed is not None and changed <= version):
            held.entries[name] = value
        else:
            held.unknown.add(name)
    return held


def _unpacked(base: ReplicaSnapshot) -> dict[str, list[tuple[Any, Any, int | None]]]:
    """{origin: [(key, value, version of its newest change)]}."""
    found: dict[str, list[list[Any]]] = msgspec.msgpack.decode(bytes(base.entries or b"\x80"))
    return {
        origin: [(entry[0], readable(entry[0], entry[1]), entry[2] if len(entry) > 2 else None) for entry in entries]
        for origin, entries in found.items()
    }


def readable(key: Any, value: Any) -> Any:
    """An entry's value in JSON, with the names of its fields where the key tells what it is."""
    if isinstance(key, str) and isinstance(value, list) and len(value) == len(Registration._fields):
        fields = dict(zip(Registration._fields, value, strict=True))
        spec = fields["spec"]
        if isinstance(spec, list) and len(spec) == len(Spec._fields):
            fields["spec"] = spec[0]
        return jsonable(fields)
    return jsonable(value)


def _origin(origin: str, left: ReplicaSnapshot, right: ReplicaSnapshot, sides: list[Held]) -> dict[str, Any]:
    """One origin on both sides. Equal versions with unequal digests are what must never be."""
    versions = [side.version for side in sides]
    digests = [row.digests.get(origin) for row in (left, right)]
    broken = versions[0] == versions[1] and None not in digests and digests[0] != digests[1]
    known = all(side.complete or side.entries or side.unknown for side in sides)
    return {"origin": origin, "left": versions[0], "right": versions[1], "broken": broken, "known": known}


def _entries(origin: str, left: Held, right: Held) -> list[dict[str, Any]]:
    names = sorted({*left.entries, *right.entries, *left.unknown, *right.unknown})
    return [_entry(origin, name, left, right) for name in names]


def _entry(origin: str, name: str, left: Held, right: Held) -> dict[str, Any]:
    values = [side.entries.get(name) for side in (left, right)]
    return {
        "origin": origin, "key": msgspec.json.decode(name), "left": values[0], "right": values[1],
        "verdict": _verdict(name, left, right),
    }  # fmt: skip


def _verdict(name: str, left: Held, right: Held) -> str:
    if left.version == right.version and left.version is not None:
        return "same"
    there = [name in side.entries for side in (left, right)]
    if all(there):
        return "same" if left.entries[name] == right.entries[name] else "differs"
    absent = left if there[1] else right
    if name in left.unknown or name in right.unknown or not absent.complete:
        return "unknown"
    return "only_left" if there[0] else "only_right"
