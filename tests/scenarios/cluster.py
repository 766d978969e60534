"""A few real nodes, driven by hand: their links, their workers and the time are plain data of the test.

Law: nothing happens by itself. A command hands an event to a node, `settle` delivers what is in flight until all is
quiet, `pass_time` moves the clock from one wake-up to the next. Links keep the order of messages; a cut closes them,
kinds of messages and answers of workers may be held back. Everything is deterministic, so that a transcript can be
compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from registry.core.events import (
    Connect,
    Detour,
    Disconnect,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    Received,
    Send,
    Ticked,
    Wake,
)
from registry.core.ids import node_of, origin_of, origin_of_pid, serial_of
from registry.core.member import FOREVER, MemberConfig
from registry.core.membership import PRESETS
from registry.core.names import Registration, Spec
from supervisor.core.context import NodeConfig
from supervisor.core.events import (
    Asked,
    BounceGate,
    CheckpointTaken,
    Choose,
    Chosen,
    CordonAsked,
    Defined,
    DrainAsked,
    DrainCancelled,
    Drained,
    FreezeGate,
    GiveState,
    HoldCalls,
    LeaseGate,
    OpenGate,
    Reply,
    Report,
    StartWorker,
    StateGiven,
    StateTaken,
    StopWorker,
    TakeCheckpoint,
    TakeState,
    WorkerExited,
    WorkerFailed,
    WorkerStarted,
)
from supervisor.core.gate import BOUNCED, Gate
from supervisor.core.node import Node
from supervisor.core.spec import Definition

#: When every scenario begins, seconds since 1970.
DAWN = 1_700_000_000.0

ROOMS = "rooms"
GOOD = Spec("examples.counters:Counter")

#: Kinds of worker answers that can be held back like messages.
ANSWERS = ("Start", "Stop", "TakeState", "GiveState")


@dataclass
class Worker:
    """The other side of a process: a number that it remembers, behind its gate."""

    start: StartWorker
    gate: Gate[int]
    value: int = 0
    running: bool = False


@dataclass
class Running:
    """One node with its shell's memory."""

    node: Node
    skew: float = 0.0
    wake_at: float = FOREVER
    workers: dict[int, Worker] = field(default_factory=dict)
    paused: bool = False
    held: bool = False  #: whoever asks waits: the node was away
    waiting: list[Any] = field(default_factory=list)  #: events that a paused node will find


