"""Where processes go on real agents: by labels, by strategies of all kinds, and what follows a node that comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live.cluster import OWN_WORKERS, LiveCluster, further_agent

pytestmark = pytest.mark.live

COUNTER = "examples.counters:Counter"


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[..., LiveCluster]) -> Iterator[LiveCluster]:
    """Two agents that may run strategies of our own."""
    allowed = f"{OWN_WORKERS['SWORM_ALLOWED_MODULES']},live_placing"
    cluster = make_cluster(2, **{**OWN_WORKERS, "SWORM_ALLOWED_MODULES": allowed})
    cluster.up()
    yield cluster
    cluster.down("--now")
    assert not cluster.defects()


def nodes(cluster: LiveCluster, sworm: str) -> Counter[str]:
    return Counter(item["node"] for item in cluster.processes(sworm).values())


def register(cluster: LiveCluster, sworm: str, name: str) -> Any:
    return cluster.post(f"/sworms/{sworm}/processes", {"name": name, "target": COUNTER})


def test_strategies_of_ones_own_are_obeyed_and_bad_ones_harm_nobody(cluster: LiveCluster) -> None:
    names = [f"p{number}" for number in range(10)]
    cluster.sworms("first", distribution_strategy="live_placing:first")
    cluster.register_many("first", names, COUNTER)
    assert nodes(cluster, "first") == {"n1": 10}
    for strategy, sentence in (
        ("leaves", "live_placing:leaves ended"),
        ("raises", "live_placing:raises raised LookupError: no idea where lobby belongs for 'lobby'"),
    ):
        cluster.sworms(strategy, distribution_strategy=f"live_placing:{strategy}")
        answer = register(cluster, strategy, "lobby")
        assert (answer.status, answer.body["code"]) == (503, "strategy_failed")
        assert sentence in answer.body["detail"]
    for strategy, sentence in (
        ("live_placing:missing", "module live_placing has no missing"),
        ("os:system", "module os is not among those this agent may run"),
    ):
        refused = cluster.post("/sworms", {"name": "foreign", "distribution_strategy": strategy})
        assert (refused.status, refused.body["errors"][0]["field"]) == (422, "distribution_strategy")
        assert sentence in refused.body["detail"]
    cluster.agents_ready("n1", "n2")


def test_a_node_that_comes_takes_what_is_meant_for_it(cluster: LiveCluster) -> None:
    names = [f"p{number}" for number in range(30)]
    cluster.sworms("rooms", handoff=True, redistribution="active")
    cluster.sworms("models", constraints={"gpu": True})
    cluster.sworms("level", distribution_strategy="least_loaded")
    cluster.register_many("rooms", names, COUNTER)
    values = cluster.call_all("rooms", names, {"op": "increment", "by": 7})
    assert set(nodes(cluster, "rooms")) == {"n1", "n2"}
    refused = register(cluster, "models", "m1")
    assert (refused.status, refused.body["code"]) == (503, "no_node")
    assert "meets has gpu" in refused.body["detail"]
    with further_agent(cluster, "n3", "--label", "gpu=big", "--capacity", "10") as agent:
        assert register(cluster, "models", "m1").body["node"] == "n3"
        cluster.register_many("level", [f"l{number}" for number in range(60)], COUNTER)
        assert nodes(cluster, "level")["n3"] > 40
        moved = cluster.wait_for("its share has moved", lambda: nodes(cluster, "rooms")["n3"] >= 3 and settled(cluster))
        assert 3 <= moved["n3"] < 20
        assert cluster.call_all("rooms", names, {"op": "get"}) == values
        told = cluster.get("/events?kind=redistribution").body["items"]
        assert "processes to move: " in told[-1]["detail"]
        agent.kill()
        agent.wait()
        waiting = cluster.wait_for("it waits", lambda: cluster.get("/events?kind=waiting&sworm=models").body["items"])
        assert "no node that is up and hosts models meets has gpu" in waiting[-1]["detail"]
        ready = cluster.agents_ready("n1", "n2").values()
        assert sum(body["waiting"].get("models", 0) for body in ready) == 1
        back = cluster.wait_for("all are back", lambda: back_without(cluster, "n3", {"rooms": 30, "level": 60}))
        assert back


def settled(cluster: LiveCluster) -> Counter[str] | None:
    """Where the rooms are, once nothing of them is on its way."""
    listed = cluster.processes("rooms").values()
    moving = len(listed) < 30 or any(item["state"] != "running" for item in listed)
    return None if moving else Counter(item["node"] for item in listed)


def back_without(cluster: LiveCluster, node: str, wanted: dict[str, int]) -> bool:
    """Whether all of these sworms run, and nothing on this node."""
    found = {sworm: nodes(cluster, sworm) for sworm in wanted}
    return all(node not in counts and counts.total() == wanted[sworm] for sworm, counts in found.items())
