"""States of real processes: none is lost by a drain, and what was checkpointed outlives a killed agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.live.cluster import LiveCluster
from tests.live.test_losing_a_node import NODES, alive, moved

pytestmark = pytest.mark.live

HEAVY = "live_workers:Heavy"
COUNT = 300
SIZES = {"1 KiB": 1_024, "100 KiB": 102_400}

Said = Callable[[str, float], None]


def counters(cluster: LiveCluster, sworm: str, size: int, count: int = COUNT, **definition: Any) -> dict[str, int]:
    """A sworm of counters with states of this size, each incremented once: {name: count}."""
    cluster.sworms(sworm, **definition)
    names = [f"c{number}" for number in range(count)]
    cluster.register_many(sworm, names, HEAVY, kwargs={"size": size})
    return cluster.call_all(sworm, names, "increment")


def clear(cluster: LiveCluster, sworm: str, names: list[str]) -> None:
    """End them all."""
    answers = [cluster.request("DELETE", f"/sworms/{sworm}/processes/{name}") for name in names]
    assert {answer.status for answer in answers} == {204}
    assert cluster.running(*NODES) == 0


def drain(cluster: LiveCluster, sworm: str, expected: dict[str, int], size: int, node: str) -> float:
    """Drain one agent, and find every name and every state; returns the seconds that it took."""
    held = sum(item["node"] == node for item in cluster.processes(sworm).values())
    began = time.monotonic()
    operation = cluster.operation(cluster.post(f"/nodes/{node}/drain", {"deadline_s": 60}))
    took = time.monotonic() - began
    assert operation["progress"]["total"] == held
    found = cluster.processes(sworm)
    assert found.keys() == expected.keys()
    assert all(item["node"] != node and item["state"] == "running" for item in found.values())
    values = cluster.call_all(sworm, list(expected), "get")
    assert values == {name: {"count": n, "size": size, "age_ms": None} for name, n in expected.items()}
    cluster.up()
    cluster.wait_for("it is back", partial(alive, cluster, node))
    return took


@pytest.mark.parametrize("size", SIZES)
def test_drains_lose_no_state(hurt_cluster: LiveCluster, measured: Said, size: str) -> None:
    sworm = f"drained{SIZES[size]}"
    expected = counters(hurt_cluster, sworm, SIZES[size], handoff=True)
    for node in NODES[:2]:
        took = drain(hurt_cluster, sworm, expected, SIZES[size], node)
        measured(f"a drain of some of {COUNT} states of {size} has succeeded over REST", took)
    clear(hurt_cluster, sworm, list(expected))


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
def test_a_hundred_drains_each_lose_no_state(hurt_cluster: LiveCluster, measured: Said, size: str) -> None:
    sworm = f"long{SIZES[size]}"
    expected = counters(hurt_cluster, sworm, SIZES[size], handoff=True)
    for turn in range(100):
        took = drain(hurt_cluster, sworm, expected, SIZES[size], NODES[turn % 3])
        measured(f"a drain of some of {COUNT} states of {size} has succeeded over REST", took)
        if turn % 10 == 9:
            expected = hurt_cluster.call_all(sworm, list(expected), "increment")
    clear(hurt_cluster, sworm, list(expected))


def test_a_checkpointed_state_outlives_a_killed_agent(hurt_cluster: LiveCluster) -> None:
    cluster = hurt_cluster
    began = time.monotonic()
    expected = counters(cluster, "kept", 1_024, 60, checkpoint_interval_ms=500, checkpoint_copies=1)
    # So that every count is in a checkpoint: each is asked once an interval, which a change of its age cannot show.
    cluster.wait_for("two intervals have passed", lambda: time.monotonic() - began > 3.0)
    before = cluster.processes("kept")
    cluster.kill("n2")
    killed = {name for name, item in before.items() if item["node"] == "n2"}
    assert killed
    cluster.wait_for("all names are back", partial(moved, cluster, "kept", list(expected), "n2"))
    values = cluster.call_all("kept", list(expected), "get")
    assert {name: value["count"] for name, value in values.items()} == expected
    assert {name for name, value in values.items() if value["age_ms"] is not None} == killed
    assert all(0 <= values[name]["age_ms"] < 10_000 for name in killed)
    events = cluster.get("/events?sworm=kept&kind=rehomed&limit=1000").body["items"]
    told = {item["name"] for item in events if "goes on with the state of" in str(item)}
    assert told == killed
    cluster.up()
    cluster.wait_for("it is back", partial(alive, cluster, "n2"))
    clear(cluster, "kept", list(expected))


def test_a_state_beyond_the_limit_is_refused_and_its_process_stays(shared_cluster: LiveCluster) -> None:
    cluster = shared_cluster
    cluster.sworms("heavy", handoff=True)
    cluster.register_many("heavy", ["fits"], HEAVY, kwargs={"size": 4_000_000})
    cluster.register_many("heavy", ["beyond"], HEAVY, kwargs={"size": 5_000_000})
    cluster.operation(cluster.post("/sworms/heavy/processes/fits/handoff", {}))
    assert cluster.call("heavy", "fits", "get").body["reply"]["size"] == 4_000_000
    before = cluster.processes("heavy")["beyond"]
    answer = cluster.post("/sworms/heavy/processes/beyond/handoff", {})
    assert answer.status == 202
    row = cluster.wait_for("the end", partial(ended, cluster, answer.body["id"]))
    assert row["state"] == "failed"
    assert "at most 4194304 are handed off" in str(row)
    assert cluster.processes("heavy")["beyond"]["pid"] == before["pid"]
    assert cluster.call("heavy", "beyond", "increment").body["reply"] == 1
    for name in ("fits", "beyond"):
        cluster.request("DELETE", f"/sworms/heavy/processes/{name}")


def ended(cluster: LiveCluster, operation: str) -> dict[str, Any] | None:
    row: dict[str, Any] = cluster.get(f"/operations/{operation}").body
    return row if row["state"] not in ("pending", "running") else None
