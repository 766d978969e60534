"""Two processes of one name meet: rank decides, the loser freezes at once, its state is applied once, and nothing
blocks.

Named invariants: one-process, runs-is-registered, loser-has-no-say (who loses a name removes its own entry and nothing
else).
"""

from __future__ import annotations

import pytest

from registry.core.names import GONE
from supervisor.core.process import LOSING
from tests.scenarios.cluster import ROOMS, Cluster


def split_pair(handoff: bool = True) -> Cluster:
    """Three nodes; n1 alone and n2 with n3 have each registered the lobby; the numbers are 3 and 0."""
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1", handoff=handoff)
    cluster.settle()
    cluster.cut(["n1"], ["n2", "n3"])
    cluster.pass_time(4)
    cluster.do("n2", "register", "lobby")
    cluster.pass_time(0.1)
    cluster.do("n1", "register", "lobby")  # a higher epoch, but no majority
    assert cluster.send_to("lobby", 3) == "run by n1.1.1"
    return cluster


def winner_number(cluster: Cluster) -> int:
    (name,) = cluster.where("lobby")
    return cluster.running_worker(name, "lobby").value


def test_the_majority_wins_over_a_higher_epoch() -> None:
    cluster = split_pair()
    low, high = cluster.entry("n2", "lobby"), cluster.entry("n1", "lobby")
    assert low is not None
    assert high is not None
    assert (low.epoch < high.epoch, low.majority, high.majority) == (True, 1, 0)
    cluster.heal()
    cluster.pass_time(2)
    assert cluster.check_once() == 1
    assert cluster.where("lobby") == ["n2"]
    assert winner_number(cluster) == 3


def test_a_loser_has_no_say_in_what_is_gone() -> None:
    cluster = split_pair(handoff=False)
    cluster.heal()
    cluster.pass_time(2)
    for running in cluster.nodes.values():
        keys = [key for _, key, _ in running.node.replicas[ROOMS].entries()]
        assert (GONE, "lobby") not in keys
    assert cluster.check_once() == 1
    assert winner_number(cluster) == 0


def test_the_loser_accepts_nothing_from_the_moment_it_knows() -> None:
    cluster = split_pair()
    cluster.held.add("TakeState")
    cluster.heal()
    cluster.pass_time(1)
    worker = cluster.running_worker("n1", "lobby")
    assert worker.gate.state == "frozen"
    assert cluster.where("lobby") == ["n2"]


@pytest.mark.parametrize("stage", ["TakeState", "Resolve", "GiveState", "Resolved"])
def test_a_loser_whose_worker_ends_at_any_stage_is_gone(stage: str) -> None:
    cluster = split_pair()
    cluster.held.add(stage)
    cluster.heal()
    cluster.pass_time(1)
    cluster.end_worker("n1", "lobby", normal=False, detail="boom")
    cluster.held.clear()
    cluster.pass_time(8)
    assert cluster.check_once() == 1
    assert cluster.where("lobby") == ["n2"]


def test_a_state_offered_twice_is_taken_once() -> None:
    cluster = split_pair()
    cluster.dropped.add("Resolved")
    cluster.heal()
    cluster.pass_time(3)  # offered again every half second
    cluster.dropped.clear()
    cluster.pass_time(3)
    assert winner_number(cluster) == 3
    assert cluster.check_once() == 1


def test_a_loser_whose_winner_departs_first_goes_on() -> None:
    cluster = split_pair()
    cluster.held.add("TakeState")
    cluster.heal()
    cluster.pass_time(1)
    (process,) = [p for p in cluster.nodes["n1"].node.context.processes.values() if p.phase == LOSING]
    cluster.crash("n2")
    cluster.pass_time(2)
    cluster.held.clear()
    cluster.pass_time(6)
    assert cluster.check_once() == 1
    assert process.name == "lobby"


def test_a_drain_of_the_loser_ends_in_order() -> None:
    cluster = split_pair()
    cluster.held.add("TakeState")
    cluster.heal()
    cluster.pass_time(1)
    cluster.drain("n1", wait=0.5)
    cluster.pass_time(8)
    assert any(line.startswith("n1: drained") for line in cluster.log)
    cluster.crash("n1")
    cluster.pass_time(2)
    assert cluster.check_once() == 1


def test_many_conflicts_of_one_heal_settle_within_a_second() -> None:
    cluster = Cluster()
    cluster.start("n1", "n2")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    cluster.cut(["n1"], ["n2"])
    cluster.pass_time(4)
    for number in range(30):
        cluster.do("n1", "register", f"p{number}")
        cluster.do("n2", "register", f"p{number}")
    cluster.heal()
    cluster.pass_time(0.6)  # until one of them dials
    cluster.pass_time(1)
    assert cluster.check_once() == 30


def test_a_large_state_is_pulled_and_applied_once() -> None:
    cluster = split_pair()
    cluster.ballast = 300_000
    cluster.held.add("Piece")
    cluster.heal()
    cluster.pass_time(2)
    cluster.lose_kept()
    cluster.held.clear()
    cluster.pass_time(2)
    assert cluster.check_once() == 1
    assert winner_number(cluster) == 3
