"""Every step of a handoff × every fault × every victim × whoever is the arbiter: one process is left, with the newest
acknowledged state; or, only where the one node that had it died, a restart that says so.

Named invariants: handoff-keeps-state, opens-by-commit, one-process, runs-is-registered, one-reply.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from registry.core.ids import node_of
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


# ------------------------------------------------------------------------ after the commit, when no other node takes it


def only_two(step: str, large: bool = False, unseen: bool = False) -> tuple[Cluster, str, str, int]:
    """A move between two nodes, held at a step after the commit; the target opened it if the commit arrived:
    (cluster, source, target, epoch of the attempt). `unseen`: the target has not seen either that the move began.
    """
    cluster = Cluster()
    cluster.start("n1", "n2")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    cluster.do("n1", "register", "lobby")
    (source,) = cluster.where("lobby")
    target = "n1" if source == "n2" else "n2"
    cluster.send_to("lobby", 5)
    if large:
        cluster.ballast = 300_000
    cluster.held.add("Prepared")
    if unseen:
        cluster.dropped.add("Delta")
    cluster.ask(source, "move", "lobby", to=target)
    cluster.settle()
    cluster.dropped.add("Delta")
    cluster.held.add(step)
    cluster.held.remove("Prepared")
    cluster.settle()
    return cluster, source, target, cluster.running_worker(target, "lobby").start.epoch


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("step", ["Commit", "Opened"])
def test_a_source_whose_target_is_gone_goes_on_under_a_higher_epoch(step: str, slow: bool, large: bool) -> None:
    """The target may have opened, and written somewhere with the epoch of the attempt as its token."""
    cluster, source, target, attempt = only_two(step, large)
    old = cluster.running_worker(source, "lobby")
    assert (old.gate.state, cluster.where("lobby")) == ("frozen", [] if step == "Commit" else [target])
    assert old.gate.park(2)
    cluster.crash(target)
    cluster.lose_kept()
    cluster.held.clear()
    cluster.dropped.clear()
    if slow:
        cluster.held.add("Stop")
        cluster.pass_time(2.0)
        assert cluster.where("lobby") == []
        cluster.held.clear()
    cluster.pass_time(LONG)
    assert cluster.check_once() == 1
    assert cluster.where("lobby") == [source]
    fresh = cluster.running_worker(source, "lobby")
    assert (fresh.value, old.gate.moved_to) == (5, fresh.start.pid)
    assert fresh.start.epoch > attempt > old.start.epoch
    assert fresh.start.restored_age_ms is not None
    assert (cluster.replies["r2"].result, cluster.replies["r2"].pid) == ("refused", fresh.start.pid)


@pytest.mark.parametrize("ends", ["drains", "dies"])
def test_a_second_target_that_does_not_take_it_thaws_nothing(ends: str) -> None:
    cluster, nodes = moving("source", "Prepared")
    cluster.dropped.add("Delta")
    cluster.held.add("Commit")
    cluster.held.remove("Prepared")
    cluster.settle()
    old = cluster.running_worker(nodes["source"], "lobby")
    cluster.crash(nodes["target"])
    cluster.lose_kept()
    cluster.dropped.clear()
    cluster.held.add("Prepared")
    cluster.pass_time(2.0)
    attempt = cluster.running_worker(nodes["third"], "lobby").start.epoch
    if ends == "dies":
        cluster.crash(nodes["third"])
    else:
        cluster.drain(nodes["third"])
    cluster.held.clear()
    cluster.pass_time(LONG)
    if ends == "drains":
        cluster.crash(nodes["third"])
    fresh = cluster.running_worker(nodes["source"], "lobby")
    assert cluster.where("lobby") == [nodes["source"]]
    assert (fresh.value, cluster.check_once()) == (5, 1)
    assert fresh.start.epoch > attempt > old.start.epoch
    assert old.gate.state == "bounced"


def test_a_target_that_is_offered_it_again_opens_by_the_second_commit_alone() -> None:
    """The entry that it sees meanwhile was written by the first attempt, which it had given up."""
    cluster, _, target, first = only_two("Commit", unseen=True)
    cluster.drain(target, leave=False)
    cluster.settle()
    cluster.cordon(target, False)
    cluster.dropped.clear()
    cluster.pass_time(1.0)
    cluster.held = {"Prepared"}
    cluster.pass_time(1.0)
    assert cluster.running_worker(target, "lobby").start.epoch > first
    assert cluster.entry(target, "lobby").to == cluster.nodes[target].node.member.origin  # type: ignore[union-attr]
    assert cluster.where("lobby") == []
    cluster.held.clear()
    cluster.pass_time(LONG)
    assert (cluster.where("lobby"), cluster.check_once()) == ([target], 1)
    assert cluster.running_worker(target, "lobby").value == 5


def test_a_source_that_committed_waits_for_a_node_while_it_drains() -> None:
    cluster, source, target, _ = only_two("Commit")
    cluster.crash(target)
    cluster.lose_kept()
    cluster.held.clear()
    cluster.dropped.clear()
    cluster.drain(source)
    cluster.pass_time(2.0)
    cluster.start("n3")
    cluster.pass_time(LONG)
    assert cluster.where("lobby") == ["n3"]
    assert cluster.running_worker("n3", "lobby").value == 5
    assert any(line == f"{source}: drained" for line in cluster.log)


# ------------------------------------------------------------------------------------------ a source that was overtaken


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_a_source_that_was_overtaken_gives_its_state_to_whoever_has_the_name(copy: bool, large: bool) -> None:
    """It was away after its commit, and its node was given up: with the target's copy the name went on from that very
    state, which is not merged again; without, it began afresh.
    """
    cluster = Cluster()
    cluster.start("n1", "n2", "n3", "n4", "n5")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    cluster.do("n1", "register", "lobby")
    (source,) = cluster.where("lobby")
    target, third = (name for name in ("n1", "n2", "n3") if name != source) if source < "n4" else ("n1", "n2")
    cluster.send_to("lobby", 5)
    cluster.ballast = 300_000 if large else 0
    cluster.dropped |= {f"Delta>{name}" for name in cluster.nodes} | {"Commit"}
    cluster.ask(third, "move", "lobby", to=target, wait=1.0)
    cluster.settle()
    cluster.pause(source)
    if not copy:
        cluster.crash(target)
    cluster.dropped -= {f"Delta>{name}" for name in cluster.nodes}
    cluster.pass_time(LONG)
    cluster.resume(source)
    cluster.dropped.clear()
    cluster.pass_time(LONG)
    assert cluster.check_once() == 1
    (name,) = cluster.where("lobby")
    assert name != source
    assert cluster.running_worker(name, "lobby").value == 5
    assert any("takes 5 from" in line for line in cluster.log) is not copy


def test_a_winner_that_moves_takes_a_state_where_it_arrives() -> None:
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    cluster.cut(["n1"], ["n2", "n3"])
    cluster.pass_time(4)
    winner = node_of(cluster.do("n2", "register", "lobby").pid)
    cluster.do("n1", "register", "lobby")
    assert cluster.send_to("lobby", 3) == "run by n1.1.1"
    cluster.held.add("Prepared")
    cluster.ask(winner, "move", "lobby", to="n2" if winner == "n3" else "n3")
    cluster.settle()
    cluster.heal()
    cluster.pass_time(2)
    cluster.held.clear()
    cluster.pass_time(4)
    assert cluster.check_once() == 1
    (name,) = cluster.where("lobby")
    assert name not in (winner, "n1")
    assert cluster.running_worker(name, "lobby").value == 3


def test_an_arbiter_that_was_away_hears_what_was_answered_meanwhile() -> None:
    cluster, nodes = moving("third", "Prepared")
    cluster.held.add("Held")
    cluster.crash(nodes["source"])
    cluster.pass_time(1.0)
    cluster.pause(nodes["third"])
    cluster.held.clear()
    cluster.settle()
    cluster.now += 7.0
    cluster.resume(nodes["third"])
    cluster.pass_time(LONG)
    judge(cluster, lost=False)
