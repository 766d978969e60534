"""The Python verbs in somebody's own Django process, and groups over REST, on a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.live.cluster import ROOT, LiveCluster, clean_environment

pytestmark = pytest.mark.live

COUNTER = "examples.counters:Counter"
SCRIPT = ROOT / "tests" / "live" / "code" / "verbs_script.py"


def script(cluster: LiveCluster) -> list[list[Any]]:
    """What the script said of each verb."""
    environ = {
        **clean_environment(),
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "swormweb.settings",
        "DATABASE_URL": cluster.told["database_url"],
        "REDIS_URL": cluster.told["redis_url"],
        "SWORM_SECRET_KEY": "a key of the script's own, for nothing that it does",
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_verb_in_a_django_process_of_ones_own(shared_cluster: LiveCluster) -> None:
    said = script(shared_cluster)
    pid = said[0][1]
    assert said == [
        ["register_name", pid],
        ["register_name", f"AlreadyStarted {pid}"],
        ["register_name", "StartError"],
        ["whereis_or_register_name", pid],
        ["whereis_name", pid],
        ["register_name", True],
        ["register_name", False],
        ["register_name", "ValueError"],
        ["registered", said[8][1]],
        ["join", None],
        ["join", None],
        ["join", "NotRegistered"],
        ["join", "NotRegistered"],
        ["members", [pid]],
        ["call", 6],
        ["multi_call", {"lobby": 6}],
        ["publish", None],
        ["cast", None],
        ["cast", "NotRegistered"],
        ["call", "NotRegistered"],
        ["leave", None],
        ["members", []],
        ["restart_name", None],
        ["unregister_name", None],
        ["unregister_name", "NotRegistered"],
        ["awaits", [5, None]],
        ["unregister_name", None],
        ["registered", []],
    ]
    assert sorted(said[8][1]) == [["foyer", pid], ["lobby", pid]]


def test_groups_over_rest_follow_their_processes(shared_cluster: LiveCluster) -> None:
    shared_cluster.sworms("grouped", handoff=True)
    shared_cluster.register_many("grouped", ["a", "b", "c"], COUNTER, args=[1])
    shared_cluster.register_many("grouped", ["bad"], "live_workers:Crashing")
    members = "/sworms/grouped/groups/all of them/members".replace(" ", "%20")
    for name in ("a", "b", "bad"):
        for _ in range(2):
            assert shared_cluster.request("PUT", f"{members}/{name}").status == 204
    assert shared_cluster.request("PUT", f"{members}/nobody").status == 404
    assert shared_cluster.request("DELETE", f"{members}/nobody").status == 404
    (group,) = shared_cluster.get("/sworms/grouped/groups").body["items"]
    assert (group["name"], group["size"], group["members"]) == ("all of them", 3, ["a", "b", "bad"])
    listed = shared_cluster.get("/sworms/grouped/processes?group=all%20of%20them").body["items"]
    assert {item["name"]: item["groups"] for item in listed} == {key: ["all of them"] for key in ["a", "b", "bad"]}

    # It follows a process that moves.
    before = shared_cluster.get("/sworms/grouped/processes/a").body
    target = next(node for node in ("n1", "n2", "n3") if node != before["node"])
    shared_cluster.operation(shared_cluster.post("/sworms/grouped/processes/a/handoff", {"to": target}))
    group = shared_cluster.get("/sworms/grouped/groups/all%20of%20them").body
    assert {item["name"]: item["node"] for item in group["items"]}["a"] == target

    everyone = "/sworms/grouped/groups/all%20of%20them"
    assert shared_cluster.post(f"{everyone}/publish", {"message": {"op": "increment"}}).status == 202
    answer = shared_cluster.post(f"{everyone}/multi_call", {"message": {"op": "get"}})
    assert answer.status == 200
    replies = {reply["name"]: reply for reply in answer.body["replies"]}
    assert set(replies) == {"a", "b", "bad"}
    assert all("reply" in replies[name] for name in ("a", "b"))
    crashed = shared_cluster.post(f"{everyone}/multi_call", {"message": "crash"}).body["replies"]
    assert {reply["name"]: reply["problem"]["code"] for reply in crashed if "problem" in reply}[
        "bad"
    ] == "worker_crashed"

    for _ in range(2):
        assert shared_cluster.request("DELETE", f"{members}/b").status == 204
    for name in ("a", "bad"):
        assert shared_cluster.request("DELETE", f"/sworms/grouped/processes/{name}").status == 204
    assert shared_cluster.get("/sworms/grouped/groups").body["items"] == []
    assert [item["groups"] for item in shared_cluster.get("/sworms/grouped/processes?name_prefix=b").body["items"]] == [
        []
    ]
    for name in ("b", "c"):
        assert shared_cluster.request("DELETE", f"/sworms/grouped/processes/{name}").status == 204
