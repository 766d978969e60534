"""The read model as its one writer uses it: the term, the counter, and what one transaction changes.

Law: each writing transaction first re-asserts the writer's term, and takes its revisions from the counter, whose row
stays locked to the end: revisions become visible in the order in which they were given. Runs on one thread. After any
`django.db.Error` nothing is known of the last transaction, and the caller must load again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from registry import statements
from registry.core.frozen import frozen
from registry.models import Counter, Node, Sworm
from registry.models.definition import WIRE_FIELDS
from registry.projection import Batch, NodeRow, ProcessRow, json_text
from registry.retention import CHUNK, Keeping, sweep

#: What every node in reach says of another one; `pid` is then the origin that it is about.
WITNESSED = ("suspect", "dead", "refuted", "ended")
#: Seconds between two witnesses' words about one fact, at most: they notice it by timers of their own.
SAME_FACT = 60.0

#: {sworm: {origin: version}}
Vector = dict[str, dict[str, int]]


class TermLost(Exception):
    """Another observer writes the read model now; this one must end."""


class Term(NamedTuple):
    """Who may write, as seen at a moment. `age`: seconds since the term was renewed, by the database's clock."""

    number: int
    holder: str  #: an observer's origin; empty: it was released
    age: float


class EventRow(msgspec.Struct, frozen=True):
    """One row of `Event` without its revision; `at` in seconds since 1970."""

    at: float
    kind: str
    sworm: str = ""
    name: str = ""
    node: str = ""
    pid: str = ""
    epoch: int = 0
    detail: str = ""


class SnapshotRow(msgspec.Struct, frozen=True):
    """One row of `ReplicaSnapshot`, without its moment."""

    node: str
    sworm: str
    size: int
    digest: str
    digests: dict[str, str]
    versions: dict[str, int]
    behind: int
    entries: str | None = None  #: base64 of MessagePack


class Stats(msgspec.Struct, frozen=True):
    """What a node reports of itself; None leaves what is there."""

    node: str
    stats: dict[str, Any] | None = None
    definitions: dict[str, int] | None = None


@dataclass(slots=True)
class Work:
    """What one transaction is to write."""

    rows: Batch = field(default_factory=Batch)
    versions: Vector = field(default_factory=dict)
    events: list[EventRow] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.versions or self.events)


class Written(NamedTuple):
    """The revision that the rows of a transaction have, and the last one that it took."""

    rows: int
    last: int


