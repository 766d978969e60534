"""A plan moves only what its strategy wants elsewhere, each process once, and leaves nothing to be moved.

Named invariants: only-eligible, plan-ends, minimal-movement.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.rebalance import Limits, Move, Placed, plan
from supervisor.core.strategies import LEAST_LOADED, UNIFORM, UNIFORM_RANDOM, Candidate, load, wish
from tests.laws import law

NOW = 1_000.0
STRATEGIES = (UNIFORM, UNIFORM_RANDOM, LEAST_LOADED)
NODES = [f"n{number}" for number in range(6)]

placements = st.lists(st.sampled_from(NODES), max_size=40)
capacities = st.dictionaries(
    st.sampled_from(NODES), st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 8.0]), min_size=1, max_size=5
)
strategies = st.sampled_from(STRATEGIES)


def placed(nodes: list[str], since: float = 0.0) -> list[Placed]:
    return [Placed("rooms", f"p{n:02}", node, n + 1, since, f"claim{n}") for n, node in enumerate(nodes)]


def candidates(capacities: dict[str, float], nodes: list[str], others: int = 0) -> list[Candidate]:
    counts = Counter(nodes)
    return [Candidate(node, {}, capacity, counts[node] + others) for node, capacity in capacities.items()]


def after(nodes: list[str], moves: list[Move]) -> list[str]:
    """Where everything is once the plan is carried out."""
    stand = {process.name: process.node for process in placed(nodes)}
    for move in moves:
        assert stand[move.name] == move.source
        stand[move.name] = move.target
    return [stand[name] for name in sorted(stand)]


@law(60)
@given(placements, capacities, strategies)
def test_plan_ends_each_moves_once_only_to_candidates_and_nothing_is_left(
    nodes: list[str], capacity: dict[str, float], strategy: str
) -> None:
    moves = plan(placed(nodes), candidates(capacity, nodes), strategy, Limits(), NOW)
    assert max(Counter(move.name for move in moves).values(), default=1) == 1
    assert all(move.target in capacity and move.target != move.source and move.why for move in moves)
    there = after(nodes, moves)
    assert set(there) <= set(capacity)
    assert plan(placed(there), candidates(capacity, there), strategy, Limits(), NOW) == []


@law(40)
@given(placements, capacities, strategies, st.randoms(use_true_random=False))
def test_the_order_of_the_arguments_means_nothing(
    nodes: list[str], capacity: dict[str, float], strategy: str, random: object
) -> None:
    first = plan(placed(nodes), candidates(capacity, nodes), strategy, Limits(), NOW)
    processes, some = placed(nodes)[::-1], candidates(capacity, nodes)[::-1]
    assert plan(processes, some, strategy, Limits(), NOW) == first


@law(40)
@given(placements, capacities, strategies, st.integers(0, 10))
def test_a_few_at_a_time_come_to_the_same_end_as_all_at_once(
    nodes: list[str], capacity: dict[str, float], strategy: str, most: int
) -> None:
    whole = plan(placed(nodes), candidates(capacity, nodes), strategy, Limits(), NOW)
    assert plan(placed(nodes), candidates(capacity, nodes), strategy, Limits(most=most), NOW) == whole[:most]
    total, stand = 0, nodes
    while most and (some := plan(placed(stand), candidates(capacity, stand), strategy, Limits(most=most), NOW)):
        stand, total = after(stand, some), total + len(some)
        assert total <= 2 * len(nodes)


@law(40)
@given(placements, capacities)
def test_least_loaded_levels_loads_by_capacity(nodes: list[str], capacity: dict[str, float]) -> None:
    there = after(nodes, plan(placed(nodes), candidates(capacity, nodes), LEAST_LOADED, Limits(), NOW))
    ended = candidates(capacity, there)
    highest = max(load(candidate) for candidate in ended)
    assert all(highest <= load(candidate, 1) for candidate in ended)


@law(30)
@given(placements, capacities, strategies)
def test_who_came_lately_stays(nodes: list[str], capacity: dict[str, float], strategy: str) -> None:
    limits = Limits(dwell=60.0)
    assert plan(placed(nodes, NOW - 59.9), candidates(capacity, nodes), strategy, limits, NOW) == []
    moves = plan(placed(nodes, NOW - 60.0), candidates(capacity, nodes), strategy, limits, NOW)
    assert moves == plan(placed(nodes), candidates(capacity, nodes), strategy, Limits(), NOW)


@pytest.mark.parametrize("strategy", [UNIFORM, UNIFORM_RANDOM])
def test_minimal_movement_a_node_that_comes_takes_its_share_and_nothing_else_moves(strategy: str) -> None:
    three = dict.fromkeys(NODES[:3], 1.0)
    settled = [wish(strategy, f"p{n:02}", f"claim{n}", candidates(three, [])) for n in range(99)]
    moves = plan(placed(settled), candidates(three | {"n9": 1.0}, settled), strategy, Limits(), NOW)
    assert {move.target for move in moves} == {"n9"}
    assert 10 < len(moves) < 45


def test_random_registrations_of_one_name_go_to_different_nodes() -> None:
    three = candidates(dict.fromkeys(NODES[:3], 1.0), [])
    assert {wish(UNIFORM_RANDOM, "lobby", f"claim{n}", three) for n in range(40)} == set(NODES[:3])
    assert len({wish(UNIFORM, "lobby", f"claim{n}", three) for n in range(40)}) == 1


def test_a_users_own_strategy_is_asked_with_the_counts_as_they_become() -> None:
    def fewest(name: str, some: object) -> str | None:
        return min(some, key=lambda candidate: (candidate.processes, candidate.node)).node  # type: ignore[call-overload, no-any-return]

    nodes = ["n8"] * 4
    moves = plan(placed(nodes), candidates({"n0": 1.0, "n1": 1.0}, nodes), fewest, Limits(), NOW)
    assert [move.target for move in moves] == ["n0", "n1", "n0", "n1"]
    assert plan(placed(nodes), candidates({"n0": 1.0}, nodes), lambda name, some: None, Limits(), NOW) == []


def test_nobody_to_go_to_and_a_strategy_that_is_none() -> None:
    assert plan(placed(["n1"]), [], UNIFORM, Limits(), NOW) == []
    assert wish(UNIFORM, "lobby", "", []) == ""
    with pytest.raises(ValueError, match="'sideways' is not a strategy"):
        plan(placed(["n1"]), [Candidate("n2")], "sideways", Limits(), NOW)


@law(15)
@given(st.integers(1, 400), capacities)
def test_one_after_the_other_least_loaded_keeps_the_loads_level(count: int, capacity: dict[str, float]) -> None:
    there: list[str] = []
    for number in range(count):
        there.append(wish(LEAST_LOADED, f"p{number}", "", candidates(capacity, there)))
    ended = candidates(capacity, there)
    assert all(load(one) <= load(other, 1) + 1e-9 for one in ended for other in ended)
