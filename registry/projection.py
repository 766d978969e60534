"""Replicas as rows: what the read model says about what the copies say.

Law: pure values and functions, no database. A row is made from an entry and from nothing else, so that two observers
make the same rows; what JSON columns cannot hold is made readable, never refused. `Mirror` is what PostgreSQL is known
to hold; comparing with it turns "something changed" into the least to write, and a replica into a reconciliation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from registry.core.directory import CORDONED, DRAINING, OBSERVING
from registry.core.ids import node_of
from registry.core.membership import MemberInfo
from registry.core.messages import DIRECTORY
from registry.core.names import HANDING_OFF, MOVED, Located
from registry.core.replica import Replica
from registry.jsonable import jsonable

#: (sworm, name)
Key = tuple[str, str]

#: (sworm, group, pid)
Membership = tuple[str, str, str]

#: A process as the live stream shows it. Arguments and meta may be long; they are read over REST when somebody looks.
STREAM_COLUMNS = (
    "sworm", "name", "pid", "node", "epoch", "state", "target", "isolation", "groups", "restarts", "started_at",
    "revision",
)  # fmt: skip

#: Status of a node in the stream that is to be shown no more.
FORGOTTEN = "forgotten"

#: Bounds of what a foreign clock or counter may put into a column: the year 9999, and a 32-bit integer.
_LAST_MS = 253_402_300_799_000
_LAST_INT = 2**31 - 1

#: Statuses of nodes that are over.
_ENDED = ("left", "dead")

_encode_json = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder().decode


class ProcessRow(msgspec.Struct, frozen=True):
    """One row of `Process` without its revision; `args`, `kwargs` and `meta` as JSON text with sorted keys."""

    sworm: str
    name: str
    pid: str
    node: str
    epoch: int
    state: str
    target: str
    args: str
    kwargs: str
    isolation: str
    groups: tuple[str, ...]
    meta: str
    restarts: int
    started_at: int  #: ms since 1970
    of: str = ""  #: the own name of its process, where this is a further one


class NodeRow(msgspec.Struct, frozen=True):
    """One row of `Node` without its revision, its `last_seen` and what reports say of it."""

    name: str
    incarnation: int
    status: str
    cordoned: bool
    url: str
    labels: dict[str, str]
    capacity: float
    sworms: tuple[str, ...]
    processes: int


def json_text(value: Any) -> str:
    """A value as JSON text in one form, so that equal values are equal texts."""
    return _encode_json(jsonable(value)).decode()


def _unpacked(packed: bytes, otherwise: Any) -> Any:
    """What an entry carries, or what stands for it when nothing (or nonsense) is there."""
    if not packed:
        return otherwise
    try:
        return _decode(packed)
    except (msgspec.DecodeError, RecursionError):
        return otherwise


def _arguments(packed: bytes) -> tuple[str, str]:
    if not packed:
        return "[]", "{}"
    value = _unpacked(packed, None)
    if not isinstance(value, list) or len(value) != 2:
        return "[]", "{}"
    return json_text(value[0]), json_text(value[1])


def process_row(sworm: str, name: str, found: Located, groups: tuple[str, ...] = ()) -> ProcessRow:
    """The row of a registration."""
    entry, spec = found.entry, found.entry.spec
    args, kwargs = _arguments(spec.args) if spec else ("[]", "{}")
    return ProcessRow(
        sworm=sworm,
        name=name,
        pid=found.pid,
        node=node_of(found.origin),
        epoch=entry.epoch,
        state=HANDING_OFF if entry.state == MOVED else entry.state,
        target=spec.target if spec else "",
        args=args,
        kwargs=kwargs,
        isolation=spec.isolation if spec else "task",
        groups=groups,
        meta=json_text(_unpacked(spec.meta, {})) if spec and spec.meta else "{}",
        restarts=min(entry.restarts, _LAST_INT),
        started_at=max(0, min(entry.started_at, _LAST_MS)),
        of=entry.of,
    )


def current_row(sworm: str, name: str, replica: Replica) -> ProcessRow | None:
    """The row of a name as a replica has it now. A further name shows what runs under the own one, and no groups: those
    stand with the name that was joined.
    """
    found = replica.index.get(name)
    if found is None:
        return None
    own = replica.index.get(found.entry.of) if found.entry.of else None
    if own is not None:
        found = found._replace(entry=found.entry._replace(spec=own.entry.spec))
    groups = tuple(group for group in replica.groups_of(found.pid) if replica.groups[group].get(found.pid) == name)
    return process_row(sworm, name, found, groups)


def node_status(member: MemberInfo) -> str:
    """A node's status in REST's words."""
    return "draining" if member.state == "alive" and member.record.status == DRAINING else member.state


def node_rows(members: Iterable[MemberInfo], processes: Mapping[str, int]) -> dict[str, NodeRow]:
    """{name: row}, each node at its newest incarnation; observers are no nodes."""
    newest: dict[str, MemberInfo] = {}
    for member in members:
        if member.record.status == OBSERVING or not member.record.sworms:
            continue  # an observer, or one that left
        known = newest.get(member.node)
        if known is None or known.incarnation < member.incarnation:
            newest[member.node] = member
    return {name: _node_row(member, processes.get(name, 0)) for name, member in newest.items()}


def _node_row(member: MemberInfo, processes: int) -> NodeRow:
    record = member.record
    return NodeRow(
        name=member.node,
        incarnation=member.incarnation,
        status=node_status(member),
        cordoned=record.status == CORDONED,
        url=record.url,
        labels={jsonable(key): jsonable(value) for key, value in record.labels.items()},
        capacity=record.capacity,
        sworms=tuple(record.sworms),
        processes=processes,
    )


@dataclass(slots=True)
class Batch:
    """What one transaction is to change among the rows."""

    upserts: list[ProcessRow] = field(default_factory=list)
    removed: list[Key] = field(default_factory=list)
    nodes: list[NodeRow] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  #: nodes that an operator wants to see no more
    joined: dict[Membership, str] = field(default_factory=dict)  #: {(sworm, group, pid): name}
    left: set[Membership] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.upserts or self.removed or self.nodes or self.forgotten)


class Mirror:
    """The rows that PostgreSQL holds, as far as known here."""

    def __init__(self, processes: Iterable[ProcessRow] = (), nodes: Iterable[NodeRow] = ()) -> None:
        self.processes: dict[Key, ProcessRow] = {(row.sworm, row.name): row for row in processes}
        self.nodes: dict[str, NodeRow] = {row.name: row for row in nodes}
        self._names: Counter[tuple[str, str]] = Counter((row.node, row.pid) for row in self.processes.values())
        self._count: Counter[str] = Counter(node for node, _ in self._names)  #: processes, however many names they have

    def compare(self, replicas: Mapping[str, Replica], names: Mapping[str, Iterable[str]]) -> Batch:
        """What must be written so that the rows of these names are as the replicas have them."""
        batch = Batch()
        for sworm, touched in names.items():
            replica = replicas.get(sworm) if sworm != DIRECTORY else None
            for name in touched:
                self._compare_one(batch, (sworm, name), current_row(sworm, name, replica) if replica else None)
        batch.left -= batch.joined.keys()
        return batch

    def _compare_one(self, batch: Batch, key: Key, row: ProcessRow | None) -> None:
        before = self.processes.get(key)
        if row is None and before is not None:
            batch.removed.append(key)
        elif row is not None and row != before:
            batch.upserts.append(row)
        was = {(before.sworm, group, before.pid) for group in before.groups} if before is not None else set()
        now = {(row.sworm, group, row.pid) for group in row.groups} if row is not None else set()
        batch.left |= was - now
        batch.joined.update(dict.fromkeys(now - was, key[1]))

    def compare_all(self, replicas: Mapping[str, Replica]) -> Batch:
        """The same for every name, of the rows or of the replicas: the reconciliation."""
        names: dict[str, set[str]] = {sworm: set(replica.index) for sworm, replica in list(replicas.items())}
        for sworm, name in self.processes:
            names.setdefault(sworm, set()).add(name)
        return self.compare(replicas, names)

    def compare_nodes(self, batch: Batch, members: Iterable[MemberInfo], left: Mapping[str, int]) -> None:
        """Add to a batch the nodes that differ once its processes are written.

        `left` is {node: incarnation} of those that left and are forgotten: a look may come too late to see them leave.
        """
        count = self._count + self._recount(batch)[1]
        rows = node_rows(members, count)
        for name, row in self.nodes.items():
            found = rows.get(name)  # every copy is here; if none speaks of this incarnation any more, it ended unseen
            if found is None or (found.status in _ENDED and found.incarnation < row.incarnation):
                said = "left" if left.get(name) == row.incarnation else "dead"
                status = row.status if row.status in _ENDED else said
                rows[name] = msgspec.structs.replace(row, status=status, processes=count.get(name, 0))
        batch.nodes = [row for name, row in rows.items() if row != self.nodes.get(name)]

    def _recount(self, batch: Batch) -> tuple[Counter[tuple[str, str]], Counter[str]]:
        """How a batch changes the number of names of each process, and of processes on each node."""
        gone = [self.processes.get(key) for key in batch.removed]
        gone += [self.processes.get((row.sworm, row.name)) for row in batch.upserts]
        names = Counter((row.node, row.pid) for row in batch.upserts)
        names.subtract((row.node, row.pid) for row in gone if row is not None)
        count: Counter[str] = Counter()
        for key, change in names.items():
            count[key[0]] += (self._names[key] + change > 0) - (self._names[key] > 0)
        return names, count

    def written(self, batch: Batch) -> None:
        """The batch was committed."""
        names, count = self._recount(batch)
        self._count.update(count)
        self._names.update(names)
        for gone in [process for process in names if self._names[process] <= 0]:
            del self._names[gone]
        for key in batch.removed:
            self.processes.pop(key, None)
        for row in batch.upserts:
            self.processes[(row.sworm, row.name)] = row
        for node in batch.nodes:
            self.nodes[node.name] = node