class ReadModel:
    """One observer's way to the tables. `holder` is the observer's origin."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.term = 0  #: 0: not the writer
        self._swept: datetime | None = None  #: the map's horizon behind which nothing is left to drop

    # ------------------------------------------------------------------------------------------------------- the term

    def read_term(self) -> Term | None:
        """Who holds the term; None: nobody ever did."""
        with connection.cursor() as cursor:
            cursor.execute(statements.READ_TERM)
            row = cursor.fetchone()
        return Term(row[0], row[1], float(row[2])) if row else None

    def take_term(self, seen: Term | None) -> bool:
        """Become the writer, if the term is still as it was seen."""
        Counter.objects.get_or_create(pk=1)
        with connection.cursor() as cursor:
            cursor.execute(statements.BEGIN_HORIZON)
            cursor.execute(statements.TAKE_TERM, [self.holder, *(seen[:2] if seen else (0, ""))])
            row = cursor.fetchone()
        self.term = row[0] if row else 0
        return row is not None

    def release_term(self) -> None:
        """Let another observer begin at once."""
        with connection.cursor() as cursor:
            cursor.execute(statements.RELEASE_TERM, [self.term, self.holder])
        self.term = 0

    def renew_term(self) -> None:
        """Show that the writer lives; raises `TermLost`."""
        with connection.cursor() as cursor:
            self._assert_term(cursor)

    def _assert_term(self, cursor: CursorWrapper) -> None:
        cursor.execute(statements.RENEW_TERM, [self.term, self.holder])
        if cursor.rowcount != 1:
            raise TermLost(self.holder)

    @contextmanager
    def _asserted(self) -> Iterator[CursorWrapper]:
        """A transaction of the writer that takes no revision."""
        with transaction.atomic(), connection.cursor() as cursor:
            self._assert_term(cursor)
            yield cursor

    # -------------------------------------------------------------------------------------------------------- reading

    def load(self) -> tuple[list[ProcessRow], list[NodeRow]]:
        """The rows as they stand. Nobody but the caller changes them, so two statements see one state."""
        with connection.cursor() as cursor:
            cursor.execute(statements.LOAD_PROCESSES)
            processes = [_process_row(row) for row in cursor.fetchall()]
        return processes, [_node_row(row) for row in Node.objects.all()]

    def revision(self) -> int:
        """The last revision that was given out."""
        return Counter.objects.values_list("revision", flat=True).get(pk=1)

    def forgotten(self) -> set[str]:
        """The nodes that an operator wants to see no more."""
        return set(Node.objects.filter(forgotten=True).values_list("name", flat=True))

    def definitions(self) -> list[tuple[Any, ...]]:
        """Every definition, deleted ones too: its fields in the order of the wire, as plain values."""
        rows = Sworm.objects.values_list(*WIRE_FIELDS)
        return [frozen(row) for row in rows]

    # -------------------------------------------------------------------------------------------------------- writing

    def write(self, work: Work) -> Written:
        """Write everything as one transaction; raises `TermLost` with nothing written."""
        rows = 1 if work.rows else 0
        work.events = one_each(work.events)
        count = rows + len(work.events)
        parts: list[tuple[str, list[Any]]] = [
            (statements.TAKE_REVISIONS, [self.term, self.holder, count, count]),
            *_parts(work.rows),
        ]
        if work.versions:
            parts.append((statements.UPSERT_VERSIONS, [_pairs(work.versions)]))
        if work.events:
            witnessed, apart = list(WITNESSED), SAME_FACT
            parts.append((statements.INSERT_EVENTS, [rows, _json(work.events), witnessed, apart, apart, witnessed]))
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH " + ", ".join(text for text, _ in parts) + statements.WRITTEN,
                [value for _, values in parts for value in values],
            )
            taken = cursor.fetchone()
        if taken is None:
            raise TermLost(self.holder)
        return Written(taken[0] + rows, taken[1])

    def forget_versions(self, known: Vector) -> None:
        """Drop the observed versions of origins that nobody holds any more."""
        with self._asserted() as cursor:
            cursor.execute(statements.FORGET_VERSIONS, [_pairs(known)])

    def write_seen(self, nodes: Sequence[str]) -> None:
        """These nodes were heard of lately. No revision: nothing about them changed."""
        with self._asserted() as cursor:
            cursor.execute(statements.SEEN, [list(nodes)])

    def write_stats(self, stats: Iterable[Stats]) -> None:
        """What nodes report of themselves. No revision either."""
        with self._asserted() as cursor:
            cursor.execute(statements.STATS, [_json(list(stats))])

    def write_snapshots(self, rows: Sequence[SnapshotRow]) -> None:
        """The replicas of all nodes, as they stand now."""
        with self._asserted() as cursor:
            cursor.execute(statements.INSERT_SNAPSHOTS, [_json(rows)])

    def prune(self, keeping: Keeping, chunk: int = CHUNK) -> dict[str, int]:
        """Drop what is kept long enough, so many rows of each kind at most: {what: rows dropped}."""
        with self._asserted() as cursor:
            cursor.execute(statements.BEGIN_HORIZON)
            done = sweep(cursor, keeping, chunk, self._swept)
        if done.dropped.get("changes", 0) < chunk:
            self._swept = done.horizon
        return done.dropped


def one_each(events: list[EventRow]) -> list[EventRow]:
    """What several witnesses tell of one node within a batch, told once; the earliest stays."""
    last: dict[tuple[str, str], EventRow] = {}
    spare: set[int] = set()
    for event in sorted((event for event in events if event.kind in WITNESSED), key=lambda event: event.at):
        before = last.get((event.node, event.pid))
        if before is not None and before.kind == event.kind and event.at - before.at <= SAME_FACT:
            spare.add(id(event))
        else:
            last[event.node, event.pid] = event
    return [event for event in events if id(event) not in spare]


def packed(value: Any) -> str:
    """A value as base64 of MessagePack, as `SnapshotRow.entries` wants it."""
    return base64.b64encode(msgspec.msgpack.encode(value)).decode("ascii")


def _parts(rows: Batch) -> list[tuple[str, list[Any]]]:
    """The parts of a statement that change rows of processes and nodes."""
    parts: list[tuple[str, list[Any]]] = []
    if rows.removed:
        parts.append((statements.REMOVE_PROCESSES, [_json(rows.removed)]))
    if rows.upserts:
        parts.append((statements.UPSERT_PROCESSES, [_json(rows.upserts)]))
    if rows.left:
        parts.append((statements.LEAVE_GROUPS, [_json(sorted(rows.left))]))
    if rows.joined:
        joined = [(*membership, name) for membership, name in rows.joined.items()]
        parts.append((statements.JOIN_GROUPS, [_json(joined)]))
    if rows.nodes:
        parts.append((statements.UPSERT_NODES, [_json(rows.nodes)]))
    if rows.forgotten:
        parts.append((statements.TOUCH_FORGOTTEN, [rows.forgotten]))
    return parts


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _pairs(vector: Vector) -> str:
    return _json([(sworm, origin, number) for sworm, all_ in vector.items() for origin, number in all_.items()])


def _canonical(column: Any) -> str:
    """A JSON column as `projection` would have written it; a raw cursor gives jsonb as text."""
    if column in ("[]", "{}"):
        return str(column)
    return json_text(msgspec.json.decode(column))


def _process_row(row: Sequence[Any]) -> ProcessRow:
    values = dict(zip(statements.PROCESS_COLUMNS, row, strict=True))
    for column in ("args", "kwargs", "meta"):
        values[column] = _canonical(values[column])
    values["groups"] = tuple(msgspec.json.decode(values["groups"]))
    return ProcessRow(**values)


def _node_row(row: Node) -> NodeRow:
    return NodeRow(
        name=row.name,
        incarnation=row.incarnation,
        status=row.status,
        cordoned=row.cordoned,
        url=row.url,
        labels=row.labels,
        capacity=row.capacity,
        sworms=tuple(row.sworms),
        processes=row.processes,
    )