class Cluster:
    """Nodes by name; what they did since last asked stands in `log`."""

    def __init__(self) -> None:
        self.now = DAWN
        self.nodes: dict[str, Running] = {}
        self.log: list[str] = []
        self.replies: dict[str, Reply] = {}
        self.links: dict[tuple[str, str], deque[Any]] = {}  #: (from, to) by node name
        self.sides: dict[str, int] = {}  #: nodes with another number are behind a cut
        self.cables: set[frozenset[str]] = set()  #: pairs between which nothing passes
        self.held: set[str] = set()
        self.kept: list[tuple[str, Any, str]] = []  #: (node, event, kind) held back
        self.dropped: set[str] = set()
        self.skews: dict[str, float] = {}
        self.begun = 0  #: incarnations
        self.requests = 0
        self.stateless: set[str] = set()  #: processes whose state cannot be had
        self.ballast = 0  #: bytes by which states are larger than their numbers

    # -------------------------------------------------------------------------------------------------------- nodes

    def start(self, *names: str, config: Callable[[MemberConfig], MemberConfig] = lambda config: config) -> None:
        """Start nodes; each finds those that run already."""
        for name in names:
            self.begun += 1
            origin = origin_of(name, self.begun)
            member = config(MemberConfig(timing=PRESETS["lan"], url=f"ws://{name}"))
            skew = self.skews.get(name, 0.0)
            self.nodes[name] = Running(Node(origin, NodeConfig(member=member), self.now + skew), skew)
            for other in list(self.nodes):
                if other != name and self.reach(name, other):
                    self.link(name, other)
            self.give(name, Ticked())
            self.give(name, Joined())

    def crash(self, name: str) -> None:
        """kill -9: the node and its workers are gone; its peers see their links close."""
        del self.nodes[name]
        for one, other in [pair for pair in self.links if name in pair]:
            del self.links[one, other]
            if other == name and one in self.nodes:
                self.give(one, LinkDown(self._origin_seen(one, name), "closed"))

    def _origin_seen(self, name: str, other: str) -> str:
        peers = self.nodes[name].node.member.repair.peers
        return next(origin for origin in peers if node_of(origin) == other)

    def reach(self, one: str, other: str) -> bool:
        """Whether a cable leads from one to the other, and both run."""
        same_side = self.sides.get(one, 0) == self.sides.get(other, 0)
        return one in self.nodes and other in self.nodes and same_side and frozenset((one, other)) not in self.cables

    def link(self, one: str, other: str) -> None:
        """A link comes to stand, unless one side refuses the other's incarnation."""
        mine, theirs = self.nodes[one].node, self.nodes[other].node
        if (one, other) in self.links or theirs.member.admit(mine.origin) or mine.member.admit(theirs.origin):
            return
        self.links[one, other], self.links[other, one] = deque(), deque()
        self.give(one, LinkUp(theirs.origin))
        self.give(other, LinkUp(mine.origin))

    def unlink(self, one: str, other: str, reason: str = "closed") -> None:
        """A link closes; what was in flight on it is lost."""
        for here, there in ((one, other), (other, one)):
            if self.links.pop((here, there), None) is not None and here in self.nodes:
                self.give(here, LinkDown(self._origin_seen(here, there), reason))

    def cut(self, *sides: Iterable[str]) -> None:
        """Nodes on different sides lose their links and cannot make new ones."""
        for number, names in enumerate(sides):
            self.sides.update(dict.fromkeys(names, number))
        for one, other in sorted(self.links):
            if one < other and not self.reach(one, other):
                self.unlink(one, other)

    def cut_cable(self, one: str, other: str) -> None:
        """Two nodes lose their link and cannot make a new one; others may reach both."""
        self.cables.add(frozenset((one, other)))
        self.unlink(one, other)

    def heal(self) -> None:
        """All cables are whole again; nodes find each other when they dial."""
        self.sides.clear()
        self.cables.clear()

    def skew(self, name: str, seconds: float) -> None:
        """The clock of a node that does not run yet will be off by so much."""
        self.skews[name] = seconds

    def pause(self, name: str) -> None:
        """The operating system stops the node: it takes no event until `resume`."""
        self.nodes[name].paused = True

    def resume(self, name: str) -> None:
        """The node goes on where it stood; what came meanwhile is there at once."""
        running = self.nodes[name]
        running.paused = False
        waiting, running.waiting = running.waiting, []
        self.give(name, Ticked())
        for event in waiting:
            self.give(name, event)

    # ------------------------------------------------------------------------------------------------------- events

    def give(self, name: str, event: Any) -> None:
        """Hand one event to a node and carry out its effects."""
        running = self.nodes[name]
        if running.paused:
            running.waiting.append(event)
            return
        if isinstance(event, Received) and event.origin not in running.node.member.repair.peers:
            return
        for effect in running.node.step(event, self.now + running.skew):
            self.carry_out(name, running, effect)

    def carry_out(self, name: str, running: Running, effect: Any) -> None:
        """What the shell of a node does."""
        match effect:
            case Send(to, message):
                self._send(name, to, message)
            case Connect(origin):
                self._connect(name, origin)
            case Disconnect(origin):
                self.unlink(name, node_of(origin))
            case Wake(at):
                running.wake_at = min(running.wake_at, at - running.skew)
            case Reply():
                self.replies[effect.request] = effect
                self.log.append(f"{name}: {self._reply(effect)}")
            case Report():
                self.log.append(f"{name}: {self._report(effect)}")
            case Drained(left_behind):
                names = ", ".join(process for _, process in left_behind)
                self.log.append(f"{name}: drained" + (f", leaving {names}" if names else ""))
            case Choose():
                self._answer(name, "Choose", self._chosen(effect))
            case HoldCalls(on):
                running.held = on
                self.log.append(f"{name}: {'holds its calls' if on else 'answers again'}")
            case Detour():
                pass
            case LeaseGate(serial, lease):
                worker = running.workers[serial]
                worker.gate = worker.gate.under(lease, lambda: self.now + running.skew)
            case _:
                self._command(name, running, effect)

    def _send(self, name: str, to: str, message: Any) -> None:
        kind = type(message).__name__
        there = node_of(to)
        link = self.links.get((name, there))
        dropped = self._named(self.dropped, kind, there)
        if dropped or link is None or there not in self.nodes or self.nodes[there].node.origin != to:
            return
        event = Received(self.nodes[name].node.origin, message)
        if self._named(self.held, kind, there):
            self.kept.append((there, event, kind))
        else:
            link.append(event)

    def _connect(self, name: str, origin: str) -> None:
        there = node_of(origin)
        if self.reach(name, there) and self.nodes[there].node.origin == origin and not self.nodes[there].paused:
            self.link(name, there)
        else:
            self.give(name, LinkRefused(origin, there not in self.nodes, "no answer"))

    # ------------------------------------------------------------------------------------------------------ workers

    def _command(self, name: str, running: Running, effect: Any) -> None:
        if isinstance(effect, StartWorker):
            worker = running.workers[effect.serial] = Worker(effect, Gate())
            self._answer(name, "Start", self._started(worker))
            return
        if isinstance(effect, BounceGate) and effect.serial not in running.workers:
            return  # the target of a handoff whose state has not come yet
        worker = running.workers[effect.serial]
        match effect:
            case OpenGate():
                for by in worker.gate.open():
                    worker.value += by
            case FreezeGate():
                worker.gate.freeze()
            case BounceGate(_, pid):
                parked = worker.gate.bounce(pid) if worker.gate.state != BOUNCED else []
                if parked:
                    self.log.append(f"{name}: {len(parked)} parked for {worker.start.name} go to {pid or 'nobody'}")
            case StopWorker(serial, reason):
                worker.running = False
                self.log.append(f"{name}: stops {worker.start.name} {worker.start.pid} ({reason})")
                self._answer(name, "Stop", WorkerExited(serial, True))
            case TakeState(serial):
                self._answer(name, "TakeState", self._taken(serial, worker))
            case TakeCheckpoint(serial):
                self.give(name, CheckpointTaken(serial, self._state_of(worker), True))
            case GiveState(serial, loser, state):
                worker.value += int(state)
                self.log.append(f"{name}: {worker.start.name} takes {int(state)} from {loser}")
                self._answer(name, "GiveState", StateGiven(serial, loser))

    def _taken(self, serial: int, worker: Worker) -> StateTaken:
        if worker.start.name in self.stateless:
            return StateTaken(serial, b"", False, "the state is too large")
        return StateTaken(serial, self._state_of(worker), True)

    def _state_of(self, worker: Worker) -> bytes:
        return str(worker.value).encode().rjust(self.ballast)

    def _chosen(self, question: Choose) -> Chosen:
        """What the strategies of these tests say: the last node, one that is none, none, or nothing for an error."""
        nodes = sorted(candidate.node for candidate in question.candidates)
        match question.strategy:
            case "own:last":
                return Chosen(question.request, tuple(nodes[-1] for _ in question.names))
            case "own:nowhere":
                return Chosen(question.request, tuple("n99" for _ in question.names))
            case "own:none":
                return Chosen(question.request, tuple("" for _ in question.names))
            case _:
                return Chosen(question.request, (), f"{question.strategy} raised ValueError: no")

    def _started(self, worker: Worker) -> Any:
        start = worker.start
        if start.spec.target.startswith("bad"):
            return WorkerFailed(start.serial, "target_not_found", f"{start.spec.target} is nowhere")
        worker.running = True
        if start.stateful:
            worker.value = int(start.state)
        return WorkerStarted(start.serial)

    def _answer(self, name: str, kind: str, event: Any) -> None:
        self.kept.append((name, event, kind))

    def running_worker(self, name: str, process: str) -> Worker:
        """The newest running worker of a process name at a node."""
        found = [w for w in self.nodes[name].workers.values() if w.start.name == process and w.running]
        return found[-1]

    def where(self, process: str) -> list[str]:
        """Nodes with an open gate for a process name."""
        return [
            name
            for name, running in sorted(self.nodes.items())
            for worker in running.workers.values()
            if worker.start.name == process and worker.gate.is_open and worker.running
        ]

    def end_worker(self, name: str, process: str, normal: bool, detail: str = "") -> None:
        """A worker ends by itself, or crashes."""
        worker = self.running_worker(name, process)
        worker.running = False
        self.give(name, WorkerExited(worker.start.serial, normal, detail))

    def send_to(self, process: str, by: int) -> str:
        """A message to a process, the way a caller on the first live node finds it: run, parked, or nobody there."""
        name = min(self.nodes)
        best = self.nodes[name].node.lookup(ROOMS, process)
        host = node_of(best.origin) if best else ""
        if best is None or host not in self.nodes or self.nodes[host].node.origin != best.origin:
            return "nobody"
        if self.nodes[host].held:
            return f"held at {host}"
        worker = self.nodes[host].workers[serial_of(best.pid)]
        if worker.gate.is_open:
            worker.value += by
            return f"run by {best.pid}"
        return f"parked at {best.pid}" if worker.gate.park(by) else f"bounced to {worker.gate.moved_to or 'nobody'}"

    # --------------------------------------------------------------------------------------------------------- asks

    def ask(self, name: str, kind: str, process: str, claim: str = "", wait: float = 10.0, **more: Any) -> str:
        """One verb at one node; returns the request, whose reply comes to `replies`."""
        self.requests += 1
        request = f"r{self.requests}"
        deadline = self.now + self.nodes[name].skew + wait
        spec = GOOD if kind == "register" else None
        asked = Asked(request, kind, ROOMS, process, deadline, claim or request, **({"spec": spec} | more))
        self.give(name, asked)
        return request

    def do(self, name: str, kind: str, process: str, **more: Any) -> Reply:
        """Ask, let everything settle, and return the reply."""
        request = self.ask(name, kind, process, **more)
        self.settle()
        return self.replies[request]

    def define(self, name: str, **fields: Any) -> None:
        """A definition of the rooms comes to a node with a command."""
        known = self.nodes[name].node.definitions.get(ROOMS, Definition(ROOMS))
        fields.setdefault("revision", known.revision + 1)
        self.give(name, Defined(known._replace(**fields)))

    def drain(self, name: str, wait: float = 30.0, leave: bool = True) -> None:
        """An operator wants a node empty."""
        self.give(name, DrainAsked(self.now + self.nodes[name].skew + wait, leave))

    def cancel_drain(self, name: str) -> None:
        """The operator has thought again."""
        self.give(name, DrainCancelled())

    def cordon(self, name: str, on: bool = True) -> None:
        """An operator wants a node to take nothing new."""
        self.give(name, CordonAsked(on))

    # --------------------------------------------------------------------------------------------------------- time

    def settle(self) -> None:
        """Deliver what is in flight, and let workers answer, until all is quiet."""
        for _ in range(20_000):
            if not (self._wake_due() or self._deliver_one() or self._release_one()):
                self.check_copies()
                return
        raise AssertionError("the cluster does not come to rest")

    def _deliver_one(self) -> bool:
        for (_, there), link in sorted(self.links.items()):
            if link and not self.nodes[there].paused:
                self.give(there, link.popleft())
                return True
        return False

    def _release_one(self) -> bool:
        for index, (name, _, kind) in enumerate(self.kept):
            if not self._named(self.held, kind, name):
                self._give_kept(index)
                return True
        return False

    def _give_kept(self, index: int) -> None:
        name, event, _ = self.kept.pop(index)
        if name in self.nodes and self._still_meant(name, event):
            self.give(name, event)

    def deliver_kept(self, count: int) -> None:
        """Let the first few of what is held back through, whatever they are."""
        for _ in range(count):
            self._give_kept(0)

    def lose_kept(self) -> None:
        """What is held back never arrives."""
        self.kept.clear()

    @staticmethod
    def _named(kinds: set[str], kind: str, name: str) -> bool:
        """Whether a kind, or `kind>node` for one receiver, is among those."""
        return kind in kinds or f"{kind}>{name}" in kinds

    def _still_meant(self, name: str, event: Any) -> bool:
        serial = getattr(event, "serial", None)
        return serial is None or serial in self.nodes[name].workers

    def _wake_due(self) -> bool:
        for name, running in sorted(self.nodes.items()):
            if running.wake_at <= self.now and not running.paused:
                running.wake_at = FOREVER
                self.give(name, Ticked())
                return True
        return False

    def pass_time(self, seconds: float) -> None:
        """Let time pass, stopping at every wake-up."""
        end = self.now + seconds
        self.settle()
        while True:
            soonest = min((r.wake_at for r in self.nodes.values() if not r.paused), default=FOREVER)
            if soonest > end:
                break
            self.now = max(self.now, soonest)
            self.settle()
        self.now = end

    # ------------------------------------------------------------------------------------------------------- oracles

    def check_copies(self) -> None:
        """copy-is-map: whoever holds an origin at the version that it has now holds exactly its map."""
        for running in self.nodes.values():
            for sworm, replica in running.node.replicas.items():
                mine = replica.copy(running.node.origin)
                for other in self.nodes.values():
                    theirs = other.node.replicas.get(sworm)
                    if theirs and theirs.version(running.node.origin) == mine.version:
                        assert theirs.copy(running.node.origin).entries == mine.entries

    def check_once(self) -> int:
        """runs-is-registered: all nodes look up the same, and exactly what is registered runs; returns how many."""
        listed = {name: self.listed(name) for name in self.nodes}
        first = listed[min(listed)]
        for name, found in listed.items():
            assert found == first, f"{name} sees {found}, {min(listed)} sees {first}"
        further = self.further(min(self.nodes))
        for name, own in further.items():
            assert first[name] == first[own], f"{name} does not stand with {own}"
        running = {
            worker.start.name: worker.start.pid
            for r in self.nodes.values()
            for worker in r.workers.values()
            if worker.running and worker.gate.is_open
        }
        open_gates = [p for p in running for _ in self.where(p)]
        assert sorted(open_gates) == sorted(running), "a name runs twice"
        failed = {process for process, (_, state) in first.items() if state == "failed"}
        own = {process: pid for process, (pid, _) in first.items() if process not in further}
        assert running == {process: pid for process, pid in own.items() if process not in failed}
        return len(own)

    def further(self, name: str) -> dict[str, str]:
        """Further names, as a node looks them up -> the own name of their process."""
        replica = self.nodes[name].node.replicas.get(ROOMS)
        return {n: best.entry.of for n, best in replica.index.items() if best.entry.of} if replica else {}

    def members(self, name: str, group: str) -> list[tuple[str, str]]:
        """Name and pid of a group's members, as a node reads them."""
        return self.nodes[name].node.member.replica(ROOMS).members(group)

    def listed(self, name: str) -> dict[str, tuple[str, str]]:
        """What a node's lookups answer: name -> (pid, state)."""
        replica = self.nodes[name].node.replicas.get(ROOMS)
        return {p: (best.pid, best.entry.state) for p, best in sorted(replica.index.items())} if replica else {}

    def entry(self, name: str, process: str) -> Registration | None:
        """The winning registration of a process name, as a node sees it."""
        best = self.nodes[name].node.lookup(ROOMS, process)
        return best.entry if best else None

    # ---------------------------------------------------------------------------------------------------------- words

    def _reply(self, reply: Reply) -> str:
        words = [reply.request, reply.result]
        if reply.pid:
            words.append(reply.pid)
        if reply.problem:
            words.append(f"({reply.problem}: {reply.detail})")
        return " ".join(words)

    def _report(self, report: Report) -> str:
        subject = f"{report.name} {report.pid}".strip() or report.node
        return f"{report.kind} {subject}" + (f" ({report.detail})" if report.detail else "")


def host_of(reply: Reply) -> str:
    """The node that runs what a reply speaks of."""
    return node_of(origin_of_pid(reply.pid))
