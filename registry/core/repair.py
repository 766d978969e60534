"""Keeps the copies of all nodes moving to the newest versions: push at once, repair at intervals.

Law: a change of the own map leaves for every linked peer at the next flush; what is lost on the way is found by
comparing versions and asked for (`Want`), never guessed. A summary and its digests are taken from one snapshot. Unequal
digests at equal versions mean that somebody broke the law of versions: it is reported, and the copy is replaced from
the origin itself.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from registry.core.events import MemberEffect, Report, Send
from registry.core.ids import Origin, node_of
from registry.core.membership import Timing
from registry.core.messages import DIRECTORY, Ack, Delta, Summary, SummaryHash, Versions, Want
from registry.core.origin import pieces
from registry.core.replica import Replica

Where = tuple[str, Origin]  # (sworm, origin)

#: Seconds that a change nobody waits for (a process that starts) may wait for company.
LAZY = 0.005

#: Entries in one piece of a delta where no definition says otherwise.
DEFAULT_PIECE = 5_000

#: A busy registry takes digests at least every so many beats; a quiet one takes them at once.
DIGEST_BEATS = 20


class Peer:
    """What this node knows of one peer that is linked, or reached by a relay."""

    __slots__ = ("clock", "hash", "heard", "known", "relay", "same", "told")

    def __init__(self, now: float) -> None:
        self.heard = now
        self.relay: Origin = ""  #: through whom it is reached; empty: it has a direct link
        self.clock = 0  #: `sent_at` of its last heartbeat
        self.hash = b""  #: of all that it held at that heartbeat
        self.known: dict[str, Versions] = {}  #: {sworm: {origin: version}} that it is sure to hold
        self.same = False  #: its last summary hash equals ours
        self.told: dict[str, Versions] | None = None  #: what it held by its last summary; None: it has sent none yet


class Replicator:
    """The replication side of one node. Not a shell: it appends effects to `out`, which the owner hands on."""

    def __init__(self, me: Origin, timing: Timing, piece_size: Callable[[str], int]) -> None:
        self.me = me
        self.timing = timing
        self.piece_size = piece_size
        self.touched: list[Replica] = []
        self.processes: dict[Origin, int] = {}  #: how many each origin lists, of all sworms
        self.replicas: dict[str, Replica] = {DIRECTORY: Replica(DIRECTORY, self.touched, self.processes)}
        self.peers: dict[Origin, Peer] = {}
        self.summaries: dict[Origin, Summary] = {}  #: last full summary of each peer, for observers
        self.out: list[MemberEffect] = []
        self.refused: Callable[[Origin], bool] = lambda origin: False  #: incarnations that are over for good
        self.echoes: Callable[[Origin], bool] = lambda origin: True  #: whose heartbeats are echoed
        self._pushed: dict[str, int] = {}  #: sworm -> version of the own map that left for the peers
        self._unpushed: set[str] = set()
        self._lazy: set[str] = set()  #: to be pushed with the next flush, or at `_lazy_at`
        self._lazy_at = 0.0  #: 0: to be set at the next look
        self._urgent: dict[str, Origin] = {}  #: sworm -> the peer that shall acknowledge the own map at once
        self._acks: dict[Origin, dict[str, Versions]] = {}
        self._ack_now: set[Origin] = set()
        self._owed: dict[Where, dict[Origin, int]] = {}  #: what came too early, and who waits to hear that it is merged
        self._gaps: dict[Where, tuple[float, Origin]] = {}  #: when to ask whom for what is missing
        self._distrusted: set[Where] = set()
        self._hash = b""  #: of the last summary; empty: stale
        self._beats = 0
        self._moved = False  #: some copy moved since the last beat
        self._quiet_beats = 0  #: beats since a copy moved: a busy registry is not hashed for each summary
        self.directory_moved = False

    # ------------------------------------------------------------------------------------------------------- reading

    def replica(self, sworm: str) -> Replica:
        """The replica of a sworm, made when it is first heard of."""
        found = self.replicas.get(sworm)
        if found is None:
            found = self.replicas[sworm] = Replica(sworm, self.touched, self.processes)
            found.dead |= self.replicas[DIRECTORY].dead
        return found

    def vector(self) -> dict[str, Versions]:
        """What all copies hold now, without the directory."""
        return {sworm: replica.versions() for sworm, replica in self.replicas.items() if sworm != DIRECTORY}

    def acknowledged(self, peer: Origin, sworm: str) -> int:
        """The version of the own map that a peer is sure to hold."""
        known = self.peers.get(peer)
        return known.known.get(sworm, {}).get(self.me, 0) if known else 0

    def due(self, now: float) -> float | None:
        """When something is to be done next; None: when something happens."""
        if self._lazy:
            self._lazy_at = self._lazy_at or now + LAZY
            return min(self._lazy_at, self._gaps_due() or self._lazy_at)
        return self._gaps_due()

    def _gaps_due(self) -> float | None:
        return min((at for at, _ in self._gaps.values()), default=None) if self._gaps else None

    def is_newest(self, origin: Origin) -> bool:
        """Whether no linked peer holds more of an origin than is here, as far as all have said what they hold."""
        for known in self.peers.values():
            if known.told is None:
                return False
            for sworm, versions in known.told.items():
                replica = self.replicas.get(sworm)
                if versions.get(origin, 0) > (replica.version(origin) if replica else 0):
                    return False
        return True

    def holds(self, peer: Origin, sworm: str, origin: Origin, version: int) -> bool:
        """Whether a peer is sure to hold a version of an origin that is held here."""
        known = self.peers.get(peer)
        if known is None:
            return False
        return known.known.get(sworm, {}).get(origin, 0) >= version or known.hash == self.summary_hash()

    @property
    def dirty(self) -> bool:
        """Whether a flush has something to send."""
        return bool(self._unpushed or self._urgent or self._ack_now)

    # ------------------------------------------------------------------------------------------------------- writing

    def wrote(self, sworm: str, lazily: bool = False) -> None:
        """The own map of a sworm has a new version. `lazily`: nobody waits for it; another change will follow soon."""
        (self._lazy if lazily else self._unpushed).add(sworm)
        self._touch(sworm)

    def want_ack(self, sworm: str, peer: Origin) -> None:
        """Somebody waits until this peer holds the own map as it is now."""
        self._urgent[sworm] = peer

    def _touch(self, sworm: str) -> None:
        self._hash = b""
        self._moved = True
        if sworm == DIRECTORY:
            self.directory_moved = True

    def flush(self) -> None:
        """Push the own changes to all peers, and the acknowledgements that are waited for: once a turn of the loop."""
        for sworm in sorted(self._unpushed | self._lazy | self._urgent.keys()):
            self._push(sworm, self._urgent.get(sworm, ""))
        self._unpushed.clear()
        self._lazy.clear()
        self._lazy_at = 0.0
        self._urgent.clear()
        for peer in sorted(self._ack_now):
            self._send_acks(peer)
        self._ack_now.clear()

    def _push(self, sworm: str, urgent: Origin) -> None:
        copy = self.replica(sworm).copy(self.me)
        base = self._pushed.get(sworm, 0)
        self._pushed[sworm] = copy.version
        if not self.peers:
            return
        if copy.version == base:  # it has left already: ask for the word that it arrived
            self.out.append(Send(urgent, Delta(sworm, self.me, base, base, [], urgent=True)))
            return
        parts = pieces(copy.delta(sworm, self.me, base), self.piece_size(sworm))
        for peer in self.peers:
            hurry = peer == urgent or sworm == DIRECTORY
            self.out.extend(Send(peer, part._replace(urgent=True) if hurry else part) for part in parts)

    def _send_acks(self, peer: Origin) -> None:
        versions = self._acks.pop(peer, None)
        if versions and peer in self.peers:
            self.out.append(Send(peer, Ack(versions)))

    # --------------------------------------------------------------------------------------------------------- links

    def link_up(self, peer: Origin, now: float) -> None:
        """A fresh link: both sides say at once what they hold."""
        self.peers[peer] = Peer(now)
        self.out.append(Send(peer, self._summary(with_digests=False)))

    def link_down(self, peer: Origin) -> None:
        """The link is gone, and with it what was known of the peer."""
        self.peers.pop(peer, None)
        self._acks.pop(peer, None)
        self._ack_now.discard(peer)
        for where, owed in list(self._owed.items()):
            if owed.pop(peer, 0) and not owed:
                del self._owed[where]
        for replica in self.replicas.values():
            replica.sender_left(peer)

    # ------------------------------------------------------------------------------------------------------ messages

    def on_delta(self, peer: Origin, delta: Delta, now: float) -> None:
        """Take over what fits; remember what is missing."""
        if delta.origin == self.me or self.refused(delta.origin):
            return
        where = (delta.sworm, delta.origin)
        replica = self.replica(delta.sworm)
        moved, gap = replica.receive(delta, peer, replace=where in self._distrusted)
        if moved:
            if delta.base == 0:
                self._distrusted.discard(where)
            self._touch(delta.sworm)
            if where in self._gaps:
                self._recheck(where)
        elif gap:
            self._gaps.setdefault(where, (now + self.timing.hold, peer))
            if delta.urgent:
                owed = self._owed.setdefault(where, {})
                owed[peer] = max(owed.get(peer, 0), delta.version)
        version = replica.version(delta.origin)
        if moved and where in self._owed:
            self._pay(where, version)
        if version >= delta.version:
            self._acks.setdefault(peer, {}).setdefault(delta.sworm, {})[delta.origin] = version
            if delta.urgent:
                self._ack_now.add(peer)
            self._note(peer, delta.sworm, delta.origin, delta.version)

    def _pay(self, where: Where, version: int) -> None:
        """A gap closed: acknowledge what was waited for while it was open."""
        sworm, origin = where
        owed = self._owed[where]
        for peer in [peer for peer, wanted in owed.items() if wanted <= version]:
            del owed[peer]
            self._acks.setdefault(peer, {}).setdefault(sworm, {})[origin] = version
            self._ack_now.add(peer)
        if not owed:
            del self._owed[where]

    def _recheck(self, where: Where) -> None:
        if not self.replica(where[0]).held.get(where[1]):
            del self._gaps[where]

    def _note(self, peer: Origin, sworm: str, origin: Origin, version: int) -> None:
        known = self.peers.get(peer)
        if known is not None:
            versions = known.known.setdefault(sworm, {})
            if versions.get(origin, 0) < version:
                versions[origin] = version

    def on_ack(self, peer: Origin, ack: Ack) -> None:
        """A peer's copies have reached these versions."""
        for sworm, versions in ack.versions.items():
            for origin, version in versions.items():
                self._note(peer, sworm, origin, version)

    def on_want(self, peer: Origin, want: Want) -> None:
        """Send a peer what it lacks of one origin, as far as it is here."""
        replica = self.replicas.get(want.sworm)
        copy = replica.copies.get(want.origin) if replica else None
        if copy is None or (copy.version <= want.base and want.base):
            return
        for part in pieces(copy.delta(want.sworm, want.origin, want.base), self.piece_size(want.sworm)):
            self.out.append(Send(peer, part))

    def on_hash(self, peer: Origin, beat: SummaryHash, now: float) -> None:
        """A heartbeat. Unequal hashes: tell what is held here, so that the peer may ask for it."""
        known = self.peers.get(peer)
        if known is None:
            return
        known.clock, known.hash = beat.sent_at, beat.hash
        known.same = beat.hash == self.summary_hash()
        if not known.same:
            self.out.append(Send(peer, self._summary(with_digests=self._quiet_beats > 1)))

    def on_summary(self, peer: Origin, summary: Summary, now: float) -> None:
        """What a peer holds: ask soon for what is newer there, at once for what contradicts."""
        self.summaries[peer] = summary
        if peer in self.peers:
            self.peers[peer].told = summary.versions
        for sworm, versions in summary.versions.items():
            replica = self.replica(sworm)
            digests = summary.digests.get(sworm, {})
            for origin, version in versions.items():
                self._note(peer, sworm, origin, version)
                if origin == self.me or self.refused(origin):
                    continue
                mine = replica.version(origin)
                if version > mine:
                    # what is new here as a whole is asked for at once; what is only behind may be on its way
                    self._gaps.setdefault((sworm, origin), (now + (self.timing.hold if mine else 0), peer))
                elif version == mine and origin in digests and digests[origin] != replica.digest(origin):
                    self._distrust(peer, sworm, origin, digests[origin])

    def _distrust(self, peer: Origin, sworm: str, origin: Origin, theirs: bytes) -> None:
        where = (sworm, origin)
        if where not in self._distrusted:
            self._distrusted.add(where)
            detail = f"two copies of {origin} differ at one version; this one is replaced from {origin}"
            self.out.append(Report("repaired", sworm=sworm, node=node_of(self.me), detail=detail))
        if origin in self.peers:
            self.out.append(Send(origin, Want(sworm, origin, 0)))
        elif theirs > self.replica(sworm).digest(origin):  # nobody can tell who is right; that all agree can be had
            self.out.append(Send(peer, Want(sworm, origin, 0)))

    def _answers(self, origin: Origin, now: float) -> bool:
        known = self.peers.get(origin)
        return known is not None and now - known.heard < self.timing.timeout

    # --------------------------------------------------------------------------------------------------------- beats

    def ask_for_gaps(self, now: float) -> None:
        """Ask for what is still missing after the hold; it is asked for again until it has come."""
        for where, (at, peer) in list(self._gaps.items()):
            if at > now:
                continue
            del self._gaps[where]
            sworm, origin = where
            source = origin if self._answers(origin, now) else peer
            if source in self.peers and not self.refused(origin):
                self.out.append(Send(source, Want(sworm, origin, self.replica(sworm).version(origin))))

    def beat(self, now: float) -> None:
        """One heartbeat to every peer; where all agree, the logs have done their duty."""
        self._beats += 1
        hash_now = self.summary_hash()
        for peer, known in self.peers.items():
            self._send_acks(peer)
            echo = known.clock if self.echoes(peer) else 0
            self.out.append(Send(peer, SummaryHash(hash_now, int(now * 1_000_000), echo)))
        if not self._moved and self.peers and all(known.same for known in self.peers.values()):
            for replica in self.replicas.values():
                for copy in replica.copies.values():
                    if copy.log:
                        copy.prune()
        self._quiet_beats = 0 if self._moved else self._quiet_beats + 1
        self._moved = False

    def summary_hash(self) -> bytes:
        """8 bytes over all versions held, and over the digests when the registry is quiet."""
        if not self._hash:
            text = repr([(s, sorted(r.versions().items())) for s, r in sorted(self.replicas.items()) if r.versions()])
            self._hash = blake2b(text.encode(), digest_size=8).digest()
        return self._hash

    def _summary(self, with_digests: bool) -> Summary:
        versions = {sworm: replica.versions() for sworm, replica in self.replicas.items()}
        if not with_digests:
            return Summary(versions, {})
        digests = {
            sworm: {origin: replica.digest(origin) for origin in versions[sworm]}
            for sworm, replica in self.replicas.items()
        }
        return Summary(versions, digests)

    def compare_digests(self) -> None:
        """Tell every peer the digests, so that a contradiction at equal versions is found; rarely, for it costs."""
        if self.peers and self._beats % DIGEST_BEATS == 0:
            summary = self._summary(with_digests=True)
            self.out.extend(Send(peer, summary) for peer in self.peers)
