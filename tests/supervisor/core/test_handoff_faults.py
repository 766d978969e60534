"""Every step of a handoff × every fault × every victim × whoever is the arbiter: one process is left, with the newest
acknowledged state; or, only where the one node that had it died, a restart that says so.

Named invariants: handoff-keeps-state, one-process, runs-is-registered, one-reply.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.scenarios.cluster import Cluster

#: What is held back when the fault strikes: each step of a move, in its order. A large state adds the pulling of it.
SMALL = ("Order", "TakeState", "Prepare", "Start", "Prepared", "Commit", "Opened", "Stop", "OrderDone", "Verdict")
LARGE = ("Fetch", "Piece", "Start", "Prepared")
ROLES = ("source", "target", "third")

#: Seconds until the others have given a node up and restored what it ran.
LONG = 8.0


def _crash(cluster: Cluster, victim: str) -> Callable[[], None]:
    cluster.crash(victim)
    return lambda: cluster.start(victim)


def _pause(cluster: Cluster, victim: str) -> Callable[[], None]:
    cluster.pause(victim)
    return lambda: cluster.resume(victim)


def _cut(cluster: Cluster, victim: str) -> Callable[[], None]:
    cluster.cut([victim], [name for name in cluster.nodes if name != victim])
    return cluster.heal


FAULTS = {"crash": _crash, "pause": _pause, "cut": _cut}


def moving(arbiter: str, step: str, large: bool = False) -> tuple[Cluster, dict[str, str]]:
    """A counter at 5 is on its way from source to target, held at a step: (cluster, role -> node)."""
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    cluster.do("n1", "register", "lobby")
    (decides,) = cluster.where("lobby")
    one, other = (name for name in ("n1", "n2", "n3") if name != decides)
    ways = {"source": (decides, one, other), "target": (one, decides, other), "third": (one, other, decides)}
    nodes = dict(zip(ROLES, ways[arbiter], strict=True))
    if nodes["source"] != decides:
        cluster.do("n1", "move", "lobby", to=nodes["source"])
    cluster.send_to("lobby", 5)
    if large:
        cluster.ballast = 300_000
    cluster.held.add(step)
    cluster.ask(nodes["third"], "move", "lobby", to=nodes["target"])
    cluster.settle()
    return cluster, nodes


def holders(cluster: Cluster) -> set[str]:
    """Nodes on which somebody has the number."""
    return {
        name
        for name, running in cluster.nodes.items()
        for worker in running.workers.values()
        if worker.start.name == "lobby" and worker.running and worker.value == 5
    }


def judge(cluster: Cluster, lost: bool) -> None:
    assert cluster.check_once() == 1
    (name,) = cluster.where("lobby")
    value = cluster.running_worker(name, "lobby").value
    merged = any("takes 5 from" in line for line in cluster.log)  # the duplicate of a split, as `resolve_conflict` adds
    assert value in ((0,) if lost else (5, 10) if merged else (5,)), cluster.log
    assert any("its state was lost" in line for line in cluster.log) or not lost


CASES = [(step, False) for step in SMALL] + [(step, True) for step in LARGE]


@pytest.mark.parametrize("arbiter", ROLES)
@pytest.mark.parametrize("victim", ROLES)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("step", "large"), CASES, ids=[f"{step}{'-large' * large}" for step, large in CASES])
def test_one_process_with_the_newest_state(step: str, large: bool, fault: str, victim: str, arbiter: str) -> None:
    cluster, nodes = moving(arbiter, step, large)
    sole = holders(cluster) == {nodes[victim]}
    undo = FAULTS[fault](cluster, nodes[victim])
    cluster.pass_time(1.0)
    cluster.held.clear()
    cluster.pass_time(LONG)
    undo()
    cluster.pass_time(LONG)
    judge(cluster, lost=sole and fault == "crash")
    if fault != "crash" or victim != "third":
        assert cluster.replies["r2" if arbiter == "source" else "r3"].result


@pytest.mark.parametrize("arbiter", ROLES)
@pytest.mark.parametrize("step", ["Start", "Prepared"])
def test_a_restored_state_comes_with_its_age(step: str, arbiter: str) -> None:
    cluster, nodes = moving(arbiter, step)
    cluster.pass_time(1.0)
    cluster.crash(nodes["source"])
    cluster.held.clear()
    cluster.pass_time(LONG)
    starts = [worker.start for running in cluster.nodes.values() for worker in running.workers.values()]
    (age,) = (start.restored_age_ms for start in starts if start.restored_age_ms is not None)
    assert 1_000 <= age <= 3_000
    assert any("it goes on with the state of" in line for line in cluster.log)


def test_a_state_that_a_living_node_handed_over_has_no_age() -> None:
    cluster, nodes = moving("source", "Verdict")
    assert cluster.running_worker(nodes["target"], "lobby").start.restored_age_ms is None
    assert nodes["source"] != nodes["target"]


def test_the_newest_of_several_prepared_copies_is_taken() -> None:
    cluster, nodes = moving("source", "Prepared")
    cluster.dropped.add("Abort")  # the first target never hears that it is off
    cluster.pass_time(31.0)
    cluster.dropped.clear()
    cluster.held.clear()
    cluster.lose_kept()
    assert cluster.where("lobby") == [nodes["source"]]
    cluster.send_to("lobby", 2)
    cluster.held.add("Prepared")
    cluster.ask(nodes["third"], "move", "lobby", to=nodes["third"])
    cluster.settle()
    cluster.crash(nodes["source"])
    cluster.held.clear()
    cluster.pass_time(LONG)
    assert cluster.check_once() == 1
    (name,) = cluster.where("lobby")
    assert cluster.running_worker(name, "lobby").value == 7


def test_a_holder_that_dies_as_well_costs_the_state_and_that_is_said() -> None:
    cluster, nodes = moving("third", "Prepared")
    cluster.held.add("Seek")
    cluster.crash(nodes["source"])
    cluster.pass_time(2.0)
    cluster.crash(nodes["target"])
    cluster.held.clear()
    cluster.pass_time(LONG)
    judge(cluster, lost=True)


def test_a_target_that_drains_gives_the_copy_away_before_it_leaves() -> None:
    cluster, nodes = moving("third", "Prepared")
    cluster.crash(nodes["source"])
    cluster.drain(nodes["target"])
    cluster.held.clear()
    cluster.pass_time(LONG)
    assert any(line == f"{nodes['target']}: drained" for line in cluster.log)
    cluster.crash(nodes["target"])
    cluster.pass_time(LONG)
    judge(cluster, lost=False)
