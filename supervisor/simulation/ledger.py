"""What people were promised in a run, and what excuses that it is not kept.

Law: an excuse is computed from what the nodes that live hold at the moment of a loss, never from how likely it is. A
name may be gone only if somebody asked for that, or no node that lives has it any more; a change only if the last
worker that held it ended by something else than a move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.core.directory import DEFINITION
from registry.core.ids import Origin
from registry.core.messages import DIRECTORY
from registry.core.names import MOVED
from registry.core.origin import VersionedMap
from supervisor.core.gate import BOUNCED
from supervisor.simulation.states import decode

if TYPE_CHECKING:
    from supervisor.simulation.workers import Worker
    from supervisor.simulation.world import Host, World

Slot = tuple[str, str]  # (sworm, name)

#: Ends of a worker that lose nothing: its successor has the state, or its source still has it.
HARMLESS = frozenset({"moved", "handoff given up"})


#: Ends that people asked for: the state goes, whether its worker had begun to accept or not.
WISHED = frozenset({"unregister", "restart"})


class Ledger:
    """Names and changes that must be there in the end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.acknowledged: set[Slot] = set()
        self.doubtful: set[Slot] = set()  #: somebody asked for their end, or their last copies are gone
        self.changes: dict[Slot, set[str]] = {}
        self.forgiven: set[str] = set()

    def acknowledge(self, slot: Slot) -> None:
        """Somebody was told that this name is registered."""
        self.acknowledged.add(slot)

    def doubt(self, slot: Slot) -> None:
        """This name may end, or has ended, for a good reason."""
        self.doubtful.add(slot)

    def forgive(self, changes: set[str]) -> None:
        """These changes may be lost."""
        self.forgiven |= changes

    def call_lost(self, slot: Slot) -> None:
        """A process was restored without a state, and that was said; whoever has it out of reach may offer it yet."""
        there: set[str] = set()
        for host in self.world.live():
            for worker in host.workers.running():
                if (worker.effect.sworm, worker.effect.name) == slot:
                    there |= worker.state
        self.forgive(self.changes.get(slot, set()) - there)

    def worker_ended(self, worker: Worker, cause: str) -> None:
        """A worker of a living node ended. What a loser of a conflict has goes with it, unless another has it then.

        What one has that never opened is lost only when somebody wanted its name ended.
        """
        if cause in HARMLESS or not (worker.opened or cause == "unregister"):
            return
        if cause == "conflict" and self._others_have(worker, self.world.live()):
            return
        self.forgive(worker.state)

    def _others_have(self, worker: Worker, hosts: list[Host]) -> bool:
        return any(self._keeps(other, peer, worker) for peer in hosts for other in peer.workers.running())

    def node_ends(self, host: Host) -> None:
        """To be called before a node is gone: what goes with it?"""
        for worker in host.workers.running():
            others = [peer for peer in self.world.live() if peer is not host]
            if not self._others_have(worker, others) and not any(_is_prepared(peer, host, worker) for peer in others):
                self.forgive(worker.state)
        left = self._known_without(host)
        self.doubtful.update(slot for slot in self.acknowledged if slot not in left)

    def _keeps(self, other: Worker, peer: Host, lost: Worker) -> bool:
        same = (other.effect.sworm, other.effect.name) == (lost.effect.sworm, lost.effect.name)
        if not same or other.gate.state == BOUNCED or not other.state >= lost.state:
            return False
        return other.opened or _is_committed(other, peer)

    def _known_without(self, gone: Host) -> set[Slot]:
        """The names that stand in the maps of the nodes that go on, and in their newest copies of those that do not.

        Without the definition of its sworm nobody can bring a name back.
        """
        live = [host for host in self.world.live() if host is not gone]
        sworms = {key[1] for copy in _newest(live, DIRECTORY) for key in copy.entries if key[0] == DEFINITION}
        return {
            (sworm, key)
            for sworm in sorted(str(sworm) for sworm in sworms)
            for copy in _newest(live, sworm)
            for key in copy.entries
            if isinstance(key, str)
        }


def _newest(hosts: list[Host], sworm: str) -> list[VersionedMap]:
    """Of each origin the newest copy that these hosts hold."""
    newest: dict[Origin, VersionedMap] = {}
    for host in hosts:
        replica = host.node.replicas.get(sworm)
        for origin, copy in replica.copies.items() if replica else ():
            if origin not in newest or newest[origin].version < copy.version:
                newest[origin] = copy
    return list(newest.values())


def _is_prepared(peer: Host, host: Host, lost: Worker) -> bool:
    """Whether a target holds the whole state of a process that is being moved to it by the attempt under way."""
    process = host.node.context.processes.get(lost.effect.serial)
    target = peer.node.context.targets.get((lost.effect.sworm, lost.effect.name))
    if process is None or process.move is None or target is None or target.prepare is None or target.kept is None:
        return False
    under_way = (target.prepare.pid, target.prepare.epoch) == (process.pid, process.move.epoch)
    return under_way and not peer.paused and decode(target.kept.state) >= lost.state


def _is_committed(worker: Worker, host: Host) -> bool:
    """Whether a target that has not opened knows that it must."""
    process = host.node.context.processes.get(worker.effect.serial)
    if process is None or process.prepare is None:
        return False
    copy = host.node.replicas[process.sworm].copies.get(process.source)
    entry = copy.entries.get(process.name) if copy else None
    return process.wanted or (entry is not None and entry.state == MOVED and entry.to == host.origin)
