"""Without database, broker, web and observer the agents go on, and lose nothing when one of them dies meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from swormweb.launch.process import wait_ended
from tests.live.cluster import LIMIT, LiveCluster

pytestmark = pytest.mark.live

COUNTER = "examples.counters:Counter"
NODES = ("n1", "n2", "n3")
SWORM = "steady"

#: How each part of the control plane goes: the servers in order, the programs as they would in a bad moment.
GOING = {"web": signal.SIGKILL, "observer": signal.SIGKILL, "postgres": signal.SIGINT, "valkey": signal.SIGTERM}

#: For how long the agents are looked at without a control plane, in seconds; nothing is waited for.
WATCHED = 3.0


def test_agents_go_on_without_the_control_plane_and_it_finds_them_again(
    hurt_cluster: LiveCluster, measured: Callable[[str, float], None]
) -> None:
    cluster, names = hurt_cluster, [f"c{number}" for number in range(90)]
    cluster.sworms(SWORM, handoff=True)
    cluster.register_many(SWORM, names, COUNTER)
    cluster.call_all(SWORM, names, {"op": "increment"})
    before = cluster.processes(SWORM)
    agents = {agent["name"]: agent["os_pid"] for agent in cluster.told["agents"]}
    others = cluster.running(*NODES) - len(names)

    assert wait_ended([cluster.signal(part, number) for part, number in GOING.items()], LIMIT)
    until = time.monotonic() + WATCHED
    while time.monotonic() < until:
        assert cluster.running(*NODES) == len(names) + others

    killed_at = time.monotonic()
    cluster.kill("n2")
    cluster.wait_for("all of n2 runs elsewhere", lambda: cluster.running("n1", "n3") == len(names) + others)
    measured("the same without a control plane, on the agents", time.monotonic() - killed_at)
    assert cluster.agents_ready("n1", "n3")["n1"]["names"][SWORM] == len(names)

    cluster.up()
    assert {agent["name"]: agent["os_pid"] for agent in cluster.told["agents"] if agent["name"] != "n2"} == {
        name: pid for name, pid in agents.items() if name != "n2"
    }
    after = cluster.wait_for("REST is right again", partial(right_again, cluster, before))
    with cluster.map(SWORM) as view:
        pids = {name: item["pid"] for name, item in after.items()}
        view.until("all names", lambda view: view.where(SWORM) == pids)
        view.until("all nodes", lambda view: {view.nodes[name]["status"] for name in NODES} == {"alive"})
    assert cluster.get(f"{cluster.url}/readyz").status == 200
    values = cluster.call_all(SWORM, names, {"op": "get"})
    assert values == {name: 0 if before[name]["node"] == "n2" else 1 for name in names}
    # What happened meanwhile is in the history: reports waited for their reader.
    rehomed = {name for name, item in before.items() if item["node"] == "n2"}
    cluster.wait_for("the history is whole", lambda: told_of(cluster, "rehomed") >= rehomed)
    cluster.register_many(SWORM, ["late"], COUNTER)
    with ThreadPoolExecutor(16) as pool:
        paths = [f"/sworms/{SWORM}/processes/{name}" for name in [*names, "late"]]
        assert {answer.status for answer in pool.map(partial(cluster.request, "DELETE"), paths)} == {204}


def right_again(cluster: LiveCluster, before: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]] | None:
    """The list, once it shows three living nodes and every name: those of n2 elsewhere, the others as they were."""
    nodes = {node["name"]: node["status"] for node in cluster.get("/nodes").body["items"] if node["name"] in NODES}
    after = cluster.processes(SWORM)
    if nodes != dict.fromkeys(NODES, "alive") or after.keys() != before.keys():
        return None
    for name, item in after.items():
        if before[name]["node"] == "n2":
            if item["node"] == "n2" or item["state"] != "running" or item["epoch"] <= before[name]["epoch"]:
                return None
        else:
            assert item["pid"] == before[name]["pid"]
    return after


def told_of(cluster: LiveCluster, kind: str) -> set[str]:
    """The names of which the history tells this."""
    items = cluster.get(f"/events?sworm={SWORM}&kind={kind}&limit=1000").body["items"]
    return {item["name"] for item in items}
