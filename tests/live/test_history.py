"""The history of a real cluster: followed as it happens, told once for all witnesses, and read back as the map stood.
And what a definition says, obeyed by agents that were running when it changed.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.live.cluster import LIMIT, LiveCluster

pytestmark = pytest.mark.live

COUNTER = "examples.counters:Counter"


class Follower(threading.Thread):
    """Somebody who follows `/events/stream` over a connection of their own."""

    def __init__(self, cluster: LiveCluster, query: str = "", last: int | None = None) -> None:
        super().__init__(daemon=True)
        url = urlsplit(cluster.url)
        self._link = http.client.HTTPConnection(url.hostname or "", url.port, timeout=LIMIT)
        headers = {"Authorization": f"Bearer {cluster.token}"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self._link.request("GET", f"/api/v1/events/stream{query}", headers=headers)
        self._answer = self._link.getresponse()
        assert self._answer.status == 200, self._answer.read()
        self.events: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        for line in self._lines():
            if line.startswith("data: ") and '"kind"' in line:
                self.events.append(json.loads(line.removeprefix("data: ")))

    def _lines(self) -> Iterator[str]:
        try:
            while line := self._answer.readline():
                yield line.decode().rstrip("\n")
        except (OSError, ValueError, AttributeError):  # closed below
            return

    def kinds(self, **fields: Any) -> list[str]:
        return [one["kind"] for one in self.events if all(one[key] == value for key, value in fields.items())]

    def close(self) -> None:
        self._link.close()


def test_a_death_is_told_once_followed_live_and_the_map_before_it_can_be_read(live_cluster: LiveCluster) -> None:
    cluster = live_cluster
    cluster.sworms("rooms")
    names = [f"room-{number}" for number in range(12)]
    cluster.register_many("rooms", names, COUNTER)
    before = datetime.now(UTC).isoformat()
    pids = {name: item["pid"] for name, item in cluster.processes("rooms").items()}
    follower = Follower(cluster)
    cluster.kill("n3")
    cluster.wait_for("the death is on the stream", lambda: "dead" in follower.kinds(node="n3"))
    cluster.wait_for(
        "all are re-homed", lambda: {item["node"] for item in cluster.processes("rooms").values()} <= {"n1", "n2"}
    )
    # both survivors reported by now, or do so with the next thing that happens to them
    cluster.register_many("rooms", ["later"], COUNTER)
    cluster.wait_for("what came later is on the stream", lambda: "started" in follower.kinds(name="later"))
    listed = cluster.get("/events?node=n3&limit=1000").body["items"]
    kinds = [one["kind"] for one in listed if one["pid"].startswith("n3.") and not one["name"]]
    assert [kind for kind in kinds if kind in ("suspect", "dead")] == ["suspect", "dead"]
    revisions = [one["revision"] for one in follower.events]
    assert revisions == sorted(set(revisions))
    follower.close()

    past = cluster.get(f"/map?at={quote(before)}")
    assert past.status == 200, past
    assert {item["name"]: item["pid"] for item in past.body["processes"]} == pids
    assert {node["name"]: node["status"] for node in past.body["nodes"]} == dict.fromkeys(("n1", "n2", "n3"), "alive")
    now = cluster.get(f"/map?at={quote(datetime.now(UTC).isoformat())}").body
    assert {node["name"]: node["status"] for node in now["nodes"]}["n3"] == "dead"

    middle = revisions[len(revisions) // 2]
    again = Follower(cluster, last=middle)
    wanted = [revision for revision in revisions if revision > middle]
    cluster.wait_for("the rest comes again", lambda: len(again.events) >= len(wanted))
    assert [one["revision"] for one in again.events][: len(wanted)] == wanted
    again.close()


def test_running_agents_obey_a_definition_that_changes(shared_cluster: LiveCluster) -> None:
    cluster = shared_cluster
    cluster.sworms("options")
    cluster.register_many("options", ["a"], COUNTER)

    def change(**fields: Any) -> None:
        answer = cluster.request("PATCH", "/sworms/options", fields, {"If-Match": "*"})
        assert answer.status == 200, answer
        revision = answer.body["revision"]
        cluster.wait_for(
            "every node runs it",
            lambda: [*cluster.get("/sworms/options").body["nodes"].values()] == [revision] * 3,
        )

    def moved() -> Any:
        at = cluster.processes("options")["a"]["node"]
        to = next(node for node in ("n1", "n2", "n3") if node != at)
        cluster.operation(cluster.post("/sworms/options/processes/a/handoff", {"to": to}))
        return cluster.call("options", "a", {"op": "get"}).body["reply"]

    cluster.call("options", "a", {"op": "increment", "by": 5})
    change(handoff=True)
    assert moved() == 5
    change(handoff=False)
    assert moved() == 0
    change(allowed_modules=["somewhere_else"])
    refused = cluster.post("/sworms/options/processes", {"name": "b", "target": COUNTER})
    assert refused.body["code"] == "target_not_allowed"
    change(allowed_modules=[], isolation="process")
    cluster.register_many("options", ["c"], COUNTER)
    found = cluster.processes("options")
    assert (found["a"]["isolation"], found["c"]["isolation"]) == ("task", "process")
