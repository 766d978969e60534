"""Nodes that stop, die, join, are cut off and come back: where processes go, and what the directory says."""

from __future__ import annotations

import signal

import pytest

from registry.core.ids import node_of
from tests.parity.cluster import KEEPER, WORKERS, Cluster, result_of, wish
from tests.parity.conftest import Start
from tests.supervisor.processes import until

pytestmark = pytest.mark.live

#: Every kind of process that has a state to take along.
KINDS = [(f"{WORKERS}:{target}", isolation) for target in ("Keeper", "keeper") for isolation in ("task", "process")]


def fill(cluster: Cluster, sworm: str, count: int) -> dict[str, str]:
    """Register processes of every kind, with a further name, in a group, and with something kept since; their pids."""
    pids = {}
    for number in range(count):
        target, isolation = KINDS[number % 4] if number < 12 else KINDS[0]
        name = f"{sworm}-{number}"
        pids[name] = cluster.do("n1", "register_name", name, target, [number], isolation=isolation, sworm=sworm)
    more = [wish("register_name", f"{name}-alias", pid=pid, sworm=sworm) for name, pid in pids.items()]
    more += [wish("join", "all", pid, sworm=sworm) for pid in pids.values()]
    more += [wish("call", name, {"keep": "since"}, sworm=sworm) for name in pids]
    for outcome in cluster.do_all("n1", more):
        result_of(outcome)
    return pids


def kept(cluster: Cluster, node: str, sworm: str, names: dict[str, str]) -> dict[str, list[object]]:
    """What each keeps, asked through its further name."""
    outcomes = cluster.do_all(node, [wish("call", f"{name}-alias", "kept", sworm=sworm, timeout=30) for name in names])
    return dict(zip(names, map(result_of, outcomes), strict=True))


def stands(cluster: Cluster, node: str, sworm: str, names: dict[str, str], nodes: set[str]) -> dict[str, str]:
    """Every name runs on one of these nodes, its further name and its group with it; returns the pids."""
    registered = cluster.registered(node, sworm)
    pids = {name: registered.get(name, "") for name in names}
    if not {node_of(pid) for pid in pids.values() if pid} <= nodes or "" in pids.values():
        return {}
    if any(registered.get(f"{name}-alias") != pid for name, pid in pids.items()) or len(registered) != 2 * len(names):
        return {}
    return pids if set(cluster.do(node, "members", "all", sworm=sworm)) == set(pids.values()) else {}


def test_nodes_stop_die_join_are_cut_off_and_come_back(start: Start) -> None:
    cluster = start(3)
    rooms, stateless = fill(cluster, "rooms", 18), fill(cluster, "stateless", 18)
    state = {name: [number, "since"] for number, name in enumerate(rooms)}
    fresh = {name: [number] for number, name in enumerate(stateless)}
    assert kept(cluster, "n2", "rooms", rooms) == state

    # A node that is told to stop hands over what it runs, with its state where the sworm says so.
    cluster.agents["n3"].signal(signal.SIGTERM)
    assert cluster.agents["n3"].wait() == 0
    two = {"n1", "n2"}
    cluster.everywhere("n3 is gone from the directory", lambda node: cluster.peers(node) == two, two)
    after = {}
    for sworm, before in (("rooms", rooms), ("stateless", stateless)):
        for node in two:
            after[sworm] = until(
                lambda node=node, sworm=sworm, before=before: stands(cluster, node, sworm, before, two),  # type: ignore[misc]
                f"{sworm} stands on {node}",
            )
        for name, pid in before.items():
            if node_of(pid) in two:
                assert after[sworm][name] == pid
    assert kept(cluster, "n1", "rooms", rooms) == state
    told = kept(cluster, "n1", "stateless", stateless)
    for name, pid in stateless.items():
        assert told[name] == (fresh[name] if node_of(pid) == "n3" else [*fresh[name], "since"])

    # One that comes back under its name is a new one, empty, and seen by all; nothing moves because of it.
    cluster.restart("n3")
    cluster.together()
    three = {"n1", "n2", "n3"}
    cluster.everywhere("n3 is back in the directory", lambda node: cluster.peers(node) == three)
    cluster.everywhere("n3 knows all", lambda node: stands(cluster, node, "rooms", rooms, three) == after["rooms"])
    assert {node_of(pid) for pid in cluster.registered("n3").values()} == two
    new = cluster.do("n3", "register_name", "new", KEEPER, sworm="boards")
    cluster.everywhere("a new name", lambda node: cluster.registered(node, "boards") == {"new": new})

    # One that dies costs its own processes their state, and nobody else's anything.
    cluster.agents["n2"].signal(signal.SIGKILL)
    cluster.agents["n2"].wait()
    left = {"n1", "n3"}
    cluster.everywhere("n2 is gone from the directory", lambda node: cluster.peers(node) == left, left)
    died = {name for name, pid in after["rooms"].items() if node_of(pid) == "n2"}
    assert died
    now = {}
    for node in left:
        now = until(lambda node=node: stands(cluster, node, "rooms", rooms, left), f"all stand on {node}")  # type: ignore[misc]
    for name, pid in after["rooms"].items():
        assert (now[name] == pid) == (name not in died)
    told = kept(cluster, "n3", "rooms", rooms)
    for number, name in enumerate(rooms):
        assert told[name] == ([number] if name in died else [number, "since"])


def test_a_node_that_is_cut_off_and_one_that_was_stopped_for_a_while_come_back(start: Start) -> None:
    cluster = start(3)
    names = fill(cluster, "rooms", 12)
    cluster.cut({"n1", "n2"}, {"n3"})
    for node, side in (("n1", {"n1", "n2"}), ("n2", {"n1", "n2"}), ("n3", {"n3"})):
        # Both sides go on with all names; which of the two processes of a name stays is decided when they meet.
        until(lambda node=node, side=side: stands(cluster, node, "rooms", names, side), f"{node} has all on its side")  # type: ignore[misc]
    cluster.mend()
    healed(cluster, names)

    # One whose process stands still, longer than everybody waits, was dead for the others and is not for itself.
    paused = cluster.agents["n2"]
    paused.signal(signal.SIGSTOP)
    others = {"n1", "n3"}
    for node in others:
        until(lambda node=node: cluster.peers(node) == others, f"n2 is dead for {node}")  # type: ignore[misc]
        until(lambda node=node: stands(cluster, node, "rooms", names, others), f"{node} has all")  # type: ignore[misc]
    paused.signal(signal.SIGCONT)
    healed(cluster, names)


def healed(cluster: Cluster, names: dict[str, str]) -> None:
    """Everybody sees everybody, and one process of each name: registered everywhere, and no other one runs."""
    three = set(cluster.agents)
    cluster.together()
    pids: list[dict[str, str]] = []
    for node in cluster.agents:
        cluster.everywhere("all are back", lambda node: cluster.peers(node) == three)
        pids.append(until(lambda node=node: stands(cluster, node, "rooms", names, three), f"all stand on {node}"))  # type: ignore[misc]
    until(lambda: all(cluster.registered(node) == cluster.registered("n1") for node in three), "all agree")
    until(lambda: running(cluster) == len(names) + scribes(cluster), "what runs is what is registered")
    assert all(values[0] == number for number, values in enumerate(kept(cluster, "n3", "rooms", names).values()))


def running(cluster: Cluster) -> int:
    """How many processes all supervisors have."""
    return sum(cluster.processes_of(node) for node in cluster.agents)


def scribes(cluster: Cluster) -> int:
    """How many scribes there are."""
    return len(cluster.registered("n1", sworm="scribes"))
