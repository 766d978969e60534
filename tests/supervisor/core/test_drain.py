"""A node empties itself, with state, and says so only then; what could not move is named and restored without state.

Named invariants: drained-is-empty, handoff-keeps-state, runs-is-registered.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry.core.directory import DRAINING, LEFT, UP
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


def here(cluster: Cluster, name: str) -> list[str]:
    return sorted(p.name for p in cluster.nodes[name].node.context.processes.values())


def test_a_cancelled_drain_takes_processes_again_and_loses_none() -> None:
    cluster = filled("n1", "n2", "n3")
    cluster.held.add("Prepared")
    cluster.drain("n2")
    cluster.pass_time(0.2)
    cluster.cancel_drain("n2")
    cluster.held.clear()
    cluster.pass_time(3)
    assert drained(cluster, "n2") == []
    assert cluster.nodes["n2"].node.member.record.status == UP
    assert any(line.startswith("n2: drain_cancelled") for line in cluster.log)
    assert cluster.check_once() == 12
    assert numbers(cluster) == {f"p{number}": number for number in range(12)}
    assert {cluster.do("n1", "register", f"q{n}").pid.split(".")[0] for n in range(40)} == {"n1", "n2", "n3"}
    cluster.drain("n2")
    cluster.pass_time(3)
    assert drained(cluster, "n2") == ["n2: drained"]


def test_it_is_too_late_to_cancel_what_leaves() -> None:
    cluster = filled("n1", "n2")
    cluster.drain("n2")
    cluster.pass_time(1)
    cluster.cancel_drain("n2")
    cluster.pass_time(1)
    assert cluster.nodes["n2"].node.member.record.status == LEFT
    assert drained(cluster, "n2") == ["n2: drained"]


def test_what_gives_no_state_goes_on_without_and_is_named() -> None:
    cluster = filled("n1", "n2")
    names = here(cluster, "n2")
    cluster.stateless.add(names[0])
    cluster.drain("n2")
    cluster.pass_time(2)
    assert drained(cluster, "n2") == [f"n2: drained, leaving {names[0]}"]
    assert any(line.startswith(f"n2: left_behind {names[0]}") for line in cluster.log)
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 12
    found = numbers(cluster)
    assert found == {f"p{n}": 0 if f"p{n}" == names[0] else n for n in range(12)}


def test_a_move_by_an_operator_without_state_is_refused_and_the_process_stays() -> None:
    cluster = filled("n1", "n2")
    name = here(cluster, "n2")[0]
    cluster.stateless.add(name)
    reply = cluster.do("n1", "move", name)
    assert (reply.result, reply.detail) == ("refused", "the state is too large")
    assert cluster.where(name) == ["n2"]


def test_the_last_host_of_a_sworm_waits_for_its_deadline_and_names_what_stays() -> None:
    cluster = filled("n1")
    cluster.start("n2", config=lambda config: replace(config, sworms=("other",)))
    cluster.settle()
    cluster.drain("n1", wait=3.0)
    cluster.pass_time(2.0)
    assert drained(cluster, "n1") == []
    cluster.pass_time(4.0)
    (line,) = drained(cluster, "n1")
    assert line == f"n1: drained, leaving {', '.join(sorted(f'p{n}' for n in range(12)))}"


def test_the_last_host_of_a_sworm_is_relieved_by_one_that_comes_in_time() -> None:
    cluster = filled("n1")
    cluster.start("n2", config=lambda config: replace(config, sworms=("other",)))
    cluster.settle()
    cluster.drain("n1", wait=20.0)
    cluster.pass_time(2.0)
    cluster.start("n3")
    cluster.pass_time(6.0)
    assert drained(cluster, "n1") == ["n1: drained"]
    assert numbers(cluster) == {f"p{number}": number for number in range(12)}


def test_a_node_that_dies_while_it_drains_costs_what_only_it_had() -> None:
    cluster = filled("n1", "n2", "n3")
    names = here(cluster, "n2")
    cluster.held.add("TakeState")
    cluster.drain("n2")
    cluster.pass_time(0.1)
    cluster.deliver_kept(1)
    cluster.pass_time(0.1)
    saved = set(names) - set(here(cluster, "n2"))
    cluster.crash("n2")
    cluster.held.clear()
    cluster.lose_kept()
    cluster.pass_time(4)
    assert cluster.check_once() == 12
    assert len(saved) == 1
    found = numbers(cluster)
    assert found == {f"p{n}": 0 if f"p{n}" in set(names) - saved else n for n in range(12)}
    lost = {line.split()[2] for line in cluster.log if "its state was lost with it" in line}
    assert lost == set(names) - saved


@pytest.mark.parametrize("seconds", [1.0, 6.0])
def test_a_drain_during_a_partition_goes_on_when_it_heals(seconds: float) -> None:
    cluster = filled("n1", "n2", "n3")
    cluster.cut(["n2"], ["n1", "n3"])
    cluster.drain("n2")
    cluster.pass_time(seconds)
    assert drained(cluster, "n2") == []
    cluster.heal()
    cluster.pass_time(8.0)
    assert drained(cluster, "n2") == ["n2: drained"]
    cluster.crash("n2")
    cluster.pass_time(4.0)
    assert cluster.check_once() == 12


def test_a_drain_on_the_small_side_of_a_lasting_partition_ends_and_names_all() -> None:
    cluster = filled("n1", "n2", "n3")
    cluster.cut(["n2"], ["n1", "n3"])
    cluster.pass_time(3.0)
    names = here(cluster, "n2")
    cluster.drain("n2", wait=60.0)
    cluster.pass_time(5.0)
    assert drained(cluster, "n2") == []
    cluster.pass_time(10.0)
    assert names
    assert drained(cluster, "n2") == [f"n2: drained, leaving {', '.join(names)}"]
