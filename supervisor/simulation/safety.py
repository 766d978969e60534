"""What must hold after every single step.

Law: an oracle sees everything and changes nothing. Each kind of effect has its oracle; what is compared with the past
is kept in a form that makes the next comparison cheap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from registry.core.directory import VIEW
from registry.core.events import Report
from registry.core.ids import Origin, serial_of
from registry.core.names import MOVED
from registry.core.replica import Replica
from supervisor.core.events import Drained, Effect, OpenGate, Reply, StartWorker, StopWorker
from supervisor.core.gate import OPEN
from supervisor.core.process import MOVED_PHASE, Process
from supervisor.simulation.oracles import broken
from supervisor.simulation.workers import Worker
from supervisor.simulation.world import Host, World

Slot = tuple[str, str]  # (sworm, name)


class Safety:
    """The oracles of one run."""

    def __init__(self, world: World, gentle: bool = False) -> None:
        """`gentle`: no faults at all, so that at most one process of a name accepts at any moment."""
        self.world = world
        self.gentle = gentle
        self.epochs: dict[tuple[str, str, int], str] = {}
        self.opened: dict[tuple[Origin, Slot], int] = {}  #: the highest epoch that opened there
        self.history: dict[tuple[str, Origin], dict[int, bytes]] = defaultdict(lambda: {0: bytes(16)})
        self.checked: dict[tuple[Origin, str], dict[Origin, int]] = defaultdict(dict)
        self.looked: dict[Origin, dict[str, int]] = defaultdict(dict)  #: at which of its moves a replica was looked at
        self.moved_on: dict[str, str] = {}  #: pid -> the pid that opened in its place
        self.committed: set[str] = set()  #: pids that were moved away: they never open again
        self.offered: dict[str, int] = {}  #: pid -> the highest epoch that a target was prepared with for it
        self.grants: dict[str, str] = {}  #: pid -> the pid that was first started by the same grant of its name
        self.latest: dict[tuple[Origin, Slot], str] = {}  #: the pid that was started there last
        self.orphaned: set[str] = set()  #: targets that go on because their source departed
        self.open: dict[Slot, dict[str, Worker]] = {}  #: workers whose gate was opened, by pid
        self._oracles: dict[type[Any], Callable[[Host, Any], None]] = {
            StartWorker: self._starts,
            OpenGate: self._opens,
            StopWorker: self._stops,
            Reply: self._replied,
            Drained: self._drained,
            Report: self._reported,
        }

    def __call__(self, host: Host, effects: list[Effect]) -> None:
        """Check what one step of one host led to."""
        for effect in effects:
            oracle = self._oracles.get(type(effect))
            if oracle is not None:
                oracle(host, effect)
        moves = host.node.handoffs.moves.values()
        self.committed.update(process.pid for process in moves if process.phase == MOVED_PHASE)

    # -------------------------------------------------------------------------------------------------------- starts

    def _starts(self, host: Host, effect: StartWorker) -> None:
        key = (effect.sworm, effect.name, effect.epoch)
        other = self.epochs.setdefault(key, effect.pid)
        if other != effect.pid and other.rpartition(".")[0] != effect.pid.rpartition(".")[0]:
            raise broken("epoch-once", f"epoch {effect.epoch} of {effect.name} went to {other} and {effect.pid}")
        process = host.node.context.processes.get(effect.serial)
        slot = (effect.sworm, effect.name)
        if process is None:
            return
        if process.prepare is not None:
            source = process.prepare.pid
            self.grants[effect.pid] = self.grants.get(source, effect.pid)
            self.offered[source] = max(effect.epoch, self.offered.get(source, 0))
        elif process.restarts == 0:
            self.grants[effect.pid] = effect.pid
            self._first_start(host, process)
            self._is_new(host, slot, effect.pid)
        else:
            before = self.latest.get((host.origin, slot), "")
            self.grants[effect.pid] = self.grants.get(before, effect.pid)
            if effect.epoch <= self.offered.get(before, 0):
                raise broken(
                    "epochs-grow", f"{effect.pid} of {effect.name} starts below what {before} was offered with"
                )
        self.latest[host.origin, slot] = effect.pid

    def _first_start(self, host: Host, process: Process) -> None:
        """Somebody's claim, served: nothing that its starter knows of may have come of that claim already."""
        dead, replica = host.node.member.dead, host.node.replicas[process.sworm]
        for claim in replica.claims(process.name):
            known = claim.pid != process.pid and claim.entry.claim == process.claim and claim.origin not in dead
            if known and not replica.is_void(process.name, claim.entry):
                raise broken("claim-once", f"{host.origin} starts {process.pid}, and {claim.pid} is of the same claim")

    def _is_new(self, host: Host, slot: Slot, pid: str) -> None:
        """Everybody in the agreed view has told what he lists: nobody in it lists the name without its being known.

        A node that was in another view meanwhile, and is back in this one, has granted in that one.
        """
        member, replicas = host.node.member, host.node.replicas
        for origin in sorted(member.view.agreeing - {host.origin}):
            other = self.world.hosts[origin]
            theirs = other.node.replicas.get(slot[0]) if other.up else None
            listed = theirs is not None and slot[1] in theirs.copy(origin).entries
            if not listed or slot[1] in replicas[slot[0]].copy(origin).entries:
                continue
            said, told = other.node.member.directory[origin].entries.get(VIEW), member.directory.get(origin)
            heard = told.entries.get(VIEW) if told else None
            if heard is None or heard.view != member.view.id:  # a host obeys the arbiter, which has heard
                wrong = host.node.context.placement.arbiter(*slot) == host.origin
            else:
                wrong = heard == said
            if wrong:
                raise broken("one-per-view", f"{host.origin} starts {pid} of {slot[1]}, which {origin} lists")

    # --------------------------------------------------------------------------------------------------------- opens

    def _opens(self, host: Host, effect: OpenGate) -> None:
        worker = host.workers.all.get(effect.serial)
        if worker is None:
            return
        slot, pid, epoch = (worker.effect.sworm, worker.effect.name), worker.effect.pid, worker.effect.epoch
        before = self.opened.setdefault((host.origin, slot), epoch)
        if epoch < before:
            raise broken("epochs-grow", f"{pid} of {slot[1]} opens with epoch {epoch} after {before}")
        self.opened[host.origin, slot] = epoch
        if pid in self.committed:
            raise broken("opens-by-commit", f"{pid} of {slot[1]} thaws after its commit")
        if worker.source:
            self._target_opens(host, worker)
        self._one_accepts(host, slot, worker)

    def _target_opens(self, host: Host, worker: Worker) -> None:
        """While its source lives, as far as its host knows, a target needs the commit: the source's entry."""
        origin, _, serial = worker.source.rpartition(".")
        source = self.world.hosts.get(origin)
        if source is None or not source.up or worker.effect.pid in self.orphaned:
            return
        self.moved_on[worker.source] = worker.effect.pid
        entry = source.node.replicas[worker.effect.sworm].copy(origin).entries.get(worker.effect.name)
        if entry is not None and entry.serial == int(serial) and entry.state != MOVED:
            raise broken("opens-by-commit", f"{worker.effect.pid} opens while {worker.source} is {entry.state}")
        self._ties_follow(host, worker, source)

    def _ties_follow(self, host: Host, worker: Worker, source: Host) -> None:
        """What was tied to the source, and is still its own as far as the target's host knows, is the target's now."""
        replica, serial = host.node.replicas[worker.effect.sworm], serial_of(worker.source)
        for key, entry in source.node.replicas[worker.effect.sworm].copy(source.origin).entries.items():
            if not isinstance(key, str) or (entry.serial, entry.of) != (serial, worker.effect.name):
                continue
            best = replica.index.get(key)
            if best is not None and best.pid == worker.source:
                raise broken("ties-follow", f"{key} stays at {worker.source}, though {worker.effect.pid} has opened")

    def _reported(self, host: Host, report: Report) -> None:
        if report.kind == "rehomed":
            self.orphaned.add(report.pid)
            self.grants[report.pid] = report.pid  # a grant of its own

    def _one_accepts(self, host: Host, slot: Slot, worker: Worker) -> None:
        """Whoever opens must not know of another one that accepts, by the same grant, at a node that lives."""
        known = self.open.setdefault(slot, {})
        known[worker.effect.pid] = worker
        for pid, other in list(known.items()):
            if other.ended or other.gate.state != OPEN or not self.world.hosts[pid.rpartition(".")[0]].up:
                del known[pid]
        if len(known) <= 1 or worker.effect.pid not in known:
            return
        if self.gentle:
            raise broken("one-accepts", f"{slot[1]} is open at {' and '.join(sorted(known))}")
        grant = self.grants.get(worker.effect.pid)
        for pid in sorted(known.keys() - {worker.effect.pid}):
            if self.grants.get(pid) == grant and not host.node.member.has_departed(pid.rpartition(".")[0]):
                raise broken("one-grant", f"{worker.effect.pid} of {slot[1]} opens while {pid} accepts")

    # --------------------------------------------------------------------------------------------------------- stops

    def _stops(self, host: Host, stop: StopWorker) -> None:
        """A source stops when another one has opened, or stands in the registry because a split saw to that."""
        worker = host.workers.all.get(stop.serial)
        if worker is None or stop.reason not in ("moved", "conflict"):
            return
        effect, best = worker.effect, host.node.lookup(worker.effect.sworm, worker.effect.name)
        if stop.reason == "conflict":
            if best is not None and best.pid == effect.pid:
                raise broken("loser-is-outranked", f"{effect.pid} of {effect.name} stops, and nothing outranks it")
            return
        followed = best is not None and best.origin != host.origin and best.entry.epoch > effect.epoch
        if effect.pid not in self.moved_on and not followed:
            raise broken("handoff-keeps-state", f"{effect.pid} of {effect.name} stops before another opened")

    # ------------------------------------------------------------------------------------------------------- replies

    def _replied(self, host: Host, reply: Reply) -> None:
        """Acknowledged means: held by one more live node than the host, if there is one."""
        if reply.result != "started" or not reply.origin:
            return
        others = host.node.member.others_alive()
        sworm = self.world.sworm_of(reply.request)
        holders = [
            other.origin
            for other in self.world.hosts.values()
            if other.node.member.is_over(reply.origin)
            or (sworm in other.node.replicas and other.node.replicas[sworm].version(reply.origin) >= reply.version)
        ]
        if others and len(holders) < 2:
            raise broken("acknowledged-is-held", f"{reply.request} was answered while only {holders} held {reply.pid}")

    def _drained(self, host: Host, effect: Drained) -> None:
        left = [worker.effect.name for worker in host.workers.running()]
        if left and not effect.left_behind:
            raise broken("drained-is-empty", f"{host.origin} said done with {left}")

    # --------------------------------------------------------------------------------------------------------- copies

    def look(self, host: Host) -> None:
        """Check the copies of those replicas of a host that moved since it was last looked at."""
        looked = self.looked[host.origin]
        for sworm, replica in host.node.replicas.items():
            if looked.get(sworm) != replica.moves:
                looked[sworm] = replica.moves
                self._copies(host, sworm, replica)

    def check_copies(self) -> None:
        """Check all copies of all hosts, also of replicas that say that they did not move."""
        for host in self.world.live():
            for sworm, replica in host.node.replicas.items():
                self._copies(host, sworm, replica, whole=True)

    def _copies(self, host: Host, sworm: str, replica: Replica, whole: bool = False) -> None:
        checked, me = self.checked[host.origin, sworm], host.origin
        for origin, copy in replica.copies.items():
            if checked.get(origin) == copy.version and not whole:
                continue
            checked[origin] = copy.version
            past = self.history[sworm, origin]
            digest = copy.digest()
            if origin == me:
                past[copy.version] = digest
                self._accepts_is_registered(host, sworm)
            elif past.get(copy.version) != digest:
                raise broken("copy-is-map", f"{me} holds {origin} of {sworm!r} at {copy.version} otherwise than it was")

    def _accepts_is_registered(self, host: Host, sworm: str) -> None:
        entries = host.node.replicas[sworm].copy(host.origin).entries
        for serial, worker in host.workers.all.items():
            if worker.gate.state == OPEN and worker.effect.sworm == sworm and not worker.ended:
                entry = entries.get(worker.effect.name)
                if entry is None or entry.serial != serial:
                    raise broken("accepts-is-registered", f"{worker.effect.pid} of {worker.effect.name} has no entry")
