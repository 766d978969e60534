"""A sworm under a quorum: the minority stops answering, stops and refuses; the majority takes over after that; what is
left of the minority's starts again when there is a majority.

Named invariants: quorum-one-answers, acknowledged-survives.
"""

from __future__ import annotations

from registry.core.membership import PRESETS
from registry.core.quorum import DRIFT
from supervisor.core.events import ForgetAsked
from tests.scenarios.cluster import Cluster, host_of
from tests.supervisor.core.test_claims import name_decided_by

LEASE = PRESETS["lan"].lease


def under_quorum(*names: str, **definition: object) -> Cluster:
    cluster = Cluster()
    cluster.start(*names)
    cluster.settle()
    cluster.define(names[0], distribution_strategy="uniform_quorum", **definition)
    cluster.pass_time(2)
    return cluster


def with_a_room_on(cluster: Cluster, node: str) -> str:
    room = name_decided_by(cluster, node)
    assert host_of(cluster.do(node, "register", room)) == node
    return room


def test_the_minority_stops_before_the_majority_takes_over() -> None:
    cluster = under_quorum("n1", "n2", "n3")
    room = with_a_room_on(cluster, "n1")
    cluster.cut(["n1"], ["n2", "n3"])
    seen: list[list[str]] = []
    for _ in range(80):
        cluster.pass_time(0.1)
        seen.append(cluster.where(room))
    order = [where for number, where in enumerate(seen) if number == 0 or where != seen[number - 1]]
    assert order[:2] == [["n1"], []]
    assert len(order) == 3
    assert order[2] in (["n2"], ["n3"])
    assert seen.index([]) * 0.1 <= LEASE + 0.2
    assert seen.index(order[2]) * 0.1 <= 0.3 + LEASE * (1 + DRIFT) + 0.5, "a closed link is news at once"


def test_a_gate_shuts_at_the_end_of_its_lease_though_no_timer_runs() -> None:
    cluster = under_quorum("n1", "n2", "n3")
    room = with_a_room_on(cluster, "n1")
    worker = cluster.running_worker("n1", room)
    cluster.pause("n1")
    cluster.pass_time(LEASE + 0.1)
    assert (worker.gate.state, worker.gate.own) == ("frozen", "open")
    assert cluster.send_to(room, 3).startswith("parked at n1")


def test_the_minority_refuses() -> None:
    cluster = under_quorum("n1", "n2", "n3")
    cluster.cut(["n1"], ["n2", "n3"])
    cluster.pass_time(5)
    reply = cluster.do("n1", "register", "lobby")
    assert (reply.result, reply.problem) == ("refused", "no_quorum")
    assert reply.detail == "1 of 3 hosts are in reach, which is no majority of those agreed last"
    assert cluster.do("n2", "register", "lobby").result == "started"
    cluster.heal()
    cluster.pass_time(4)
    assert cluster.do("n1", "register", "lobby").result == "already_started"
    assert cluster.check_once() == 1


def test_a_split_of_halves_stops_both_and_all_come_back() -> None:
    cluster = under_quorum("n1", "n2", "n3", "n4")
    rooms = [with_a_room_on(cluster, node) for node in ("n1", "n2", "n3", "n4")]
    cluster.cut(["n1", "n2"], ["n3", "n4"])
    cluster.pass_time(8)
    assert [cluster.where(room) for room in rooms] == [[], [], [], []]
    assert {state for _, state in cluster.listed("n1").values()} == {"restarting"}
    cluster.heal()
    cluster.pass_time(6)
    assert [cluster.where(room) for room in rooms] == [["n1"], ["n2"], ["n3"], ["n4"]]
    assert cluster.check_once() == 4


def test_a_worker_that_crashes_without_a_majority_waits_for_one() -> None:
    cluster = under_quorum("n1", "n2")
    room = with_a_room_on(cluster, "n1")
    cluster.cut(["n1"], ["n2"])
    cluster.pass_time(LEASE - 0.6)
    cluster.held.add("Stop")
    cluster.pass_time(1.5)
    assert cluster.where(room) == []
    cluster.held.clear()
    cluster.pass_time(1)
    cluster.heal()
    cluster.pass_time(6)
    assert cluster.where(room) == ["n1"]
    assert cluster.check_once() == 1


def test_a_first_start_that_loses_the_majority_leaves_nothing() -> None:
    cluster = under_quorum("n1", "n2", "n3")
    room = name_decided_by(cluster, "n1")
    cluster.held.add("Start")
    request = cluster.ask("n1", "register", room, wait=30.0)
    cluster.cut(["n1"], ["n2", "n3"])
    cluster.pass_time(LEASE + 0.5)
    cluster.held.clear()
    cluster.settle()
    assert (cluster.replies[request].result, cluster.replies[request].problem) == ("refused", "no_quorum")
    assert cluster.listed("n1") == {}


def test_hosts_that_die_cost_the_majority_until_an_operator_gives_them_up() -> None:
    cluster = under_quorum("n1", "n2", "n3")
    room = with_a_room_on(cluster, "n1")
    cluster.crash("n2")
    cluster.pass_time(6)
    assert cluster.where(room) == ["n1"]
    cluster.crash("n3")
    cluster.pass_time(6)
    assert cluster.where(room) == []
    for name in ("n2", "n3"):
        cluster.give("n1", ForgetAsked(name))
    cluster.pass_time(6)
    assert cluster.where(room) == ["n1"]


def test_hosts_that_leave_do_not() -> None:
    cluster = under_quorum("n1", "n2", "n3")
    room = with_a_room_on(cluster, "n1")
    for name in ("n2", "n3"):
        cluster.drain(name)
        cluster.pass_time(2)
        cluster.crash(name)
        cluster.pass_time(2)
    assert cluster.where(room) == ["n1"]


def test_a_sworm_may_come_under_a_quorum_and_out_of_it() -> None:
    cluster = under_quorum("n1", "n2", "n3")
    room = with_a_room_on(cluster, "n1")
    gate = cluster.running_worker("n1", room)
    cluster.define("n1", distribution_strategy="uniform")
    cluster.settle()
    cluster.cut(["n1"], ["n2", "n3"])
    cluster.pass_time(8)
    assert gate.gate.state == "open"
    cluster.define("n1", distribution_strategy="uniform_quorum")
    cluster.pass_time(1)
    assert cluster.where(room) != ["n1"]
