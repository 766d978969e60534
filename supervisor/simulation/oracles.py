"""The named invariants, checked against a whole simulated cluster.

Law: an oracle sees everything and changes nothing. Safety is checked after every step, agreement after the network
has healed and time has passed. The names are those of docs/protocol.md.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from registry.core.directory import LEFT
from registry.core.ids import Origin, pid_of
from registry.core.messages import DIRECTORY
from registry.core.names import GROUP, Registration
from registry.core.replica import Replica
from supervisor.core.constraints import eligible, of_definition
from supervisor.core.events import Drained, Effect, StartWorker
from supervisor.core.gate import OPEN
from supervisor.core.process import LISTED
from supervisor.simulation.world import Host, Violation, World

#: Names of all invariants, with what each says.
INVARIANTS = {
    "epoch-once": "no epoch of a name is given to two pids",
    "copy-is-map": "a copy at version v is exactly its origin's map at v",
    "acknowledged-survives": "an acknowledged registration outlives any one node",
    "one-process": "after a heal each registered name runs once, and accepts messages in one place",
    "runs-is-registered": "what runs and what is registered are the same set",
    "one-reply": "every ask ends in exactly one reply",
    "claim-once": "equal claims start one process",
    "drained-is-empty": "a drain that says done leaves no process",
    "handoff-keeps-state": "a handoff loses no acknowledged change",
    "views-agree": "after a heal all nodes agree on one view and hold the same copies",
    "ties-follow": "further names and groups stand with their process and nowhere else",
    "only-eligible": "a process starts on nodes that host its sworm and meet its constraints",
    "counts-are-kept": "the processes counted for each node are those that it lists",
    "one-accepts": "without faults at most one process of a name accepts messages at any moment",
}


def broken(name: str, detail: str) -> Violation:
    """The error for an invariant that does not hold."""
    assert name in INVARIANTS
    return Violation(f"{name}: {INVARIANTS[name]}; but {detail}")


@dataclass(slots=True)
class Safety:
    """What must hold after every step."""

    world: World
    gentle: bool = False  #: no faults at all: at most one process accepts, always
    epochs: dict[tuple[str, str, int], str] = field(default_factory=dict)
    first_starts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    history: dict[tuple[str, Origin], dict[int, bytes]] = field(default_factory=dict)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    checked: dict[tuple[Origin, str, Origin], int] = field(default_factory=dict)

    def __call__(self, host: Host, effects: list[Effect]) -> None:
        """Check one step of one host."""
        for effect in effects:
            if isinstance(effect, StartWorker):
                self._epoch(effect)
                self._eligible(host, effect)
            elif isinstance(effect, Drained):
                self._drained(host, effect)
        self._copies(host)
        if self.gentle:
            self._one_accepts()

    def _epoch(self, effect: StartWorker) -> None:
        key = (effect.sworm, effect.name, effect.epoch)
        other = self.epochs.setdefault(key, effect.pid)
        if other != effect.pid and other.rpartition(".")[0] != effect.pid.rpartition(".")[0]:
            raise broken("epoch-once", f"epoch {effect.epoch} of {effect.name} went to {other} and {effect.pid}")

    def _eligible(self, host: Host, effect: StartWorker) -> None:
        record, definition = host.node.member.record, host.node.definitions.get(effect.sworm)
        hosted = effect.sworm in record.sworms or "*" in record.sworms
        if not hosted or (definition and not eligible(of_definition(definition.constraints), record.labels)):
            raise broken("only-eligible", f"{effect.name} starts as {effect.pid} on a node with {record.labels}")

    def _drained(self, host: Host, effect: Drained) -> None:
        left = [worker.effect.name for worker in host.workers.running()]
        if left and not effect.left_behind:
            raise broken("drained-is-empty", f"{host.origin} said done with {left}")

    def _copies(self, host: Host) -> None:
        for sworm, replica in host.node.replicas.items():
            for origin, copy in replica.copies.items():
                seen = (host.origin, sworm, origin)
                if self.checked.get(seen) == copy.version:
                    continue
                self.checked[seen] = copy.version
                past = self.history.setdefault((sworm, origin), {0: bytes(16)})
                digest = copy.digest()
                if origin == host.origin:
                    past[copy.version] = digest
                elif past.get(copy.version) != digest:
                    raise broken(
                        "copy-is-map",
                        f"{host.origin} holds {origin} of {sworm!r} at {copy.version} otherwise than it was",
                    )

    def _one_accepts(self) -> None:
        seen: dict[tuple[str, str], str] = {}
        for host in self.world.live():
            for worker in host.workers.running():
                key = (worker.effect.sworm, worker.effect.name)
                if worker.gate.state == OPEN and seen.setdefault(key, worker.effect.pid) != worker.effect.pid:
                    raise broken("one-accepts", f"{key} is open at {seen[key]} and {worker.effect.pid}")


def check_replies(world: World) -> None:
    """One reply for each ask whose node lives."""
    for request, replies in world.replies.items():
        if len(replies) > 1:
            raise broken("one-reply", f"{request} had {[reply.result for reply in replies]}")


def check_agreement(world: World) -> None:
    """All live nodes are ready in one view and hold equal copies."""
    live = [host for host in world.live() if host.node.member.record.status != LEFT]
    views = {host.node.member.view.id for host in live}
    waiting = [host.name for host in live if not host.node.member.ready]
    if len(views) > 1 or waiting:
        raise broken("views-agree", f"{len(views)} views, not ready: {waiting}")
    for sworm in {sworm for host in live for sworm in host.node.replicas if sworm != DIRECTORY}:
        indices = [host.node.member.replica(sworm).index for host in live]
        if any(index != indices[0] for index in indices):
            raise broken("views-agree", f"the lookups of {sworm} differ between nodes")


def check_processes(world: World) -> None:
    """What runs and what is registered are the same set, once each."""
    live = [host for host in world.live() if host.node.member.record.status != LEFT]
    running: Counter[tuple[str, str]] = Counter()
    for host in live:
        for worker in host.workers.running():
            running[worker.effect.sworm, worker.effect.name] += 1
            entry = host.node.member.replica(worker.effect.sworm).copy(host.origin).entries.get(worker.effect.name)
            if entry is None or entry.serial != worker.effect.serial:
                raise broken(
                    "runs-is-registered", f"{worker.effect.pid} of {worker.effect.name} runs without its entry"
                )
            if worker.started and worker.gate.state != OPEN:
                raise broken("one-process", f"{worker.effect.name} at {worker.effect.pid} stays {worker.gate.state}")
        for process in host.node.context.processes.values():
            if process.phase not in LISTED:
                raise broken("runs-is-registered", f"{process.pid} of {process.name} stays {process.phase}")
    twice = [key for key, count in running.items() if count > 1]
    if twice:
        raise broken("one-process", f"{twice[:3]} run more than once")
    for host in live[:1]:
        for sworm, replica in host.node.replicas.items():
            for name, located in replica.index.items():
                own = located.entry.of or name
                if located.entry.state != "failed" and (sworm, own) not in running:
                    raise broken("runs-is-registered", f"{name} is registered as {located.pid} and does not run")


def check_ties(world: World) -> None:
    """Every further name and every membership is of a listed process, is known to its host, and the other way."""
    live = [host for host in world.live() if host.node.member.record.status != LEFT]
    for host in live:
        context = host.node.context
        said: set[tuple[str, str, str, str]] = set()
        for sworm, replica in host.node.replicas.items():
            for key, value in replica.copy(host.origin).entries.items():
                if isinstance(key, str):
                    if value.of:
                        said.add((sworm, "name", key, pid_of(host.origin, value.serial)))
                        _check_further(replica, key, value)
                elif key[0] == GROUP:
                    said.add((sworm, "group", key[1], key[2]))
                    _check_member(replica, key, value)
        tied = {
            (sworm, what, name, process.pid)
            for process in context.hosted.values() if process.ties is not None
            for what, slots in (("name", process.ties.names), ("group", process.ties.groups))
            for sworm, name in slots
        }  # fmt: skip
        if said != tied:
            raise broken("ties-follow", f"{host.origin} says {sorted(said - tied)} and keeps {sorted(tied - said)}")
        if any(context.hosted.get((p.sworm, p.name)) is not p for p in context.further.values()):
            raise broken("ties-follow", f"{host.origin} keeps further names of what it does not list")


def _check_further(replica: Replica, name: str, entry: Registration) -> None:
    further, own = replica.index.get(name), replica.index.get(entry.of)
    if further is None or own is None or further.pid != own.pid or further.entry.state != own.entry.state:
        raise broken("ties-follow", f"{name} is {further and further.pid}, {entry.of} is {own and own.pid}")


def _check_member(replica: Replica, key: tuple[str, ...], name: str) -> None:
    if (name, key[2]) not in replica.members(key[1]):
        raise broken("ties-follow", f"{key[2]} is in {key[1]} and not what {name} stands for")


def check_counts(world: World) -> None:
    """Counts are kept while entries come and go; a recount finds the same. Nothing is on its way any more."""
    for host in world.live():
        counted: Counter[Origin] = Counter()
        for sworm, replica in host.node.replicas.items():
            entries = replica.entries() if sworm != DIRECTORY else ()
            counted.update(origin for origin, key, entry in entries if isinstance(key, str) and entry.spec is not None)
        kept = host.node.member.repair.processes
        if kept != counted:
            raise broken("counts-are-kept", f"{host.origin} counts {kept}, its copies hold {dict(counted)}")
        if host.node.choosing.coming:
            raise broken("counts-are-kept", f"{host.origin} waits for {host.node.choosing.coming}")


def check_survival(world: World, expected: set[tuple[str, str]]) -> None:
    """Every name that must exist is registered, or waits while no node may run it."""
    for host in world.live()[:1]:
        for sworm, name in sorted(expected):
            replica = host.node.member.replica(sworm)
            waits = name in replica.orphaned and not host.node.choosing.eligible(sworm)
            if name not in replica.index and not waits:
                raise broken("acknowledged-survives", f"{name} of {sworm} is gone")


def check_state(world: World, acknowledged: dict[tuple[str, str], set[str]]) -> None:
    """Every change acknowledged in a run without crashes is in the state of the one process."""
    for host in world.live():
        for worker in host.workers.running():
            lost = acknowledged.get((worker.effect.sworm, worker.effect.name), set()) - worker.state
            if lost:
                raise broken(
                    "handoff-keeps-state", f"{worker.effect.name} at {worker.effect.pid} lost {len(lost)} changes"
                )
