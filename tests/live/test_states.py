"""States of real processes: none is lost by a drain, and what was checkpointed outlives a killed agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.live.cluster import LiveCluster
from tests.live.test_losing_a_node import NODES, alive, moved

pytestmark = pytest.mark.live

HEAVY, SENDER = "live_workers:Heavy", "live_workers:Sender"
COUNT = 300
SIZES = {"1 KiB": 1_024, "100 KiB": 102_400}

Said = Callable[[str, float], None]


def counters(cluster: LiveCluster, sworm: str, size: int, count: int = COUNT, **definition: Any) -> dict[str, int]:
    """A sworm of counters with states of this size, each incremented once: {name: count}."""
    cluster.sworms(sworm, **definition)
    names = [f"c{number}" for number in range(count)]
    cluster.register_many(sworm, names, HEAVY, kwargs={"size": size})
    return cluster.call_all(sworm, names, "increment")


@contextmanager
def cordoned(cluster: LiveCluster, *nodes: str) -> Iterator[None]:
    """These nodes take nothing meanwhile."""
    for node in nodes:
        assert cluster.post(f"/nodes/{node}/cordon", {}).status == 200
    yield
    for node in nodes:
        assert cluster.post(f"/nodes/{node}/uncordon", {}).status == 200


def clear(cluster: LiveCluster, sworm: str, names: list[str]) -> None:
    """End them all."""
    answers = [cluster.request("DELETE", f"/sworms/{sworm}/processes/{name}") for name in names]
    assert {answer.status for answer in answers} == {204}
    assert cluster.running(*NODES) == 0


def drain(cluster: LiveCluster, sworm: str, expected: dict[str, int], size: int, node: str, spare: str) -> float:
    """Drain an agent that has them all onto another one, and find every name and every state; returns the seconds."""
    assert {item["node"] for item in cluster.processes(sworm).values()} == {node}
    with cordoned(cluster, spare):
        began = time.monotonic()
        operation = cluster.operation(cluster.post(f"/nodes/{node}/drain", {"deadline_s": 60}))
        took = time.monotonic() - began
    assert operation["progress"]["total"] == len(expected)
    found = cluster.processes(sworm)
    assert found.keys() == expected.keys()
    assert all(item["node"] not in (node, spare) and item["state"] == "running" for item in found.values())
    values = cluster.call_all(sworm, list(expected), "get")
    assert values == {name: {"count": n, "size": size, "age_ms": None} for name, n in expected.items()}
    cluster.up()
    cluster.wait_for("it is back", partial(alive, cluster, node))
    return took


def drains(cluster: LiveCluster, sworm: str, size: int, times: int) -> Iterator[float]:
    """Drain whoever has them, again and again; each time all 300 move."""
    with cordoned(cluster, "n2", "n3"):
        expected = counters(cluster, sworm, size, handoff=True)
    since = cluster.get("/events?limit=1").body["revision"]
    for turn in range(times):
        yield drain(cluster, sworm, expected, size, NODES[turn % 3], NODES[(turn + 2) % 3])
        if turn % 10 == 9:
            expected = cluster.call_all(sworm, list(expected), "increment")
    suspected = cluster.get(f"/events?kind=suspect&since={since}").body["items"]
    assert suspected == [], "no heartbeat was late for all those states"
    clear(cluster, sworm, list(expected))


@pytest.mark.parametrize("size", SIZES)
def test_drains_lose_no_state(hurt_cluster: LiveCluster, measured: Said, size: str) -> None:
    for took in drains(hurt_cluster, f"drained{SIZES[size]}", SIZES[size], 2):
        measured(f"a drain of {COUNT} states of {size} has succeeded over REST", took)


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
def test_a_hundred_drains_each_lose_no_state(hurt_cluster: LiveCluster, measured: Said, size: str) -> None:
    for took in drains(hurt_cluster, f"long{SIZES[size]}", SIZES[size], 100):
        measured(f"a drain of {COUNT} states of {size} has succeeded over REST", took)


def test_messages_during_moves_keep_their_order_and_each_ends_once(shared_cluster: LiveCluster) -> None:
    cluster = shared_cluster
    cluster.sworms("letters", handoff=True)
    cluster.sworms("senders")
    cluster.register_many("letters", ["box"], HEAVY, kwargs={"size": 50_000})
    senders = [f"s{number}" for number in range(6)]
    cluster.register_many("senders", senders, SENDER, args=["letters", "box"])
    assert len({item["node"] for item in cluster.processes("senders").values()}) > 1
    cluster.call_all("senders", senders, "start")
    for _ in range(15):
        cluster.operation(cluster.post("/sworms/letters/processes/box/handoff", {}))
    sent = cluster.call_all("senders", senders, "stop")
    told: list[list[Any]] = cluster.call("letters", "box", "told").body["reply"]
    for name in senders:
        arrived = [number for sender, number in told if sender == name]
        assert arrived == sorted(set(arrived)), "in order, and none twice"
        handled = set(arrived)
        assert len(sent[name]) > 100
        for number, kind, outcome in sent[name]:
            replied = isinstance(outcome, int)
            assert number in handled or not (replied or (kind == "cast" and outcome == "")), (number, kind, outcome)
    for name in senders:
        cluster.request("DELETE", f"/sworms/senders/processes/{name}")
    cluster.request("DELETE", "/sworms/letters/processes/box")


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


def test_a_running_drain_is_cancelled_and_its_node_stays(shared_cluster: LiveCluster) -> None:
    cluster = shared_cluster
    cluster.sworms("slow", handoff=True, handoff_timeout_ms=30_000)
    names = [f"s{number}" for number in range(12)]
    cluster.register_many("slow", names, HEAVY, kwargs={"gives_after_s": 4.0})
    cluster.call_all("slow", names, "increment")
    moves = cluster.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]
    mine = {name for name, item in cluster.processes("slow").items() if item["node"] == "n1"}
    assert mine
    assert {move["name"] for move in moves if move["sworm"] == "slow"} == mine
    assert {move["to"] for move in moves} <= {"n2", "n3"}
    asked = cluster.post("/nodes/n1/drain", {"deadline_s": 60})
    cluster.wait_for("it drains", lambda: cluster.get("/nodes/n1").body["status"] == "draining")
    assert cluster.post(f"/operations/{asked.body['id']}/cancel", {}).status == 200
    row = cluster.wait_for("the end", partial(ended, cluster, asked.body["id"]))
    assert row["state"] == "cancelled"
    cluster.wait_for("it takes processes again", partial(alive, cluster, "n1"))
    assert set(cluster.call_all("slow", names, "increment").values()) == {2}
    for name in names:
        cluster.request("DELETE", f"/sworms/slow/processes/{name}")
