"""Active redistribution brings processes to where their strategy wants them, a few at a time, with state, and ends.

Named invariants: redistribution-ends, only-eligible, handoff-keeps-state.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.frozen import frozen
from registry.core.ids import node_of
from supervisor.core.strategies import UNIFORM, UNIFORM_RANDOM, wish
from tests.laws import law
from tests.scenarios.cluster import ROOMS, Cluster

#: Seconds within which a few processes have moved: calm, dwell time, and then some.
SOON = 20.0


def started(*names: str, count: int = 12, **definition: Any) -> Cluster:
    cluster = Cluster()
    cluster.start(*names)
    cluster.settle()
    cluster.define(names[0], handoff=True, redistribution="active", **definition)
    cluster.settle()
    for number in range(count):
        cluster.do(names[0], "register", f"p{number}")
        cluster.send_to(f"p{number}", number)
    return cluster


def hosts(cluster: Cluster) -> Counter[str]:
    replica = cluster.nodes[min(cluster.nodes)].node.member.replica(ROOMS)
    return Counter(node_of(found.origin) for found in replica.index.values())


def moves(cluster: Cluster) -> list[str]:
    """Names moved since this was last asked."""
    log, cluster.log = cluster.log, []
    return [line.split()[2] for line in log if line.split()[1] == "moved"]


def keeps_state(cluster: Cluster, count: int = 12) -> bool:
    workers = [worker for running in cluster.nodes.values() for worker in running.workers.values()]
    values = {w.start.name: w.value for w in workers if w.running and w.gate.is_open}
    return cluster.check_once() == count and values == {f"p{number}": number for number in range(count)}


def is_idle(cluster: Cluster) -> bool:
    """Nobody has anything left to move."""
    return all(
        not (running.node.redistribution.todo or running.node.redistribution.moving)
        for running in cluster.nodes.values()
    )


@pytest.mark.parametrize("strategy", [UNIFORM, UNIFORM_RANDOM, "least_loaded", "own:last"])
def test_a_node_that_comes_gets_its_share_once(strategy: str) -> None:
    cluster = started("n1", "n2", distribution_strategy=strategy)
    before = hosts(cluster)
    cluster.start("n3")
    cluster.pass_time(2.0)
    assert hosts(cluster) == before
    assert moves(cluster) == []
    cluster.pass_time(SOON)
    moved = moves(cluster)
    assert len(moved) == len(set(moved)) == hosts(cluster)["n3"] > 0
    assert keeps_state(cluster)
    cluster.pass_time(100.0)
    assert moves(cluster) == []
    assert is_idle(cluster)


@law(8)
@given(st.sampled_from([UNIFORM, UNIFORM_RANDOM, "least_loaded", "own:last"]), st.lists(st.integers(0, 5), max_size=8))
def test_redistribution_ends_where_the_strategy_wants_it(strategy: str, program: list[int]) -> None:
    """Nodes come, go and are cordoned in any order; afterwards everything is in place, and nothing moves any more."""
    cluster = started("n1", "n2", "n3", distribution_strategy=strategy)
    for number in program:
        name = f"n{number % 3 + 2}"
        if name not in cluster.nodes:
            cluster.start(name)
        elif number < 3:
            cluster.crash(name)
        else:
            cluster.cordon(name, number % 2 == 0)
        cluster.pass_time(0.7 * number)
    for name in cluster.nodes:
        cluster.cordon(name, False)
    cluster.pass_time(60.0)
    moves(cluster)
    cluster.pass_time(60.0)
    assert moves(cluster) == []
    assert cluster.check_once() == 12
    node = cluster.nodes["n1"].node
    candidates = node.choosing.candidates(ROOMS)
    index = node.member.replica(ROOMS).index
    if strategy in (UNIFORM, UNIFORM_RANDOM):
        wanted = {name: wish(strategy, name, found.entry.claim, candidates) for name, found in index.items()}
        assert {name: node_of(found.origin) for name, found in index.items()} == wanted
    elif strategy == "least_loaded":
        assert max(hosts(cluster).values()) - min(hosts(cluster)[c.node] for c in candidates) <= 1
    else:
        assert set(hosts(cluster)) == {max(cluster.nodes)}


def test_nothing_moves_while_nodes_come_and_go() -> None:
    cluster = started("n1", "n2")
    moves(cluster)
    for _ in range(10):
        cluster.start("n3")
        cluster.pass_time(2.0)
        cluster.crash("n3")
        cluster.pass_time(2.0)
    assert moves(cluster) == []


def test_what_has_just_come_stays_for_its_dwell_time() -> None:
    cluster = started("n1", "n2", count=0)
    cluster.start("n3")
    cluster.pass_time(2.0)
    strays = [f"p{n}" for n in range(40)]
    for name in strays:
        cluster.do("n1", "register", name)
    moves(cluster)
    cluster.crash("n3")
    cluster.pass_time(2.0)
    cluster.start("n3")
    cluster.pass_time(6.0)
    assert moves(cluster) == []
    cluster.pass_time(SOON)
    assert moves(cluster)


def test_moves_keep_their_pace() -> None:
    cluster = started("n1", count=60)
    cluster.pass_time(30.0)
    cluster.start("n2")
    cluster.pass_time(4.0)
    some = len(moves(cluster))
    assert 0 < some <= 12
    cluster.pass_time(1.0)
    assert len(moves(cluster)) <= 11
    cluster.pass_time(SOON)
    assert keeps_state(cluster, 60)
    assert 20 < hosts(cluster)["n2"] < 40


def test_an_operators_move_is_not_undone_until_something_changes() -> None:
    cluster = started("n1", "n2")
    cluster.pass_time(SOON)
    name, found = next(iter(cluster.nodes["n1"].node.member.replica(ROOMS).index.items()))
    other = "n2" if node_of(found.origin) == "n1" else "n1"
    cluster.do("n1", "move", name, to=other)
    moves(cluster)
    cluster.pass_time(60.0)
    assert moves(cluster) == []
    cluster.start("n3")
    cluster.pass_time(SOON)
    assert name in moves(cluster)


def test_a_cordoned_node_keeps_what_it_runs() -> None:
    cluster = started("n1", "n2")
    before = hosts(cluster)
    cluster.cordon("n2")
    cluster.pass_time(SOON)
    assert hosts(cluster) == before
    cluster.cordon("n2", False)
    cluster.pass_time(SOON)
    assert hosts(cluster) == before
    assert moves(cluster) == []


def test_new_constraints_are_followed() -> None:
    cluster = Cluster()
    for name, zone in (("n1", "a"), ("n2", "b"), ("n3", "b")):
        cluster.start(name, config=lambda config, zone=zone: replace(config, labels={"zone": zone}))  # type: ignore[misc]
    cluster.settle()
    cluster.define("n1", handoff=True, redistribution="active")
    cluster.settle()
    for number in range(12):
        cluster.do("n1", "register", f"p{number}")
        cluster.send_to(f"p{number}", number)
    cluster.define("n1", constraints=frozen({"zone": "b"}))
    cluster.pass_time(SOON)
    assert "n1" not in hosts(cluster)
    assert keeps_state(cluster)
    cluster.define("n1", redistribution="passive", constraints=frozen({"zone": "a"}))
    cluster.pass_time(SOON)
    assert "n1" not in hosts(cluster)


def test_a_move_that_fails_is_tried_a_few_times_and_then_left() -> None:
    cluster = started("n1")
    cluster.pass_time(SOON)
    cluster.dropped.add("Prepared")
    cluster.start("n2")
    cluster.pass_time(400.0)
    assert hosts(cluster) == {"n1": 12}
    failed = Counter(line.split()[2] for line in cluster.log if line.split()[1] == "handoff_failed")
    assert failed
    assert max(failed.values()) <= 3
    cluster.dropped.clear()
    cluster.pass_time(100.0)
    assert hosts(cluster) == {"n1": 12}
    cluster.start("n3")
    cluster.pass_time(60.0)
    assert set(hosts(cluster)) == {"n1", "n2", "n3"}
    assert keeps_state(cluster)


def test_whoever_does_it_may_die() -> None:
    cluster = started("n1", "n2", "n3", count=30)
    cluster.pass_time(SOON)
    cluster.start("n4")
    cluster.pass_time(3.5)
    (doing,) = [name for name, running in cluster.nodes.items() if running.node.redistribution.is_ours()]
    cluster.crash(doing)
    cluster.pass_time(60.0)
    assert cluster.check_once() == 30
    moves(cluster)
    cluster.pass_time(60.0)
    assert moves(cluster) == []
    assert is_idle(cluster)


def test_people_are_told_once_what_is_about_to_move() -> None:
    cluster = started("n1", "n2")
    cluster.start("n3")
    cluster.pass_time(60.0)
    told = [line for line in cluster.log if "redistribution" in line.split()[1]]
    assert len(told) == 1
    assert "processes to move: " in told[0]


def test_passive_moves_nothing() -> None:
    cluster = started("n1", "n2")
    cluster.define("n1", redistribution="passive")
    cluster.start("n3")
    cluster.pass_time(60.0)
    assert moves(cluster) == []
