"""One member of the mesh: replication, the directory, who is alive, and the view that all agree on.

Law: `step` is the only door that changes anything, and it does no I/O. What a member believes of others stands in its
own directory map, so that every belief replicates like any other entry; a member that reads of its own death refutes
it. A view is reported (written) when it is adopted, together with what the copies held at that moment; whoever decides
about names waits until everybody in its view reported that same view and until its own copies hold what they reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from registry.core.absence import Absence
from registry.core.clock import Clock
from registry.core.detours import Detours
from registry.core.directory import (
    AGREEING,
    DEAD,
    FORGOTTEN,
    JOINING,
    LEFT,
    NODE,
    OBSERVING,
    RELAYED,
    SUSPECT,
    UP,
    NodeRecord,
)
from registry.core.entering import Entrance
from registry.core.events import (
    Disconnect,
    HoldCalls,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    MemberEffect,
    MemberEvent,
    Received,
    Report,
    Send,
    Ticked,
    Wake,
)
from registry.core.forgetting import Forgetting
from registry.core.hearing import Hearing
from registry.core.ids import Origin, incarnation_of, node_of, origin_of
from registry.core.membership import (
    Directory,
    MemberInfo,
    Timing,
    View,
    has_ended,
    highest_ended,
    record_of,
    state_of,
    superseded,
    view_of,
)
from registry.core.messages import (
    DIRECTORY,
    Ack,
    Delta,
    Message,
    NotRelayed,
    Relay,
    Relayed,
    Round,
    RoundDone,
    Summary,
    SummaryHash,
    Want,
)
from registry.core.names import Key
from registry.core.quorum import Quorum, Roster
from registry.core.repair import DEFAULT_PIECE, Replicator
from registry.core.replica import Replica
from registry.core.viewing import Viewing

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """How one member starts. `url` and `call_url` are what others dial."""

    timing: Timing
    url: str = ""
    call_url: str = ""
    sworms: tuple[str, ...] = ("*",)
    labels: dict[str, str] = field(default_factory=dict)
    capacity: float = 1.0
    observing: bool = False
    max_clock_skew: float = 5.0  #: seconds
    time_to_refute: float = 86_400.0  #: seconds until a dead incarnation is over for good
    os_pid: int = 0
    quorum_hosts: int = 1  #: a majority is never of fewer hosts than this


class Changes(NamedTuple):
    """What changed since the last `take_changes`."""

    names: dict[str, set[str]]  #: {sworm: names}
    nodes: bool


class Member:
    """A member's whole state. `now` is seconds since 1970; times of different members are compared only by people."""

    def __init__(self, origin: Origin, config: MemberConfig, now: float) -> None:
        self.origin = origin
        self.node = node_of(origin)
        self.config = config
        self.timing = config.timing
        self.clock = Clock(config.max_clock_skew, self.origin)
        self.repair = Replicator(origin, config.timing, self.piece_size)
        self.repair.refused = self.is_over
        self.replicas: dict[str, Replica] = self.repair.replicas
        self.directory: Directory = self.replicas[DIRECTORY].copies
        self.viewing = Viewing(self)
        self.dead: set[Origin] = set()  #: dead, left or superseded: their entries are work
        self.left: dict[str, int] = {}  #: node -> its incarnation that left, once nothing of it is known here
        self.piece_sizes: dict[str, int] = {}
        self.sync_interval = config.timing.heartbeat
        self.absence = Absence()
        self.detours = Detours(self)
        self.hearing = Hearing(self)
        self.forgetting = Forgetting(self, config.time_to_refute)
        self.quorum = Quorum(self, config.quorum_hosts)
        self.repair.echoes = self.viewing.echoes
        self._joined = False
        self.entrance = Entrance()
        self._next_beat = now
        self._woken_at = FOREVER  #: the earliest wish not yet fulfilled
        self._last_step = now
        self.judged = 0  #: grows whenever the directory was judged anew
        self._nodes_changed = True
        self._touched: dict[str, set[str]] = {}
        self._stale = True  #: the directory or a link changed: judge again
        self._judged_news = -1  #: the news of the directory up to which nodes were judged
        self._calm_at = -1  #: the moves of the directory at which a judgement left nothing that time alone changes
        self._beaten = False  #: a beat has passed, and what was judged stands
        self.out: list[MemberEffect] = self.repair.out
        status = OBSERVING if config.observing else JOINING
        self._write_record(
            NodeRecord(config.url, config.call_url, status, list(config.sworms), dict(config.labels),
                       float(config.capacity), 0, int(now * 1000), config.os_pid)
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------------- door

    def step(self, event: MemberEvent, now: float) -> list[MemberEffect]:
        """Take one event; returns the effects, in order."""
        self.handle(event, now)
        self.settle(now)
        self.gather_changes()
        self.schedule(now)
        return self.take_effects()

    def take_effects(self) -> list[MemberEffect]:
        """The effects gathered so far; they are handed out once."""
        out = self.out
        self.out = self.repair.out = []
        return self.detours.route(out) if self.detours.via else out

    def handle(self, event: MemberEvent, now: float) -> None:
        """Take one event without judging the consequences yet."""
        match event:
            case Received():
                self._receive(event, now)
            case Ticked():
                self._tick(now)
            case LinkUp(origin):
                self._link_up(origin, now)
            case LinkDown(origin):
                self.peer_down(origin)
            case LinkRefused(origin, refused):
                if refused:
                    self.hearing.refused(origin)
                self._stale = True
            case Joined():
                self._joined = True
                self._stale = True

    def settle(self, now: float) -> None:
        """Judge what the event meant for nodes and views, and say when to be woken."""
        for _ in range(8):  # an opinion written here may change the next judgement; it settles in two or three rounds
            if not (self._stale or self.repair.directory_moved):
                break
            news = self.replicas[DIRECTORY].news
            others_told = self._stale or news != self._judged_news
            self._stale = self.repair.directory_moved = False
            self._nodes_changed = True
            if others_told:
                self._judged_news = news
                self.judged += 1
                self._judge(now)
            else:  # whoever reports another view says nothing about nodes
                self.viewing.check()
        self._nodes_changed = self._nodes_changed or self._beaten  # when each was heard last
        self._beaten = False
        if not self.ready:
            self.viewing.check()
        self.quorum.settle(now)
        if not self.absence.is_over:
            self._end_absence(now)

    def schedule(self, now: float, also: float = FOREVER) -> None:
        """Ask to be woken: at once when something waits to be flushed, else at the next beat, repair or `also`."""
        due = now if self.repair.dirty else min(self._next_beat, self.repair.due(now) or FOREVER, also)
        if due < self._woken_at:
            self._woken_at = due
            self.out.append(Wake(due))

    @property
    def unsettled(self) -> bool:
        """Whether `settle` has something to do."""
        moved = self._stale or self._beaten or self.repair.directory_moved
        return moved or not self.ready or not self.absence.is_over

    def wakes_by(self, now: float) -> bool:
        """Whether a wish is out that wakes this member at the end of this turn already."""
        return self._woken_at <= now

    # -------------------------------------------------------------------------------------------------------- reading

    def members(self) -> list[MemberInfo]:
        """Every incarnation that the directory knows and that is not over, this one included."""
        found = []
        for origin in list(self.directory):
            record = record_of(self.directory, origin)
            if record is None:
                continue
            peer = self.repair.peers.get(origin)
            heard = origin == self.origin or origin in self.hearing.reached
            state = state_of(record, origin in self.dead, heard)
            found.append(
                MemberInfo(
                    origin,
                    node_of(origin),
                    incarnation_of(origin),
                    record,
                    state,
                    peer.heard if peer else 0.0,
                    peer.relay if peer else "",
                )
            )
        return found

    @property
    def view(self) -> View:
        """The members that agree on who is there, as far as this one knows."""
        return self.viewing.view

    @property
    def ready(self) -> bool:
        """Whether they do, and everything that they held when they agreed is here: so names may be decided about."""
        return self.viewing.ready

    @property
    def directory_moves(self) -> int:
        """Another number whenever something of the directory is not what it was."""
        return self.replicas[DIRECTORY].moves

    @property
    def record(self) -> NodeRecord:
        """What this member says of itself."""
        record = record_of(self.directory, self.origin)
        assert record is not None
        return record

    @property
    def summaries(self) -> dict[Origin, Summary]:
        """The last full summary of each peer."""
        return self.repair.summaries

    def replica(self, sworm: str) -> Replica:
        """A sworm's replica, made when first asked for."""
        return self.repair.replica(sworm)

    def others_alive(self) -> list[Origin]:
        """The other members that run processes and are in reach: one of them must have merged what is acknowledged."""
        return [origin for origin in self.view.agreeing if origin != self.origin and origin in self.hearing.reached]

    def is_over(self, origin: Origin) -> bool:
        """Whether this incarnation was ended here for good, so that nothing of it may come back."""
        return has_ended(self.directory, self.origin, origin) and origin not in self.directory

    def has_departed(self, origin: Origin) -> bool:
        """Whether an incarnation is dead, left or superseded, remembered or not."""
        return origin in self.dead or self.is_over(origin)

    def has_not_left(self, origin: Origin) -> bool:
        """Whether a dead incarnation neither left nor was followed by a newer one: it may run yet, out of reach."""
        record = record_of(self.directory, origin)
        if record is None or record.status not in AGREEING:
            return False
        return origin not in superseded(self.directory, self.origin)

    def ended(self, node: str) -> int:
        """The highest incarnation of a node name that is over; 0: none."""
        return highest_ended(self.directory, self.origin, node)

    def admit(self, origin: Origin) -> int | None:
        """None when a peer may link, else the last incarnation seen of its name: it must come back with more."""
        known = [incarnation_of(o) for o in self.directory if node_of(o) == node_of(origin) and o != origin]
        last = max([self.ended(node_of(origin)), *known])
        return last if incarnation_of(origin) <= last else None

    @property
    def hears_enough(self) -> bool:
        """Whether the others are heard: else nobody can know that nothing is needed any more."""
        return self.ready or (self.config.observing and bool(self.view.agreeing))

    def take_changes(self) -> Changes:
        """What changed since the last time this was asked."""
        names, self._touched = self._touched, {}
        nodes, self._nodes_changed = self._nodes_changed, False
        return Changes(names, nodes)

    def take_touched(self) -> dict[str, set[str]]:
        """The names touched since this was last asked, {sworm: names}."""
        touched: dict[str, set[str]] = {}
        for replica in self.repair.touched:
            if replica.changed:
                touched[replica.sworm], replica.changed = replica.changed, set()
        self.repair.touched.clear()
        return touched

    def gather_changes(self) -> None:
        """Remember what the last events touched, for `take_changes`."""
        for sworm, names in self.take_touched().items():
            self._touched.setdefault(sworm, set()).update(names)

    def piece_size(self, sworm: str) -> int:
        """How many entries go into one piece of a delta."""
        return self.piece_sizes.get(sworm, DEFAULT_PIECE)

    # -------------------------------------------------------------------------------------------------------- writing

    def write(self, sworm: str, changes: Mapping[Key, Any], lazily: bool = False) -> int:
        """Write one change set into the own map of a sworm; returns its version.

        It leaves at the next flush; `lazily`: nobody waits for it, so it may wait for the next change.
        """
        replica = self.replica(sworm)
        if replica.write(self.origin, changes):
            self.repair.wrote(sworm, lazily)
        return replica.version(self.origin)

    def _write_record(self, record: NodeRecord) -> None:
        self.write(DIRECTORY, {NODE: record})

    def set_status(self, status: str) -> None:
        """Say a new status of oneself."""
        if self.record.status != status:
            self._write_record(self.record._replace(status=status, turn=self.record.turn + 1))

    # ------------------------------------------------------------------------------------------------------- messages

    def _receive(self, event: Received, now: float) -> None:
        peer, message = event.origin, event.message
        known = self.repair.peers.get(peer)
        if known is None:
            return  # a frame that its own link outlived
        known.heard = now
        match message:
            case Relay():
                self.detours.pass_on(peer, message, now)
            case Relayed(source, inner):
                if self.detours.arrived(peer, message, now):
                    self.take(source, inner, now)
            case NotRelayed():
                self._stale = self.detours.not_relayed(peer, message, now) or self._stale
            case _:
                self.take(peer, message, now)

    def take(self, peer: Origin, message: Message, now: float) -> None:
        """Take a message of a peer, whichever way it came."""
        known = self.repair.peers[peer]
        match message:
            case Delta():
                self.repair.on_delta(peer, message, now)
            case Ack():
                self.repair.on_ack(peer, message)
            case SummaryHash():
                self.clock.observe(message.sent_at, now)
                if message.echo:
                    self.quorum.voted(peer, message.echo)
                    self.quorum.renew(now)
                self.repair.on_hash(peer, message, now)
                if known.same and self.record.status == JOINING:
                    self.entrance.told_same(peer)
                    self._stale = True
            case Summary():
                self.entrance.told(peer, message.versions)
                self.repair.on_summary(peer, message, now)
                self._stale = self._stale or self.record.status == JOINING
            case Want():
                self.repair.on_want(peer, message)
            case Round(number):
                versions = {sworm: replica.versions() for sworm, replica in self.replicas.items()}
                self.out.append(Send(peer, RoundDone(number, versions)))
            case RoundDone(number, held):
                self.absence.answered(peer, number, held)
            case _:
                pass

    def _link_up(self, origin: Origin, now: float) -> None:
        self.detours.linked(origin)
        self.hearing.linked(origin)
        self.peer_up(origin, now)

    def peer_up(self, origin: Origin, now: float) -> None:
        """A peer is reached, by a link or by a relay."""
        self.repair.link_up(origin, now)
        self.hearing.met(origin, now)
        self._stale = True
        if not self.absence.is_over:
            self.out.append(Send(origin, Round(self.absence.number)))

    def peer_down(self, origin: Origin) -> None:
        """It is not any more."""
        self.repair.link_down(origin)
        self.entrance.gone(origin)
        self._stale = True

    def _tick(self, now: float) -> None:
        self._woken_at = FOREVER
        if now - self._last_step > self.timing.heartbeat + self.timing.timeout / 2:
            self._was_away(now)
            self.out.append(Report("paused", node=self.node, detail=f"away for {now - self._last_step:.1f} s"))
        self._last_step = now
        self.repair.ask_for_gaps(now)
        if now >= self._next_beat:
            self._next_beat = now + min(self.timing.heartbeat, self.sync_interval)
            self.repair.beat(now)
            self.detours.beat(now)
            self.repair.compare_digests()
            self._beaten = self._stands(now)
            self._stale = self._stale or not self._beaten
        self.repair.flush()

    def _was_away(self, now: float) -> None:
        """This node itself was stopped: the silence of the others says nothing, and nobody is answered yet."""
        for peer in self.repair.peers.values():
            peer.heard = now
        others = self.view.agreeing - {self.origin}
        if self.record.status not in AGREEING or not others:
            return
        if self.absence.is_over:
            self.out.append(HoldCalls(True))
        number = self.absence.begin(others, now + self.timing.timeout)
        self.out.extend(Send(peer, Round(number)) for peer in self.repair.peers if peer in others)

    def _end_absence(self, now: float) -> None:
        if self.absence.look(now, self.has_departed, self.viewing.holds):
            self.out.append(HoldCalls(False))

    # -------------------------------------------------------------------------------------------------------- judging

    def _judge(self, now: float) -> None:
        directory = self.directory
        over = superseded(directory, self.origin)
        records = {origin: record_of(directory, origin) for origin in directory}
        there = {origin for origin, record in records.items() if record and record.status != LEFT} - over
        there.add(self.origin)
        self.detours.look(sorted(there - {self.origin}), lambda origin: self.hearing.is_heard(origin, now), now)
        self.hearing.look(there, now)
        for origin in sorted(there - {self.origin}):
            self._next_beat = min(self._next_beat, self.hearing.judge(origin, now))
        self._refute()
        for origin in sorted(over & self.repair.peers.keys()):
            self.out.append(Disconnect(origin, "a newer incarnation of this node has joined"))
        held = {origin for replica in self.replicas.values() for origin in replica.copies}
        dead = {origin for origin in held if origin not in there or self.hearing.holds_dead(origin)}
        self._set_dead(dead)
        self._become_member(now)
        self._adopt_view(view_of(directory, there - dead))
        for origin in self.forgetting.look(over, now):
            self._drop(origin)
        self._calm_at = self.directory_moves if self._is_calm(there - {self.origin}, now) else -1

    def _is_calm(self, others: set[Origin], now: float) -> bool:
        """Whether all are members, linked directly and heard: until something is said, only silence changes it."""
        hearing = self.hearing
        settled = others == hearing.reached and not (self.dead or hearing.outside) and self.record.status != JOINING
        linked = not self.detours.via and others <= self.repair.peers.keys()
        return settled and linked and all(hearing.is_heard(o, now) for o in others)

    def _stands(self, now: float) -> bool:
        """Whether another judgement would find what the last one found: all are linked and heard, nothing was said."""
        calm, timeout = self._calm_at == self.directory_moves, self.timing.timeout
        return calm and all(now - peer.heard < timeout for peer in self.repair.peers.values())

    def hears(self, origin: Origin, now: float) -> bool:
        """Whether a peer is heard, and does not say that this node is out of its reach; or may be heard soon."""
        return self.hearing.hears(origin, now)

    def _refute(self) -> None:
        numbers = [copy.entries.get((DEAD, self.origin), -1) for copy in self.directory.values()]
        worst = max(numbers, default=-1)
        if worst >= self.record.refutation:
            self._write_record(self.record._replace(refutation=worst + 1))
            self.out.append(
                Report("refuted", pid=self.origin, node=self.node, detail=f"{self.origin} was declared dead and is not")
            )

    def _set_dead(self, dead: set[Origin]) -> None:
        if dead == self.dead:
            return
        self.dead = dead
        for replica in self.replicas.values():
            for origin in list(replica.copies):
                replica.set_dead(origin, origin in dead)
            replica.dead = set(dead)

    def _become_member(self, now: float) -> None:
        if self.record.status != JOINING or not self._joined:
            return
        silent = now - self.timing.timeout
        heard = [origin for origin, peer in self.repair.peers.items() if peer.heard > silent]
        if self.entrance.is_open(heard, self.viewing.holds):
            self.set_status(UP)
            self._stale = True

    # ---------------------------------------------------------------------------------------------------------- views

    def _adopt_view(self, view: View) -> None:
        if self.viewing.adopt(view):
            self.quorum.view_adopted()
            self.viewing.report(self.quorum.rosters)
        self.viewing.check()

    def write_rosters(self, rosters: tuple[Roster, ...]) -> None:
        """Report these rosters beside the view."""
        self.viewing.report_rosters(rosters)

    def forget(self, node: str) -> None:
        """An operator gives up the dead incarnations of a node: no majority is counted with them any more."""
        numbers = [incarnation_of(origin) for origin in self.dead if node_of(origin) == node]
        numbers += [
            incarnation_of(origin)
            for roster in self.quorum.all_rosters() for origin in roster.hosts
            if node_of(origin) == node and origin not in self.view.agreeing
        ]  # fmt: skip
        if numbers:
            self.write(DIRECTORY, {(FORGOTTEN, node): max(numbers)})

    # ------------------------------------------------------------------------------------------------------- the end

    def _drop(self, origin: Origin) -> None:
        """Keep nothing of an incarnation that is over for good."""
        record = record_of(self.directory, origin)
        if record and record.status == LEFT:
            node = node_of(origin)
            self.left[node] = max(self.left.get(node, 0), incarnation_of(origin))
        self.detours.end(origin)
        if origin in self.repair.peers:
            self.out.append(Disconnect(origin, "its incarnation is over"))
        for replica in list(self.replicas.values()):
            replica.drop(origin)
        self.dead.discard(origin)
        self.hearing.forget(origin)
        self.entrance.gone(origin)
        self.repair.summaries.pop(origin, None)
        own = self.directory[self.origin].entries
        stale: dict[Key, None] = {(kind, origin): None for kind in (SUSPECT, DEAD, RELAYED) if (kind, origin) in own}
        if stale:
            self.write(DIRECTORY, stale)
        self.out.append(
            Report(
                "ended", pid=origin, node=node_of(origin), detail=f"{origin} is over; its incarnation is not used again"
            )
        )


def next_origin(node: str, now: float, last: int) -> Origin:
    """The origin for a fresh start of a node: later than the clock says and than any incarnation known of it."""
    return origin_of(node, max(int(now * 1000), last + 1))
