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
from supervisor.core.events import Effect, Reply, StartWorker
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


@dataclass(slots=True)
class Context:
    """Shared by the parts of one node."""

    member: Member
    config: NodeConfig
    now: float
    out: list[Effect] = field(default_factory=list)
    processes: dict[int, Process] = field(default_factory=dict)
    hosted: dict[tuple[str, str], Process] = field(default_factory=dict)  #: the listed process of a name
    targets: dict[tuple[str, str], Process] = field(default_factory=dict)  #: prepared by handoffs, not opened yet
    callbacks: dict[str, Callable[[Reply], None]] = field(default_factory=dict)  #: replies to this node's own asks
    definitions: dict[str, Definition] = field(default_factory=dict)
    placement: Placement = field(init=False)
    loopback: list[Message] = field(default_factory=list)  #: messages of this node to itself
    serial: int = 0
    draining: bool = False

    def __post_init__(self) -> None:
        self.placement = Placement(self.member.view)

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

    def new_epoch(self, sworm: str, name: str) -> int:
        """An epoch above every one known of this name."""
        return self.member.clock.epoch(self.now, self.member.replica(sworm).highest_epoch(name))

    def is_back(self, origin: Origin) -> bool:
        """Whether an incarnation that counts as dead is linked and speaks: it is about to refute that."""
        member = self.member
        peer = member.repair.peers.get(origin)
        return peer is not None and self.now - peer.heard < member.timing.timeout and member.has_not_left(origin)

    # -------------------------------------------------------------------------------------------------------- writing

    def write_entry(self, process: Process) -> int:
        """Show a process's present phase in the registry; returns the version of the own map."""
        return self.member.write(process.sworm, {process.name: process.entry()}, lazily=process.phase == STARTING)

    def erase_entry(self, process: Process, void: bool = True) -> int:
        """Take a process out of the registry. Where other claims to its name are known or may be, the winning one also
        says up to which epoch the name is gone, so that an entry of a departed node cannot bring it back. Who lost the
        name has no say in that.
        """
        replica = self.member.replica(process.sworm)
        own = replica.copy(self.me).entries.get(process.name)
        if own is None or own.serial != process.serial:
            return replica.version(self.me)
        changes: dict[Key, object] = {process.name: None}
        changes.update({(GROUP, group, process.pid): None for group in replica.groups_of(process.pid)})
        best = replica.index.get(process.name)
        wins = best is not None and best.pid == process.pid
        if void and wins and (self.member.dead or process.name in replica.contested):
            changes[(GONE, process.name)] = max(process.epoch, replica.highest_epoch(process.name))
        return self.member.write(process.sworm, changes)

    # ------------------------------------------------------------------------------------------------------- processes

    def new_process(self, sworm: str, name: str, spec: Spec, epoch: int, claim: str, majority: int) -> Process:
        """A process that is known here and has no worker yet."""
        self.serial += 1
        process = Process(
            self.serial, pid_of(self.me, self.serial), sworm, name, spec, epoch, claim, majority, int(self.now * 1000)
        )
        self.processes[process.serial] = process
        return process

    def list_process(self, process: Process) -> int:
        """Make a process the one that holds its name here; returns the version of the own map."""
        self.hosted[process.sworm, process.name] = process
        return self.write_entry(process)

    def start_worker(self, process: Process, state: bytes = b"", stateful: bool = False) -> None:
        """Ask the shell for the worker of a process that is starting or preparing."""
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
                state,
                stateful,
            )
        )

    def forget_process(self, process: Process) -> None:
        """A process whose worker is gone and which nobody needs any more."""
        self.processes.pop(process.serial, None)
        key = (process.sworm, process.name)
        if self.hosted.get(key) is process:
            del self.hosted[key]
