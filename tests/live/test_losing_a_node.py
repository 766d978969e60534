"""Agents that are killed, stopped and started again: their names live on, once each, and nothing of them haunts."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from swormweb.launch.process import wait_ended
from tests.live.cluster import LIMIT, LiveCluster, further_agent

pytestmark = pytest.mark.live

COUNTER = "examples.counters:Counter"
NODES = ("n1", "n2", "n3")

Said = Callable[[str, float], None]


def moved(cluster: LiveCluster, sworm: str, names: list[str], dead: str) -> dict[str, dict[str, Any]] | None:
    """Everything that runs in a sworm, once all names run on nodes that live."""
    listed = cluster.processes(sworm)
    there = listed.keys() == set(names)
    lives = all(item["state"] == "running" and item["node"] != dead for item in listed.values())
    return listed if there and lives else None


def lose(cluster: LiveCluster, sworm: str, names: list[str], dead: str, said: Said) -> None:
    """SIGKILL one agent, and see that its names come back as they must."""
    before, counted = cluster.processes(sworm), cluster.call_all(sworm, names, {"op": "increment"})
    others = [name for name in NODES if name != dead]
    with cluster.map(sworm) as view:
        killed_at = time.monotonic()
        cluster.kill(dead)
        after = cluster.wait_for("all names are back", partial(moved, cluster, sworm, names, dead))
        said("the names of a killed node are back over REST", time.monotonic() - killed_at)
        pids = {name: item["pid"] for name, item in after.items()}
        view.until("all names", lambda view: view.where(sworm) == pids)
        view.until("the death", lambda view: view.nodes[dead]["status"] == "dead")
    lost = {name for name, item in before.items() if item["node"] == dead}
    assert lost
    for name in names:
        if name in lost:
            assert after[name]["epoch"] > before[name]["epoch"]
            assert after[name]["node"] in others
        else:  # the same process: nobody touched it
            same = ("pid", "node", "epoch", "restarts", "started_at")
            assert [after[name][field] for field in same] == [before[name][field] for field in same]
    assert cluster.running(*others) == len(names), "nothing runs twice, nothing is lost"
    values = cluster.call_all(sworm, names, {"op": "get"})
    assert values == {name: 0 if name in lost else counted[name] for name in names}


def bring_back(cluster: LiveCluster, sworm: str, names: list[str], back: str) -> None:
    """A second `up`: the agent is a new incarnation, and nothing of the old one is left."""
    old = cluster.get(f"/nodes/{back}").body
    before = {name: item["pid"] for name, item in cluster.processes(sworm).items()}
    cluster.up()
    node = cluster.wait_for("it is alive", partial(alive, cluster, back))
    assert node["incarnation"] > old["incarnation"]
    assert node["processes"] == 0
    nodes = [item for item in cluster.get("/nodes").body["items"] if item["name"] in NODES]
    assert sorted((item["name"], item["status"]) for item in nodes) == [(name, "alive") for name in NODES]
    cluster.wait_for("every agent sees the same members", partial(agreed, cluster))
    assert {name: item["pid"] for name, item in cluster.processes(sworm).items()} == before
    assert cluster.running(*NODES) == len(names)


def alive(cluster: LiveCluster, node: str) -> dict[str, Any] | None:
    item: dict[str, Any] = cluster.get(f"/nodes/{node}").body
    return item if item["status"] == "alive" else None


def agreed(cluster: LiveCluster) -> bool:
    """Each agent is a peer of the two others, at one incarnation each, and knows as many names."""
    facts = cluster.agents_ready(*NODES)
    seen = []
    for name, body in facts.items():
        peers = {(peer["name"], peer["incarnation"]) for peer in body["peers"] if peer["name"] in NODES}
        seen.append((frozenset(peers | {(name, body["incarnation"])}), tuple(sorted(body["names"].items()))))
    return len(set(seen)) == 1 and len(seen[0][0]) == len(NODES)


def replicas_agree(cluster: LiveCluster, sworm: str) -> bool:
    items = [item for item in cluster.get("/replicas").body["items"] if item["sworm"] == sworm]
    told = {item["node"]: (item["digest"], item["size"], item["behind"]) for item in items}
    return set(told) >= set(NODES) and len(set(told.values())) == 1


@pytest.fixture
def counted(hurt_cluster: LiveCluster, request: pytest.FixtureRequest) -> tuple[LiveCluster, str, list[str]]:
    """A whole cluster with a sworm of a hundred counters."""
    names = [f"c{number}" for number in range(100)]
    sworm = "long" if request.node.get_closest_marker("long") else "short"
    hurt_cluster.sworms(sworm, handoff=True)
    hurt_cluster.register_many(sworm, names, COUNTER)
    return hurt_cluster, sworm, names


def clear(cluster: LiveCluster, sworm: str, names: list[str]) -> None:
    """End them all, and see that nothing is left."""
    with ThreadPoolExecutor(16) as pool:
        paths = [f"/sworms/{sworm}/processes/{name}" for name in names]
        answers = list(pool.map(partial(cluster.request, "DELETE"), paths))
    assert {answer.status for answer in answers} == {204}
    assert cluster.processes(sworm) == {}
    assert cluster.running(*NODES) == 0


def test_a_killed_agents_names_are_back_once_each_and_it_returns_as_a_new_one(
    counted: tuple[LiveCluster, str, list[str]], measured: Said
) -> None:
    cluster, sworm, names = counted
    for dead in ("n2", "n1"):
        lose(cluster, sworm, names, dead, measured)
        bring_back(cluster, sworm, names, dead)
    cluster.wait_for("the replicas agree", partial(replicas_agree, cluster, sworm))
    clear(cluster, sworm, names)


@pytest.mark.long
def test_twenty_deaths_lose_nothing(counted: tuple[LiveCluster, str, list[str]], measured: Said) -> None:
    cluster, sworm, names = counted
    for turn in range(20):
        dead = NODES[turn % len(NODES)]
        lose(cluster, sworm, names, dead, measured)
        bring_back(cluster, sworm, names, dead)
        cluster.wait_for("the replicas agree", partial(replicas_agree, cluster, sworm))
        if turn % 3 == 2:  # one that is new again has nothing to lose
            clear(cluster, sworm, names)
            cluster.register_many(sworm, names, COUNTER)
    clear(cluster, sworm, names)


def test_a_stopped_agent_hands_its_counters_over_and_only_then_exits_with_0(
    hurt_cluster: LiveCluster, measured: Said
) -> None:
    cluster, sworm = hurt_cluster, "stopping"
    names = [f"c{number}" for number in range(100)]
    values = dict(zip(names, range(100, 200), strict=True))
    cluster.sworms(sworm, handoff=True)
    with further_agent(cluster, "n4") as agent:
        items = [{"name": name, "target": COUNTER, "args": [value]} for name, value in values.items()]
        answer = cluster.post(f"/sworms/{sworm}/processes:batch", {"items": items})
        assert {result["status"] for result in answer.body["results"]} == {201}
        # What is counted after the start is what only a handoff can keep.
        values = cluster.call_all(sworm, names, {"op": "increment", "by": 1000})
        before = cluster.processes(sworm)
        assert {item["node"] for item in before.values()} == {*NODES, "n4"}
        stopped_at = time.monotonic()
        agent.terminate()
        assert agent.wait(LIMIT) == 0
        measured("a stopped agent has handed over and exited", time.monotonic() - stopped_at)
    # Gone means handed over: what the others run now is all there is.
    assert cluster.running(*NODES) == len(names)
    handed_over(cluster, sworm, before, "n4", values)
    before = cluster.processes(sworm)
    assert wait_ended([cluster.signal("n3", signal.SIGTERM)], LIMIT), cluster.logs()
    assert cluster.running("n1", "n2") == len(names)
    handed_over(cluster, sworm, before, "n3", values)
    bring_back(cluster, sworm, names, "n3")
    assert cluster.request("DELETE", "/nodes/n4").status == 204
    assert cluster.get("/nodes/n4").status == 404
    clear(cluster, sworm, names)


def handed_over(
    cluster: LiveCluster, sworm: str, before: dict[str, dict[str, Any]], node: str, values: dict[str, Any]
) -> None:
    """What ran on a node that was stopped runs elsewhere, with its values; the rest was not touched."""
    after = cluster.wait_for("all names are elsewhere", partial(moved, cluster, sworm, list(values), node))
    for name, item in after.items():
        if before[name]["node"] == node:
            assert item["epoch"] > before[name]["epoch"]
        else:
            assert item["pid"] == before[name]["pid"]
    assert cluster.call_all(sworm, list(values), {"op": "get"}) == values
    assert cluster.wait_for("it has left", lambda: cluster.get(f"/nodes/{node}").body["status"] == "left")
