"""What all parts of a node's core share: its member, its processes, the time of this step, and the effects so far.

Law: this holds state and the few helpers that everybody needs; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from registry.core.events import Report, Send
from registry.core.ids import Origin, pid_of
from registry.core.member import Member, MemberConfig
from registry.core.messages import Message
from registry.core.names import GONE, GROUP, Key, Located, Spec
from registry.core.replica import Replica
from supervisor.core.events import Effect, LeaseGate, OpenGate, Reply, StartWorker
from supervisor.core.placement import Placement
from supervisor.core.process import PREPARING, STARTING, Process
from supervisor.core.spec import Definition


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """How one node starts; times in seconds."""

    member: MemberConfig
    resend: float = 0.5  #: until an unanswered claim, order or handoff frame is sent again
    move_timeout: float = 30.0  #: a handoff that did not commit by then is given up
    drain_width: int = 64  #: handoffs at once while draining
    housekeeping: float = 2.0
    calm: float = 3.0  #: no view or definition changed for so long before active redistribution moves anything
    dwell: float = 10.0  #: a process stays where it is for so long before active redistribution moves it (again)
    pace: float = 0.1  #: between two moves of active redistribution, over all sworms


@dataclass(slots=True)
class Context:
    """Shared by the parts of one node."""

    member: Member
    config: NodeConfig
    now: float
    out: list[Effect] = field(default_factory=list)
    processes: dict[int, Process] = field(default_factory=dict)
    hosted: dict[tuple[str, str], Process] = field(default_factory=dict)  #: the listed process of a name
    further: dict[tuple[str, str], Process] = field(default_factory=dict)  #: the process of a further name
    targets: dict[tuple[str, str], Process] = field(default_factory=dict)  #: prepared by handoffs, not opened yet
    callbacks: dict[str, Callable[[Reply], None]] = field(default_factory=dict)  #: replies to this node's own asks
    definitions: dict[str, Definition] = field(default_factory=dict)
    placement: Placement = field(init=False)
    granted: dict[tuple[str, str], int] = field(
        default_factory=dict
    )  #: epochs of moves, while the clock is not past them
    loopback: list[Message] = field(default_factory=list)  #: messages of this node to itself
    by_quorum: frozenset[str] = frozenset()  #: sworms whose processes answer under a lease only
    unheld: list[Process] = field(default_factory=list)  #: opened without a lease: to be stopped again
    serial: int = 0
    draining: bool = False

    def __post_init__(self) -> None:
        self.placement = Placement(self.member.view, self.member.directory)

    @property
    def me(self) -> Origin:
        """The own origin."""
        return self.member.origin

    # -------------------------------------------------------------------------------------------------------- effects

    def send(self, to: Origin, message: Message) -> None:
        """Send to a peer, or to this node itself."""
        if to == self.member.origin:
            self.loopback.append(message)
        else:
            self.out.append(Send(to, message))

    def report(self, kind: str, process: Process, detail: str = "") -> None:
        """Tell people what happened to a process."""
        self.out.append(Report(kind, process.sworm, process.name, process.pid, self.member.node, detail, process.epoch))

    def report_node(self, kind: str, detail: str) -> None:
        """Tell people what happened to this node."""
        self.out.append(Report(kind, node=self.member.node, detail=detail))

    def reply(self, reply: Reply) -> None:
        """End an ask: the shell's, or one of this node's own."""
        own = self.callbacks.pop(reply.request, None)
        if own:
            own(reply)
        else:
            self.out.append(reply)

    # -------------------------------------------------------------------------------------------------------- reading

    def replica(self, sworm: str) -> Replica:
        """The replica of a sworm."""
        return self.member.replica(sworm)

    def best(self, sworm: str, name: str) -> Located | None:
        """The winning entry of a name at a live origin."""
        return self.member.replica(sworm).index.get(name)

    def majority(self) -> int:
        """1 when the view holds a majority of the nodes that did not leave."""
        lost = {origin for origin in self.member.dead if self.member.has_not_left(origin)}
        return int(2 * len(self.member.view.agreeing) > len(self.member.view.agreeing) + len(lost))

    def new_epoch(self, sworm: str, name: str, known: int = 0) -> int:
        """An epoch above `known`, every one known here of this name, and every one granted here to another node."""
        known = max(known, self.member.replica(sworm).highest_epoch(name), self.granted.get((sworm, name), 0))
        return self.member.clock.epoch(self.now, known)

    def grant_epoch(self, sworm: str, name: str, known: int = 0) -> int:
        """A new epoch for what another node is to do. No entry may ever show it, so it is remembered: nobody else is
        given the same.
        """
        epoch = self.granted[sworm, name] = self.new_epoch(sworm, name, known)
        return epoch

    def note_epoch(self, sworm: str, name: str, epoch: int) -> None:
        """An epoch that another node granted to a move from here: no entry may ever show it, and what starts here next
        has a higher one all the same.
        """
        self.granted[sworm, name] = max(epoch, self.granted.get((sworm, name), 0))

    def forget_grants(self) -> None:
        """Drop what the time of day has passed: every epoch from now on is above it anyway."""
        now = int(self.now * 1_000_000)
        self.granted = {key: epoch for key, epoch in self.granted.items() if epoch >= now}

    def is_opening(self, slot: tuple[str, str]) -> bool:
        """Whether a committed move is being opened here."""
        target = self.targets.get(slot)
        return target is not None and target.wanted

    def is_back(self, origin: Origin) -> bool:
        """Whether an incarnation that counts as dead is linked and speaks: it is about to refute that."""
        member = self.member
        peer = member.repair.peers.get(origin)
        return peer is not None and self.now - peer.heard < member.timing.timeout and member.has_not_left(origin)

    # -------------------------------------------------------------------------------------------------------- writing

    def write_entry(self, process: Process) -> int:
        """Show a process's present phase in the registry; returns the version of the own map."""
        return self._write(process, {})

    def _write(self, process: Process, changes: dict[Key, object]) -> int:
        """The entry of a process and of whatever is tied to it, as one change set."""
        entry = changes[process.name] = process.entry()
        if process.ties is not None:
            changes.update(process.ties.entries(process.sworm, process.name, process.pid, entry))
            for sworm in sorted(process.ties.elsewhere(process.sworm)):
                self.member.write(sworm, process.ties.entries(sworm, "", process.pid, entry))
        return self.member.write(process.sworm, changes, lazily=process.phase == STARTING and process.ties is None)

    def erase_entry(self, process: Process, void: bool = True) -> int:
        """Take a process out of the registry, with its further names and groups; a later process of its name on this
        node, which may have been listed while this one stopped, keeps its own.
        """
        replica = self.member.replica(process.sworm)
        self.end_guest_names(process)
        best = replica.index.get(process.name)
        void = void and (best is None or best.pid == process.pid)  # who lost its name leaves the further ones, too
        names = [process.name]
        changes: dict[Key, object] = {}
        if process.ties is not None:
            names += process.ties.names_in(process.sworm)
            changes.update(process.ties.group_keys(process.sworm, process.pid))
        return self.member.write(process.sworm, changes | self._erasure(process, process.sworm, names, void))

    def erase_further(self, process: Process, sworm: str, name: str, void: bool = True) -> int:
        """Take one further name from a process; what joined its groups under that name leaves them."""
        ties = process.ties
        changes = self._erasure(process, sworm, [name], void)
        if ties is not None:
            ties.names.pop((sworm, name), None)
            for slot in [slot for slot, under in ties.groups.items() if slot[0] == sworm and under == name]:
                del ties.groups[slot]
                changes[(GROUP, slot[1], process.pid)] = None
        if self.further.get((sworm, name)) is process:
            del self.further[sworm, name]
        return self.member.write(sworm, changes)

    def end_guest_names(self, process: Process) -> None:
        """This incarnation of a process is over: so are its names and groups in other sworms."""
        ties = process.ties
        for sworm in sorted(ties.elsewhere(process.sworm)) if ties is not None else ():
            assert ties is not None
            names = ties.names_in(sworm)
            changes = ties.group_keys(sworm, process.pid) | self._erasure(process, sworm, names, void=True)
            self.member.write(sworm, changes)
            for name in names:
                self.further.pop((sworm, name), None)
            ties.forget(sworm)

    def _erasure(self, process: Process, sworm: str, names: list[str], void: bool) -> dict[Key, object]:
        """The change that takes names of a process out. Where other claims to a name are known or may be, the winning
        one also says up to which epoch it is gone, so that an entry of a departed node cannot bring it back. Who lost
        the name has no say in that.
        """
        replica = self.member.replica(sworm)
        entries = replica.copy(self.me).entries
        changes: dict[Key, object] = {}
        for name in names:
            own = entries.get(name)
            if own is None or own.serial != process.serial:
                continue
            changes[name] = None
            best = replica.index.get(name)
            wins = best is not None and best.pid == process.pid
            if void and wins and (self.member.dead or name in replica.contested):
                changes[(GONE, name)] = max(own.epoch, replica.highest_epoch(name))
        return changes

    # ------------------------------------------------------------------------------------------------------- processes

    def new_process(self, sworm: str, name: str, spec: Spec, epoch: int, claim: str, majority: int) -> Process:
        """A process that is known here and has no worker yet."""
        self.serial += 1
        process = Process(
            self.serial, pid_of(self.me, self.serial), sworm, name, spec, epoch, claim, majority, int(self.now * 1000)
        )
        self.processes[process.serial] = process
        return process

    def list_process(self, process: Process, instead_of: Process | None = None) -> int:
        """Make a process the one that holds its name here; returns the version of the own map.

        `instead_of`: the incarnation before it on this node, whose groups it takes over. Further names that another
        process of this node holds stay with that; from one that has lost them, and has not gone yet, they are taken.
        """
        slot = (process.sworm, process.name)
        before = self.further.get(slot)
        if before is not None:
            self.erase_further(before, *slot, void=False)
        self.hosted[slot] = process
        if process.ties is not None:
            for further in list(process.ties.names):
                holder = self.further.get(further, instead_of)
                if further in self.hosted or (holder is not instead_of and self._has(holder, further)):
                    del process.ties.names[further]
                    continue
                if holder is not None and holder is not instead_of:
                    self.erase_further(holder, *further, void=False)
                self.further[further] = process
        left = instead_of.ties.group_keys(process.sworm, instead_of.pid) if instead_of and instead_of.ties else {}
        return self._write(process, dict(left))

    def _has(self, process: Process | None, slot: tuple[str, str]) -> bool:
        best = self.best(*slot)
        return process is not None and best is not None and best.pid == process.pid

    def start_worker(self, process: Process) -> None:
        """Ask the shell for the worker of a process that is starting or preparing, with the state kept for it."""
        kept = process.kept
        assert process.phase in (STARTING, PREPARING)
        process.alive = True
        definition = self.definitions.get(process.sworm)
        modules = definition.allowed_modules if definition else ()
        self.out.append(
            StartWorker(
                process.serial,
                process.sworm,
                process.name,
                process.pid,
                process.epoch,
                process.spec,
                modules,
                kept.state if kept is not None else b"",
                kept is not None,
                kept.age_ms(self.now) if kept is not None else None,
            )
        )

    def open_gate(self, process: Process) -> None:
        """Let messages through to a process; where its sworm needs a lease, under the one that stands now."""
        if process.lease is None and process.sworm in self.by_quorum:
            self.hold(process)
        self.out.append(OpenGate(process.serial))

    def hold(self, process: Process) -> None:
        """Put a process under the lease that stands now, or under none if its sworm needs none."""
        needs = process.sworm in self.by_quorum
        process.lease = self.member.quorum.lease if needs else None
        if process.alive:  # else there is no gate, and its next incarnation is opened under a lease of its own
            self.out.append(LeaseGate(process.serial, process.lease))
        if process.lease is not None and not process.lease.holds(self.now):
            self.unheld.append(process)

    def may_decide(self, sworm: str) -> bool:
        """Whether nobody else can be answering for this sworm's names that departed nodes hold."""
        return sworm not in self.by_quorum or self.member.quorum.may_decide(self.now)

    def forget_process(self, process: Process) -> None:
        """A process whose worker is gone and which nobody needs any more."""
        self.processes.pop(process.serial, None)
        key = (process.sworm, process.name)
        if self.hosted.get(key) is process:
            del self.hosted[key]
        for further in process.ties.names if process.ties is not None else ():
            if self.further.get(further) is process:
                del self.further[further]
