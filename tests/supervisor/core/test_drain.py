"""A node empties itself, with state, and says so only then; what could not move is named and restored without state.

Named invariants: drained-is-empty, handoff-keeps-state, runs-is-registered.
"""

from __future__ import annotations

import pytest

from registry.core.directory import DRAINING, LEFT
from tests.scenarios.cluster import Cluster


def filled(*names: str, count: int = 12, **definition: object) -> Cluster:
    cluster = Cluster()
    cluster.start(*names)
    cluster.settle()
    cluster.define(names[0], **({"handoff": True} | definition))
    cluster.settle()
    for number in range(count):
        cluster.do(names[0], "register", f"p{number}")
        cluster.send_to(f"p{number}", number)
    return cluster


def numbers(cluster: Cluster) -> dict[str, int]:
    return {
        worker.start.name: worker.value
        for running in cluster.nodes.values()
        for worker in running.workers.values()
        if worker.running
    }


def drained(cluster: Cluster, name: str) -> list[str]:
    return [line for line in cluster.log if line.startswith(f"{name}: drained")]


@pytest.mark.parametrize("name", ["n1", "n2", "n3"])
def test_drained_is_empty_and_every_state_is_elsewhere(name: str) -> None:
    cluster = filled("n1", "n2", "n3")
    cluster.drain(name)
    cluster.pass_time(1)
    assert drained(cluster, name) == [f"{name}: drained"]
    assert cluster.nodes[name].node.process_count == 0
    assert cluster.nodes[name].node.member.record.status == LEFT
    cluster.crash(name)
    cluster.pass_time(2)
    assert cluster.check_once() == 12
    assert numbers(cluster) == {f"p{number}": number for number in range(12)}


def test_two_nodes_drain_at_once() -> None:
    cluster = filled("n1", "n2", "n3")
    cluster.drain("n1")
    cluster.drain("n2")
    cluster.pass_time(3)
    assert drained(cluster, "n1")
    assert drained(cluster, "n2")
    cluster.crash("n1")
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 12
    assert numbers(cluster) == {f"p{number}": number for number in range(12)}


def test_a_node_that_stays_keeps_its_place_and_takes_nothing() -> None:
    cluster = filled("n1", "n2")
    cluster.drain("n2", leave=False)
    cluster.pass_time(1)
    assert cluster.nodes["n2"].node.member.record.status == DRAINING
    assert cluster.nodes["n2"].node.process_count == 0
    assert all(cluster.do("n2", "register", f"q{n}").pid.startswith("n1.") for n in range(4))
    cluster.cordon("n2", on=False)
    cluster.settle()
    assert {cluster.do("n1", "register", f"r{n}").pid.split(".")[0] for n in range(8)} == {"n1", "n2"}


def test_a_node_that_was_only_emptied_still_leaves_when_it_is_told_to() -> None:
    cluster = filled("n1", "n2")
    cluster.drain("n2", leave=False)
    cluster.pass_time(1)
    cluster.drain("n2", leave=True)
    cluster.pass_time(1)
    assert cluster.nodes["n2"].node.member.record.status == LEFT
    assert len(drained(cluster, "n2")) == 2


def test_a_node_that_leaves_is_not_told_to_stay() -> None:
    cluster = filled("n1", "n2")
    cluster.drain("n2", leave=True)
    cluster.drain("n2", leave=False)
    cluster.pass_time(1)
    assert cluster.nodes["n2"].node.member.record.status == LEFT


def test_the_deadline_leaves_names_behind_which_the_others_restore() -> None:
    cluster = filled("n1", "n2")
    here = sorted(p.name for p in cluster.nodes["n2"].node.context.processes.values())
    assert here
    cluster.dropped.add("Prepared")
    cluster.drain("n2", wait=2.0)
    cluster.pass_time(6)
    assert drained(cluster, "n2") == [f"n2: drained, leaving {', '.join(here)}"]
    cluster.dropped.clear()
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 12
    restored = numbers(cluster)
    assert all(restored[name] == 0 for name in here)


def test_nobody_to_take_anything_is_said_at_once() -> None:
    cluster = filled("n1", count=2)
    cluster.drain("n1")
    cluster.pass_time(0.1)
    assert drained(cluster, "n1") == ["n1: drained, leaving p0, p1"]


def test_a_drain_goes_on_when_the_target_dies() -> None:
    cluster = filled("n1", "n2", "n3")
    cluster.held.add("Prepared")
    cluster.drain("n2")
    cluster.pass_time(0.1)
    cluster.crash("n3")
    cluster.held.clear()
    cluster.pass_time(4)
    assert drained(cluster, "n2") == ["n2: drained"]
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 12


def test_a_crashed_and_a_failed_process_are_moved_too() -> None:
    cluster = filled("n1", "n2", max_restarts=0)
    names = [p.name for p in cluster.nodes["n2"].node.context.processes.values()]
    cluster.end_worker("n2", names[0], normal=False)
    cluster.settle()
    cluster.drain("n2")
    cluster.pass_time(2)
    assert drained(cluster, "n2") == ["n2: drained"]
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 12


def test_registering_goes_on_while_a_node_drains() -> None:
    cluster = filled("n1", "n2", "n3")
    cluster.drain("n2")
    requests = [cluster.ask("n1", "register", f"q{n}") for n in range(10)]
    cluster.pass_time(2)
    assert {cluster.replies[request].result for request in requests} == {"started"}
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 22
