"""The demo on a real cluster: a second start changes nothing, and every endpoint is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from examples import demo
from tests.live.cluster import LiveCluster

pytestmark = pytest.mark.live


def test_up_starts_the_demo_and_a_second_start_leaves_it_alone(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster(2)
    words = ("--data", str(cluster.data), "--port", str(cluster.port), "--agents", "2")
    cluster.sworm("up", "--detach", *words)
    cluster.told = json.loads((cluster.data / "cluster.json").read_text())
    wanted = {(sworm, item["name"]) for sworm, items in demo.processes(cluster.told).items() for item in items}
    before = {(sworm, name): item for sworm, _ in wanted for name, item in cluster.processes(sworm).items()}
    assert set(before) == wanted
    assert {item["state"] for item in before.values()} == {"running"}
    demo.start(cluster.url, cluster.token, cluster.told)
    after = {(sworm, name): item["pid"] for sworm, _ in wanted for name, item in cluster.processes(sworm).items()}
    assert after == {key: item["pid"] for key, item in before.items()}
    for name in demo.endpoints(cluster.told):
        told = cluster.wait_for(f"{name} is measured", partial(measured, cluster, name))
        assert told is not None
        assert told["failures"] == 0, told


def measured(cluster: LiveCluster, name: str) -> dict[str, float] | None:
    reply: dict[str, float] = cluster.call("probes", name, {"op": "get"}).body["reply"]
    return reply if reply["count"] >= 2 else None
