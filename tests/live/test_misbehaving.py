"""Workers and requests as bad as they come: each gets the answer of the contract, and the nodes stay alive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.live.cluster import Answer, LiveCluster

pytestmark = pytest.mark.live

NODES = ("n1", "n2", "n3")
COUNTER = "examples.counters:Counter"

#: Seconds for which a worker blocks its loop: several times what makes a node that is silent a dead one.
BLOCK = 6.0


@pytest.fixture(scope="module")
def bad(shared_cluster: LiveCluster) -> LiveCluster:
    """The cluster with a sworm for everything that is bad."""
    shared_cluster.sworms("bad")
    return shared_cluster


@pytest.fixture(autouse=True)
def nodes_stay(bad: LiveCluster) -> Iterator[None]:
    """Whatever a test does: the same three incarnations are there afterwards."""
    before = incarnations(bad)
    yield
    bad.wait_for("all nodes alive", lambda: incarnations(bad) == before)
    bad.agents_ready(*NODES)


def incarnations(cluster: LiveCluster) -> dict[str, tuple[int, str]]:
    nodes = cluster.get("/nodes").body["items"]
    return {node["name"]: (node["incarnation"], node["status"]) for node in nodes if node["name"] in NODES}


def register(cluster: LiveCluster, name: str, target: str, **more: Any) -> Answer:
    return cluster.post("/sworms/bad/processes", {"name": name, "target": target, **more})


def state_of(cluster: LiveCluster, name: str) -> str | None:
    answer = cluster.get(f"/sworms/bad/processes/{quote(name, safe='')}")
    return answer.body["state"] if answer.status == 200 else None


@pytest.mark.parametrize(
    ("target", "isolation", "code", "words"),
    [
        ("live_workers:Failing", "task", "start_failed", "ValueError: no such seat"),
        ("live_workers:Failing", "process", "start_failed", "ValueError: no such seat"),
        ("live_workers:Exiting", "task", "start_failed", "SystemExit"),
        ("live_workers:Exiting", "process", "start_failed", "SystemExit"),
        ("live_workers:Vanishing", "process", "start_failed", "3"),
        ("live_workers:Nobody", "task", "target_not_found", "Nobody"),
        ("live_workers.nowhere:Worker", "task", "target_not_found", "live_workers.nowhere"),
        ("live_workers:system", "task", "target_not_found", "defined elsewhere"),
        ("live_workers:system", "process", "target_not_found", "defined elsewhere"),
        ("live_workers:os.system", "task", "target_not_found", "module:identifier"),
        ("no_such_module:Worker", "task", "target_not_allowed", "no_such_module"),
        ("os:system", "task", "target_not_allowed", "os"),
        ("live_workers_too:Worker", "task", "target_not_allowed", "live_workers_too"),
    ],
)
def test_what_cannot_start_is_refused_with_its_reason_and_leaves_nothing(
    bad: LiveCluster, target: str, isolation: str, code: str, words: str
) -> None:
    answer = register(bad, "nothing", target, isolation=isolation)
    assert (answer.status, answer.body["code"]) == (422, code), answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.body["detail"]
    assert state_of(bad, "nothing") is None


def test_a_sworms_own_list_of_modules_is_obeyed_too(bad: LiveCluster) -> None:
    bad.sworms("strict", allowed_modules=["examples"])
    answer = bad.post("/sworms/strict/processes", {"name": "x", "target": "live_workers:Crashing"})
    assert (answer.status, answer.body["code"]) == (422, "target_not_allowed")


@pytest.mark.parametrize("isolation", ["task", "process"])
def test_a_worker_that_is_done_at_once_was_started_and_is_gone(bad: LiveCluster, isolation: str) -> None:
    for worker in ("Leaving", "brief", "brief_coroutine"):
        assert register(bad, worker, f"live_workers:{worker}", isolation=isolation).status == 201
        bad.wait_for(f"{worker} is gone", lambda worker=worker: state_of(bad, worker) is None)


@pytest.mark.parametrize("target", ["live_workers:Collapsing", "live_workers:Dying"])
def test_a_worker_that_crashes_right_after_each_start_fails_and_costs_only_itself(
    bad: LiveCluster, target: str
) -> None:
    name = target.partition(":")[2]
    bad.sworms(name.lower(), max_seconds=120)  # a child takes its time to start on a busy machine
    (other,) = bad.register_many("bad", [f"beside {name}"], COUNTER, args=[5])
    path = f"/sworms/{name.lower()}/processes"
    begun = {"name": name, "target": target, "isolation": "process" if name == "Dying" else "task"}
    assert bad.post(path, begun).status in (201, 422)  # it may end before or after its start is told

    def failed() -> bool:
        answer = bad.get(f"{path}/{name}")
        return answer.status == 200 and answer.body["state"] == "failed"

    bad.wait_for("it has failed", failed)

    def kinds() -> list[str]:
        events = bad.get(f"/events?name={name}").body["items"]
        found = [event["kind"] for event in events]
        return found if "failed" in found else []

    told = bad.wait_for("its history says so", kinds)
    assert told.count("crashed") == 4, told
    assert bad.call("bad", f"beside {name}", {"op": "get"}).body == {"reply": 5}
    assert bad.get(f"/sworms/bad/processes/beside%20{name}").body["pid"] == other["process"]["pid"]
    assert bad.request("DELETE", f"{path}/{name}").status == 204


def test_four_crashes_in_a_second_cost_the_worker_and_nobody_else(bad: LiveCluster) -> None:
    names = [f"calm {number}" for number in range(30)]
    bad.register_many("bad", names, "live_workers:Crashing")
    bad.register_many("bad", ["restless"], "live_workers:Crashing")
    before = {name: bad.processes("bad")[name]["pid"] for name in names}

    def crash() -> bool:
        answer = bad.call("bad", "restless", "crash")
        if answer.status == 502:
            assert answer.body["code"] == "worker_crashed"
            expected = ("RuntimeError: as asked", "has failed and is not restarted any more")
            assert any(words in answer.body["detail"] for words in expected)
        return state_of(bad, "restless") == "failed"

    bad.wait_for("restless has failed", crash)
    after = bad.processes("bad")
    assert {name: after[name]["pid"] for name in names} == before
    assert {after[name]["restarts"] for name in names} == {0}
    assert bad.call_all("bad", names, "well?") == dict.fromkeys(names, "well?")
    assert bad.call("bad", "restless", "well?", 500).status in (502, 504)
    assert bad.post("/sworms/bad/processes/restless/restart", {}).status == 202
    assert bad.call("bad", "restless", "well?").body == {"reply": "well?"}


def test_a_worker_that_blocks_its_loop_costs_its_node_neither_life_nor_registry(bad: LiveCluster) -> None:
    (result,) = bad.register_many("bad", ["blocking"], "live_workers:Blocking")
    node = result["process"]["node"]
    others = [name for name in NODES if name != node]
    with ThreadPoolExecutor(2) as pool:
        short = pool.submit(bad.call, "bad", "blocking", {"block_s": BLOCK}, 500)
        bad.wait_for("the agent sees it", lambda: bad.agent_ready(node)[1].get("workers_blocked"))
        begun = time.monotonic()
        looks = 0
        while bad.agent_ready(node)[1].get("workers_blocked"):
            assert {status for _, status in incarnations(bad).values()} == {"alive"}
            assert bad.get("/sworms/bad/processes/blocking").body["pid"] == result["process"]["pid"]
            looks += 1
            assert time.monotonic() < begun + 60
        assert looks > 3
        answer = short.result()
    assert (answer.status, answer.body["code"]) == (504, "call_timeout")
    assert bad.call("bad", "blocking", "well?", 20_000).body == {"reply": "well?"}
    assert bad.agents_ready(*others)


@pytest.mark.parametrize("name", ["n" * 10_000, "", "a\nb", "\x7f"])
def test_no_process_has_such_a_name(bad: LiveCluster, name: str) -> None:
    answer = register(bad, name, COUNTER)
    assert (answer.status, answer.body["code"]) == (422, "invalid")
    assert [error["field"] for error in answer.body["errors"]] == ["name"]
    if name:
        path = f"/sworms/bad/processes/{quote(name, safe='')}"
        assert bad.get(path).status == 404
        assert bad.request("PUT", path, {"target": COUNTER}).status == 422


@pytest.mark.parametrize("body", [b"", b"hello", b'{"name": ', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_not_json_is_malformed(bad: LiveCluster, body: bytes) -> None:
    for path in ("/sworms", "/sworms/bad/processes", "/sworms/bad/processes:batch"):
        answer = bad.request("POST", path, body)
        assert (answer.status, answer.body["code"]) == (400, "malformed"), path


def test_a_token_that_has_expired_opens_nothing(bad: LiveCluster) -> None:
    words = ("token", "create", "short", "--scope", "read", "--expires", "1s", "--data", str(bad.data), "--json")
    made = json.loads(bad.sworm(*words).stdout)
    headers = {"Authorization": f"Bearer {made['token']}"}

    def look() -> Answer | None:
        answer = bad.get("/sworms", **headers)
        return answer if answer.status != 200 else None

    answer = bad.wait_for("the token expires", look)
    assert (answer.status, answer.body["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    # Who may not look is told nothing about what is there, or about the body.
    assert bad.request("POST", "/sworms/nowhere/processes", b"hello", headers).status == 401
