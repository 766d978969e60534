"""What an observer's member knows, taken so that it fits together.

Law: the only place where the writer's thread touches the member, always under the runner's lock and never for long;
what is handed out is the caller's own. "Synced" means that nothing a linked peer told of is missing here: before that,
absence proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Any, NamedTuple

from registry.core.directory import DEFINED_DELETED, DEFINED_REVISION, DEFINITION
from registry.core.ids import Origin, node_of
from registry.core.member import Changes, Member
from registry.core.membership import MemberInfo
from registry.core.messages import DIRECTORY, Summary, Versions
from registry.core.names import STARTING, Key
from registry.core.origin import VersionedMap
from registry.core.replica import Replica
from registry.readmodel import SnapshotRow, Vector, packed


class Seen(NamedTuple):
    """What changed since the last look, and how far the copies are now."""

    names: dict[str, set[str]]  #: {sworm: names}
    nodes: bool  #: whether anything about nodes may have changed
    members: list[MemberInfo]
    versions: Vector  #: of every copy
    left: dict[str, int]  #: {node: incarnation} that left and of which nothing is known any more


class Watch:
    """The writer's view of a member. `lock` is the one around the member's steps."""

    def __init__(self, member: Member, lock: AbstractContextManager[Any]) -> None:
        self._member = member
        self._lock = lock
        self._synced = False
        self._changes = Changes({}, False)  #: looked at, and not taken yet
        self._digests: dict[Origin, dict[str, dict[Origin, bytes]]] = {}

    @property
    def replicas(self) -> Mapping[str, Replica]:
        """All replicas; looking up single names needs no lock."""
        return self._member.replicas

    def expects_more(self) -> bool:
        """Whether another change follows at once upon what changed since `take`: a process is just starting."""
        with self._lock:
            self._look()
        return any(
            name in replica.index and replica.index[name].entry.state == STARTING
            for sworm, names in self._changes.names.items()
            if (replica := self.replicas.get(sworm)) is not None
            for name in names
        )

    def take(self) -> Seen:
        """What changed since this was asked last. The copies are at least at `versions` when it returns."""
        member = self._member
        with self._lock:
            self._look()
            changes, self._changes = self._changes, Changes({}, False)
            return Seen(changes.names, changes.nodes, member.members(), self._vector(), dict(member.left))

    def _look(self) -> None:
        self._member.gather_changes()
        names, nodes = self._member.take_changes()
        for sworm, touched in names.items():
            self._changes.names.setdefault(sworm, set()).update(touched)
        self._changes = Changes(self._changes.names, self._changes.nodes or nodes)

    def _vector(self) -> Vector:
        return {sworm: replica.versions() for sworm, replica in self._member.replicas.items()}

    def synced(self) -> bool:
        """Whether, at some moment, everything that the linked peers (at least one) held was here."""
        if not self._synced:
            with self._lock:
                self._synced = self._holds_all()
        return self._synced

    def _holds_all(self) -> bool:
        peers = list(self._member.repair.peers)
        summaries = self._member.summaries
        return bool(peers) and all(peer in summaries and self._holds(summaries[peer]) for peer in peers)

    def _holds(self, summary: Summary) -> bool:
        return all(
            self._version(sworm, origin) >= version or self._member.is_over(origin)
            for sworm, versions in summary.versions.items()
            for origin, version in versions.items()
        )

    def _version(self, sworm: str, origin: Origin) -> int:
        replica = self._member.replicas.get(sworm)
        return replica.version(origin) if replica else 0

    def alive(self) -> list[str]:
        """Names of the nodes that are heard of now."""
        with self._lock:
            return sorted({member.node for member in self._member.members() if member.state == "alive"})

    # ----------------------------------------------------------------------------------------------------- definitions

    def publish(self, definitions: list[tuple[Any, ...]]) -> bool:
        """Write definitions (plain values in the order of the wire) into the own map; whether that changed it."""
        changes: dict[Key, Any] = {(DEFINITION, str(wire[0])): wire for wire in definitions}
        with self._lock:
            before = self._version(DIRECTORY, self._member.origin)
            return self._member.write(DIRECTORY, changes) != before

    def definitions_held(self) -> dict[str, dict[str, int]]:
        """{node: {sworm: revision}} of the definitions written here that each linked node is known to hold."""
        with self._lock:
            member = self._member
            own = member.replicas[DIRECTORY].copies[member.origin]
            written = {
                key[1]: (own.log.get(key, 0), value) for key, value in own.entries.items() if key[0] == DEFINITION
            }
            held = {
                peer: member.repair.peers[peer].known.get(DIRECTORY, {}).get(member.origin, 0)
                for peer in member.repair.peers
            }
        return {
            node_of(peer): {
                sworm: int(wire[DEFINED_REVISION])
                for sworm, (at, wire) in written.items()
                if at <= version and not wire[DEFINED_DELETED]
            }
            for peer, version in held.items()
        }

    # ------------------------------------------------------------------------------------------------------- snapshots

    def snapshots(self, with_entries: bool) -> list[SnapshotRow]:
        """Each node's replica of each sworm, as that node told it last; the own ones as they are."""
        with self._lock:
            own = self._vector()
            peers = {
                peer: (known.same, self._member.summaries.get(peer))
                for peer, known in self._member.repair.peers.items()
            }
            rows = [self._own_row(sworm, versions, with_entries) for sworm, versions in own.items()]
        self._digests = {peer: told for peer, told in self._digests.items() if peer in peers}
        for peer, (same, summary) in peers.items():
            rows += self._peer_rows(peer, own, same, summary)
        return rows

    def _own_row(self, sworm: str, versions: Versions, with_entries: bool) -> SnapshotRow:
        replica = self._member.replicas[sworm]
        digests = {origin: replica.digest(origin) for origin in versions}
        entries = {origin: _entries(replica.copies[origin]) for origin in versions} if with_entries else None
        return _row(self._member.node, sworm, versions, digests, self._size(sworm, versions), 0, entries)

    def _peer_rows(self, peer: Origin, own: Vector, same: bool, summary: Summary | None) -> list[SnapshotRow]:
        if summary is None:
            return []
        for sworm, told in summary.digests.items():
            self._digests.setdefault(peer, {})[sworm] = told
        rows = []
        for sworm, versions in (own if same else summary.versions).items():
            digests = {
                origin: digest
                for origin, digest in self._digests.get(peer, {}).get(sworm, {}).items()
                if origin in versions
            }
            behind = sum(max(0, version - versions.get(origin, 0)) for origin, version in own.get(sworm, {}).items())
            rows.append(_row(node_of(peer), sworm, versions, digests, self._size(sworm, versions), behind, None))
        return rows

    def _size(self, sworm: str, versions: Versions) -> int:
        replica = self._member.replicas.get(sworm)
        copies = replica.copies if replica else {}
        return sum(len(copies[origin].entries) for origin in versions if origin in copies)


def _row(
    node: str,
    sworm: str,
    versions: Versions,
    digests: Mapping[Origin, bytes],
    size: int,
    behind: int,
    entries: dict[Origin, Any] | None,
) -> SnapshotRow:
    complete = digests.keys() == versions.keys()
    return SnapshotRow(
        node=node,
        sworm=sworm,
        size=size,
        digest=_total(digests) if complete else "",
        digests={origin: digest.hex() for origin, digest in digests.items()},
        versions=dict(versions),
        behind=min(behind, 2**31 - 1),
        entries=None if entries is None else packed(entries),
    )


def _entries(copy: VersionedMap) -> list[tuple[Key, Any, int]]:
    """Each entry with the version of its newest change: so it also tells what the copy was before."""
    return [(key, value, copy.log.get(key, copy.floor)) for key, value in copy.entries.items()]


def _total(digests: Mapping[Origin, bytes]) -> str:
    whole = blake2b(digest_size=16)
    for origin in sorted(digests):
        whole.update(origin.encode() + b"\x00" + digests[origin])
    return whole.hexdigest()
