"""What must hold after the network has healed and time has passed.

Law: an oracle sees everything and changes nothing.
"""

from __future__ import annotations

from collections import Counter

from registry.core.directory import LEFT
from registry.core.ids import pid_of
from registry.core.messages import DIRECTORY
from registry.core.names import GROUP, Registration
from registry.core.replica import Replica
from supervisor.core.gate import OPEN
from supervisor.core.process import LISTED
from supervisor.simulation.oracles import broken
from supervisor.simulation.world import World


def check_replies(world: World) -> None:
    """One reply for each ask; none only if the node that was asked is gone."""
    for request, replies in world.replies.items():
        if len(replies) > 1:
            raise broken("one-reply", f"{request} had {[reply.result for reply in replies]}")
        if not replies and world.hosts[world.asked_at[request]].up:
            raise broken("one-reply", f"{request} had none at {world.asked_at[request]}")


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


def check_survival(world: World, expected: set[tuple[str, str]]) -> None:
    """Every name that must exist is registered, or waits while no node may run it."""
    for host in world.live()[:1]:
        for sworm, name in sorted(expected):
            replica = host.node.member.replica(sworm)
            waits = name in replica.orphaned and not host.node.choosing.eligible(sworm)
            if name not in replica.index and not waits:
                raise broken("acknowledged-survives", f"{name} of {sworm} is gone")
