"""What a strategy wants, told beforehand: it is what happens then, and asking changes nothing.

Named invariants: foreseen-is-done.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.events import Foresee, Reply
from supervisor.core.spec import Definition
from tests.laws import law
from tests.scenarios.cluster import ROOMS, Cluster, host_of
from tests.supervisor.core.test_choosing import started, zones

NAMES = tuple(f"p{number}" for number in range(6))


def foreseen(cluster: Cluster, at: str, *names: str, **more: Any) -> Reply:
    cluster.requests += 1
    request = f"f{cluster.requests}"
    cluster.give(at, Foresee(request, ROOMS, names, **more))
    cluster.settle()
    return cluster.replies[request]


@law(12)
@given(
    st.sampled_from(["uniform", "uniform_random", "least_loaded", "own:last"]),
    st.lists(st.sampled_from("ab"), max_size=4),
)
def test_what_is_foreseen_is_what_a_registration_and_a_move_do(strategy: str, labels: list[str]) -> None:
    nodes = zones(n1="a", n2="a", **{f"n{n + 3}": zone for n, zone in enumerate(labels)})
    cluster = started(nodes, distribution_strategy=strategy, constraints={"zone": "a"})
    for name in NAMES:
        registered = foreseen(cluster, "n2", name)
        host = host_of(cluster.do("n1", "register", name))
        if strategy != "uniform_random":  # a registration draws anew, by its claim
            assert registered.nodes == (host,)
        without = foreseen(cluster, "n1", name, without=host)
        assert host_of(cluster.do("n2", "move", name)) == without.nodes[0]
    assert cluster.check_once() == len(NAMES)


def test_several_are_foreseen_as_if_one_followed_the_other() -> None:
    cluster = started({"n1": {}, "n2": {"capacity": 2.0}}, distribution_strategy="least_loaded")
    wanted = foreseen(cluster, "n1", *NAMES).nodes
    assert wanted == tuple(host_of(cluster.do("n1", "register", name)) for name in NAMES)
    before = cluster.nodes["n1"].node.member.replica(ROOMS).version(cluster.nodes["n1"].node.origin)
    foreseen(cluster, "n1", *NAMES)
    assert cluster.nodes["n1"].node.member.replica(ROOMS).version(cluster.nodes["n1"].node.origin) == before


@pytest.mark.parametrize(
    ("strategy", "problem", "detail"),
    [("own:bad", "strategy_failed", "raised ValueError"), ("own:nowhere", "strategy_failed", "n99")],
)
def test_a_strategy_that_cannot_be_asked_says_why(strategy: str, problem: str, detail: str) -> None:
    cluster = started({"n1": {}, "n2": {}}, distribution_strategy=strategy)
    told = foreseen(cluster, "n1", "a", "b")
    assert (told.result, told.problem) == ("refused", problem)
    assert detail in told.detail


def test_where_there_is_nothing_to_foresee() -> None:
    cluster = started({"n1": {}}, distribution_strategy="own:none")
    assert foreseen(cluster, "n1", "a").nodes == ("",)
    alone = foreseen(cluster, "n1", "a", without="n1")
    assert (alone.result, alone.problem) == ("refused", "no_node")
    cluster.give("n1", Foresee("f", "nobody", ("a",)))
    assert cluster.replies["f"].problem == "unknown_sworm"


def test_a_definition_on_trial_is_asked_about_and_obeyed_by_nobody() -> None:
    cluster = started({"n1": {}})
    revision = cluster.nodes["n1"].node.definitions[ROOMS].revision
    trial = Definition(ROOMS, distribution_strategy="own:bad")
    assert foreseen(cluster, "n1", trial=trial).problem == "strategy_failed"
    assert foreseen(cluster, "n1", trial=trial._replace(distribution_strategy="own:last")).result == "done"
    assert foreseen(cluster, "n1", trial=trial._replace(distribution_strategy="uniform")).result == "done"
    assert cluster.nodes["n1"].node.definitions[ROOMS].revision == revision
