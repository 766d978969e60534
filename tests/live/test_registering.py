"""Processes over REST on three real agents: many at once, one name for many callers, and one that moves."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.cluster import Answer, LiveCluster

pytestmark = pytest.mark.live

COUNTER = "examples.counters:Counter"
NODES = ("n1", "n2", "n3")


def test_three_hundred_counters_in_one_batch_spread_answer_and_are_on_the_map(shared_cluster: LiveCluster) -> None:
    names = [f"visits/{number}" for number in range(300)]
    shared_cluster.sworms("many")
    with shared_cluster.map("many") as view:
        results = shared_cluster.register_many("many", names, COUNTER)
        assert [result["name"] for result in results] == names
        listed = shared_cluster.processes("many")
        assert {name: item["pid"] for name, item in listed.items()} == {
            result["name"]: result["process"]["pid"] for result in results
        }
        assert {item["state"] for item in listed.values()} == {"running"}
        spread = Counter(item["node"] for item in listed.values())
        assert sorted(spread) == list(NODES)
        assert min(spread.values()) >= 60, spread  # a hash places them: a third each, give or take
        pids = {name: item["pid"] for name, item in listed.items()}
        view.until("all counters", lambda view: view.where("many") == pids)
        assert {view.nodes[name]["status"] for name in NODES} == {"alive"}
    assert shared_cluster.call_all("many", names, {"op": "increment", "by": 2}) == dict.fromkeys(names, 2)


def test_of_fifty_who_want_one_name_one_gets_it_and_all_hear_who(shared_cluster: LiveCluster) -> None:
    shared_cluster.sworms("wanted")

    def want(number: int) -> Answer:
        return shared_cluster.post("/sworms/wanted/processes", {"name": "the one", "target": COUNTER, "args": [number]})

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(want, range(50)))
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 49}
    (winner,) = [number for number, answer in enumerate(answers) if answer.status == 201]
    pid = answers[winner].body["pid"]
    refused = [answer.body for answer in answers if answer.status == 409]
    assert {(body["code"], body["process"]["pid"]) for body in refused} == {("already_started", pid)}
    assert shared_cluster.get("/sworms/wanted/processes/the%20one").body["pid"] == pid
    assert shared_cluster.call("wanted", "the one", {"op": "get"}).body == {"reply": winner}


def test_a_counter_moves_to_the_node_that_was_chosen_with_its_value(shared_cluster: LiveCluster) -> None:
    shared_cluster.sworms("moving", handoff=True)
    (result,) = shared_cluster.register_many("moving", ["a/b c"], COUNTER, args=[40])
    before = result["process"]
    assert shared_cluster.call("moving", "a/b c", {"op": "increment"}).body == {"reply": 41}
    with shared_cluster.map("moving") as view:
        for target in sorted(set(NODES) - {before["node"]}):
            path = "/sworms/moving/processes/a%2Fb%20c"
            shared_cluster.operation(shared_cluster.post(f"{path}/handoff", {"to": target}))
            after = shared_cluster.get(path).body
            assert after["node"] == target
            assert after["pid"].startswith(f"{target}.")
            assert after["state"] == "running"
            assert after["epoch"] > before["epoch"]
            assert shared_cluster.call("moving", "a/b c", {"op": "get"}).body == {"reply": 41}
            view.until("the new place", lambda view, pid=after["pid"]: view.where("moving") == {"a/b c": pid})
            before = after
