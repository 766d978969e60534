"""Moving with state: at most one side accepts messages; the state arrives or stays, whatever is lost or dies meanwhile.

Named invariants: handoff-keeps-state, one-accepts, one-reply.
"""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import ANSWERS, Cluster

FRAMES = ("Order", "TakeState", "Prepare", "Start", "Prepared", "Commit", "Opened", "Stop", "OrderDone", "Verdict")


def moving(*hold: str, handoff: bool = True) -> tuple[Cluster, str, str]:
    """The lobby runs with number 5 on a node; a move to another is under way, held at frames: (cluster, from, to)."""
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1", handoff=handoff)
    cluster.settle()
    cluster.do("n1", "register", "lobby")
    (source,) = cluster.where("lobby")
    target = next(name for name in ("n3", "n2") if name != source)
    cluster.send_to("lobby", 5)
    cluster.held.update(hold)
    cluster.ask("n1", "move", "lobby", to=target)
    cluster.settle()
    return cluster, source, target


def number(cluster: Cluster) -> int:
    (name,) = cluster.where("lobby")
    return cluster.running_worker(name, "lobby").value


def test_it_moves_with_its_state_and_its_parked_messages_are_sent_after() -> None:
    cluster, source, target = moving("Prepared")
    assert cluster.where("lobby") == []
    assert cluster.send_to("lobby", 1).startswith("parked")
    cluster.held.clear()
    cluster.settle()
    assert cluster.where("lobby") == [target]
    assert any(f"1 parked for lobby go to {target}" in line for line in cluster.log)
    assert (cluster.check_once(), number(cluster)) == (1, 5)
    assert cluster.replies["r2"].result == "done"
    assert source != target


def test_without_handoff_it_moves_without_state() -> None:
    cluster, _, target = moving(handoff=False)
    assert cluster.where("lobby") == [target]
    assert number(cluster) == 0


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("dies", ["source", "target"])
def test_whatever_dies_wherever_it_stands_the_name_lives_once(frame: str, dies: str) -> None:
    cluster, source, target = moving(frame)
    opened = target in cluster.where("lobby")
    cluster.crash(source if dies == "source" else target)
    cluster.held.clear()
    cluster.pass_time(6)
    if "n1" in cluster.nodes:
        assert cluster.replies["r2"].result in ("done", "refused", "not_registered")
        assert cluster.check_once() == 1
    if dies == "target" and not opened:
        assert number(cluster) == 5


@pytest.mark.parametrize("frame", [frame for frame in FRAMES if frame not in ANSWERS])
def test_any_frame_may_be_lost_once(frame: str) -> None:
    cluster, _, target = moving(frame)
    cluster.lose_kept()
    cluster.held.clear()
    cluster.pass_time(4)
    assert (cluster.check_once(), number(cluster)) == (1, 5)
    assert cluster.where("lobby") == [target]
    assert cluster.replies["r2"].result == "done"


@pytest.mark.parametrize("frame", FRAMES)
def test_one_accepts_at_every_moment(frame: str) -> None:
    cluster, _, _ = moving(frame)
    assert len(cluster.where("lobby")) <= 1
    cluster.held.clear()
    cluster.settle()
    assert len(cluster.where("lobby")) == 1


@pytest.mark.parametrize("frame", ["TakeState", "Prepare", "Start", "Prepared", "Commit", "Opened", "Stop"])
def test_a_worker_that_crashes_at_its_source_costs_no_name(frame: str) -> None:
    cluster, source, _ = moving(frame)
    if any(w.running and w.start.name == "lobby" for w in cluster.nodes[source].workers.values()):
        cluster.end_worker(source, "lobby", normal=False, detail="boom")
    cluster.held.clear()
    cluster.pass_time(4)
    assert cluster.check_once() == 1
    assert "r2" in cluster.replies


@pytest.mark.parametrize("frame", ["Start", "Prepared", "Commit"])
def test_a_worker_that_crashes_at_its_target_costs_no_state(frame: str) -> None:
    cluster, _, target = moving(frame, "Delta>n3")  # else the target opens when it sees the source's entry
    assert target == "n3"
    cluster.end_worker(target, "lobby", normal=False, detail="boom")
    if frame == "Start":
        cluster.lose_kept()
    cluster.held.clear()
    cluster.pass_time(4)
    assert (cluster.check_once(), number(cluster)) == (1, 5)


def test_a_target_that_cannot_take_it_says_why_and_the_source_thaws() -> None:
    cluster, source, target = moving("Prepare")
    cluster.cordon(target)
    cluster.held.clear()
    cluster.settle()
    assert cluster.where("lobby") == [source]
    assert cluster.replies["r2"].result == "refused"
    assert "cordoned" in cluster.replies["r2"].detail
    assert number(cluster) == 5


def test_an_unregister_during_a_handoff_ends_the_name() -> None:
    cluster, _, _ = moving("Prepared")
    request = cluster.ask("n1", "unregister", "lobby")
    cluster.held.clear()
    cluster.pass_time(3)
    assert cluster.replies[request].result == "done"
    assert cluster.check_once() == 0


def test_many_move_at_once_and_all_arrive() -> None:
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    names = [f"p{n}" for n in range(20)]
    for name in names:
        cluster.do("n1", "register", name)
        cluster.send_to(name, 7)
    requests = [cluster.ask("n2", "move", name, to="n1") for name in names]
    cluster.pass_time(1)
    assert {cluster.replies[request].result for request in requests} == {"done"}
    assert cluster.check_once() == 20
    assert [cluster.running_worker("n1", name).value for name in names] == [7] * 20
