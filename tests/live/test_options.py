"""Every field of a definition, changed while its processes run: the agents obey it, as they said when.

Law: each field is changed over REST and its effect is seen from outside; a field without its test fails here.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from supervisor.core.spec import Definition
from tests.live.cluster import OWN_WORKERS, LiveCluster, further_agent

pytestmark = pytest.mark.live

COUNTER, CRASHING, HEAVY = "examples.counters:Counter", "live_workers:Crashing", "live_workers:Heavy"
#: Names of a batch that is told to the other nodes.
MANY = 400

Test = Callable[["Pool"], None]
SEEN: dict[str, Test] = {}


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[..., LiveCluster]) -> Iterator[LiveCluster]:
    """Two agents that may run strategies of our own, too."""
    allowed = f"{OWN_WORKERS['SWORM_ALLOWED_MODULES']},live_placing"
    cluster = make_cluster(2, **{**OWN_WORKERS, "SWORM_ALLOWED_MODULES": allowed})
    cluster.up()
    yield cluster
    cluster.down("--now")
    assert not cluster.defects()


class Pool:
    """One sworm, whose definition is changed while it runs."""

    def __init__(self, cluster: LiveCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.path = f"/sworms/{name}"
        cluster.sworms(name)

    def change(self, **fields: Any) -> dict[str, Any]:
        """Change it, and wait until every node says that it obeys the new revision."""
        answer = self.cluster.request("PATCH", self.path, fields, {"If-Match": self._etag()})
        assert answer.status == 200, answer
        revision = answer.body["revision"]
        self.cluster.wait_for("every node obeys it", lambda: set(self._nodes().values()) == {revision})
        return dict(answer.body)

    def _etag(self) -> str:
        return self.cluster.get(self.path).headers["ETag"]

    def _nodes(self) -> dict[str, int]:
        nodes: dict[str, int] = self.cluster.get(self.path).body["nodes"]
        return nodes

    def register(self, name: str, target: str = COUNTER, **kwargs: Any) -> dict[str, Any]:
        """Start one; it must start."""
        answer = self.try_register(name, target, **kwargs)
        assert answer.status == 201, answer
        return dict(answer.body)

    def try_register(self, name: str, target: str = COUNTER, **kwargs: Any) -> Any:
        return self.cluster.post(f"{self.path}/processes", {"name": name, "target": target, "kwargs": kwargs})

    def get(self, name: str) -> dict[str, Any]:
        """What is told of a process; its status is 404 for none."""
        answer = self.cluster.get(f"{self.path}/processes/{name}")
        return {"http": answer.status, **answer.body}

    def call(self, name: str, message: Any) -> Any:
        """A call's reply, or its code."""
        body = self.cluster.call(self.name, name, message).body
        return body.get("reply", body.get("code"))

    def move(self, name: str, to: str | None = None) -> dict[str, Any]:
        """Hand one off; the operation at its end."""
        begun = self.cluster.post(f"{self.path}/processes/{name}/handoff", {"to": to}).body
        path = f"/operations/{begun['id']}"
        ends = ("succeeded", "failed")
        return self.cluster.wait_for("it ends", lambda: self._ended(self.cluster.get(path).body, ends))

    def _ended(self, row: dict[str, Any], ends: tuple[str, ...]) -> dict[str, Any] | None:
        return row if row["state"] in ends else None

    def crash(self, name: str) -> None:
        """Crash what runs now."""
        before = self.get(name)["pid"]
        assert self.call(name, "crash") == "worker_crashed"
        self.cluster.wait_for("it is seen", lambda: self.get(name).get("pid") != before or self.failed(name))

    def failed(self, name: str) -> bool:
        return self.get(name).get("state") == "failed"

    def runs(self, name: str) -> bool:
        return self.get(name).get("state") == "running"

    def nodes(self) -> set[str]:
        return {item["node"] for item in self.cluster.processes(self.name).values()}


def sees(*fields: str) -> Callable[[Test], Test]:
    """A test of these fields."""

    def keep(test: Test) -> Test:
        SEEN.update(dict.fromkeys(fields, test))
        return test

    return keep


def messages(cluster: LiveCluster) -> int:
    """Messages of the registry that n1 has sent."""
    url = next(agent["mesh_url"] for agent in cluster.told["agents"] if agent["name"] == "n1").replace(
        "ws://", "http://"
    )
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    (count,) = re.findall(r'^sworm_mesh_messages_total{direction="out",lane="control"} (\S+)$', text, re.MULTILINE)
    return int(float(count))


@sees("restart")
def _restart(pool: Pool) -> None:
    pool.register("a", CRASHING)
    pool.crash("a")
    assert pool.get("a")["restarts"] == 1
    pool.change(restart="temporary")
    pool.crash("a")
    assert pool.get("a")["http"] == 404
    pool.change(restart="permanent")
    pool.register("b", "live_workers:Leaving")
    pool.cluster.wait_for("it ended in order and began anew", lambda: pool.get("b").get("restarts", 0) >= 1)


@sees("max_restarts")
def _max_restarts(pool: Pool) -> None:
    pool.register("a", CRASHING)
    pool.crash("a")
    pool.cluster.wait_for("it runs again", lambda: pool.runs("a"))
    pool.change(max_restarts=0)
    pool.crash("a")
    pool.cluster.wait_for("it is given up", lambda: pool.failed("a"))
    pool.change(max_restarts=5)
    assert pool.cluster.post(f"{pool.path}/processes/a/restart", {}).status == 202
    pool.cluster.wait_for("it runs again", lambda: pool.runs("a"))
    pool.crash("a")
    pool.cluster.wait_for("it runs again", lambda: pool.runs("a"))


@sees("max_seconds")
def _max_seconds(pool: Pool) -> None:
    pool.change(max_restarts=1, max_seconds=0.1)
    pool.register("a", CRASHING)
    for _ in range(3):
        began = time.monotonic()
        pool.cluster.wait_for("it is alone in its window", lambda began=began: time.monotonic() > began + 0.2)  # type: ignore[misc]
        pool.crash("a")
        pool.cluster.wait_for("it runs again", lambda: pool.runs("a"))
    pool.change(max_seconds=3600)
    pool.crash("a")
    if not pool.failed("a"):  # the window begins with this one, as earlier ones were let go
        pool.cluster.wait_for("it runs again", lambda: pool.runs("a"))
        pool.crash("a")
    pool.cluster.wait_for("the window is long now", lambda: pool.failed("a"))


@sees("handoff")
def _handoff(pool: Pool) -> None:
    pool.register("a", HEAVY)
    assert pool.call("a", "increment") == 1
    assert pool.move("a")["state"] == "succeeded"
    assert pool.call("a", "get")["count"] == 0
    assert pool.call("a", "increment") == 1
    assert "advice" in pool.change(handoff=True)
    assert pool.move("a")["state"] == "succeeded"
    assert pool.call("a", "get")["count"] == 1


@sees("handoff_timeout_ms")
def _handoff_timeout(pool: Pool) -> None:
    pool.change(handoff=True, handoff_timeout_ms=20_000)
    pool.register("a", HEAVY, gives_after_s=0.5)
    assert pool.call("a", "increment") == 1
    assert pool.move("a")["state"] == "succeeded"
    pool.change(handoff_timeout_ms=50)
    before = pool.get("a")["pid"]
    failed = pool.move("a")
    assert (failed["state"], failed["problem"]["code"]) == ("failed", "refused")
    assert failed["problem"]["detail"] == "handoff_failed: no state within 0.05 s"
    assert pool.get("a")["pid"] == before
    assert pool.call("a", "get")["count"] == 1


@sees("distribution_strategy")
def _strategy(pool: Pool) -> None:
    names = [f"p{number}" for number in range(12)]
    pool.cluster.register_many(pool.name, names, COUNTER)
    before = {name: pool.get(name)["node"] for name in names}
    assert len(set(before.values())) == 2
    pool.change(distribution_strategy="live_placing:first")
    assert {pool.register(f"q{number}")["node"] for number in range(8)} == {"n1"}
    assert {name: pool.get(name)["node"] for name in names} == before, "what runs stays, as it is passive"
    moves = pool.cluster.post(f"{pool.path}/rebalance", {"dry_run": True, "dwell_s": 0}).body["moves"]
    assert {move["name"] for move in moves} == {name for name, node in before.items() if node == "n2"}


@sees("constraints")
def _constraints(pool: Pool) -> None:
    pool.register("a")
    told = pool.change(constraints={"gpu": True})
    assert told["advice"][0]["level"] == "danger"
    refused = pool.try_register("b")
    assert (refused.status, refused.body["code"]) == (503, "no_node")
    assert pool.call("a", {"op": "get"}) == 0, "what runs goes on"
    pool.change(constraints={"gpu": False})
    pool.register("b")


@sees("redistribution")
def _redistribution(pool: Pool) -> None:
    pool.change(distribution_strategy="live_placing:first")
    pool.cluster.register_many(pool.name, [f"p{number}" for number in range(12)], COUNTER)
    pool.change(distribution_strategy="uniform")
    assert pool.nodes() == {"n1"}
    pool.change(redistribution="active")
    pool.cluster.wait_for("they follow", lambda: pool.nodes() == {"n1", "n2"})


@sees("sync_interval_ms")
def _sync_interval(pool: Pool) -> None:
    def seconds() -> float:
        began, before = time.monotonic(), messages(pool.cluster)
        pool.cluster.wait_for("it repairs", lambda: messages(pool.cluster) >= before + 20)
        return time.monotonic() - began

    pool.change(sync_interval_ms=60_000)  # others of this cluster keep theirs: the shortest counts
    slow = seconds()
    pool.change(sync_interval_ms=20)
    fast = seconds()
    pool.change(sync_interval_ms=300)
    assert fast < slow / 2


@sees("max_sync_size")
def _max_sync_size(pool: Pool) -> None:
    def sent(prefix: str) -> int:
        before = messages(pool.cluster)
        pool.cluster.register_many(pool.name, [f"{prefix}{number}" for number in range(MANY)], COUNTER)
        return messages(pool.cluster) - before

    pool.change(distribution_strategy="live_placing:first")
    whole = sent("a")
    pool.change(max_sync_size=1)
    assert sent("b") > whole + MANY


@sees("allowed_modules")
def _allowed_modules(pool: Pool) -> None:
    pool.register("a", CRASHING)
    told = pool.change(allowed_modules=["examples"])
    assert any("could not be started any more" in advice["text"] for advice in told["advice"])
    assert pool.call("a", "hello") == "hello", "what runs goes on"
    refused = pool.try_register("b", CRASHING)
    assert (refused.status, refused.body["code"]) == (422, "target_not_allowed")
    pool.crash("a")
    pool.cluster.wait_for("it may not start again", lambda: pool.failed("a"))
    pool.register("c")


@sees("isolation")
def _isolation(pool: Pool) -> None:
    pool.register("a")
    pool.change(isolation="process")
    assert pool.register("b")["isolation"] == "process"
    assert pool.get("a")["isolation"] == "task"
    assert pool.cluster.post(f"{pool.path}/processes/a/restart", {}).status == 202
    assert pool.get("a")["isolation"] == "task", "what is registered keeps its own"


@sees("checkpoint_interval_ms", "checkpoint_copies")
def _checkpoints(pool: Pool) -> None:
    cluster = pool.cluster
    with further_agent(cluster, "n3") as agent:
        pool.register("a", HEAVY)
        if pool.get("a")["node"] != "n3":
            assert pool.move("a", "n3")["state"] == "succeeded"
        assert pool.call("a", "increment") == 1
        assert pool.call("a", "given") == 0
        pool.change(checkpoint_interval_ms=200, checkpoint_copies=2)
        cluster.wait_for("its state was asked for, and kept", lambda: pool.call("a", "given") >= 3)
        pool.change(checkpoint_interval_ms=60_000)
        asked = pool.call("a", "given")
        agent.kill()
        agent.wait()
        cluster.wait_for("it is back", lambda: pool.runs("a") and pool.get("a")["node"] != "n3")
    told = pool.call("a", "get")
    assert told["count"] == 1
    assert told["age_ms"] is not None
    assert asked >= 3
    pool.change(checkpoint_interval_ms=0, checkpoint_copies=0)


def test_every_field_has_its_test() -> None:
    assert SEEN.keys() == set(Definition._fields) - {"name", "revision", "deleted"}


#: Redistribution waits for things to settle: seen in its own tests every time, here with the long ones.
LONG = {"redistribution": pytest.mark.long}
FIELDS = sorted({test.__name__: field for field, test in SEEN.items()}.values())


@pytest.mark.parametrize("field", [pytest.param(field, marks=LONG.get(field, ())) for field in FIELDS])
def test_running_agents_obey_a_change_of(field: str, cluster: LiveCluster) -> None:
    SEEN[field](Pool(cluster, field.replace("_", "-")))


def test_a_whole_definition_is_replaced_and_gone_back_to(cluster: LiveCluster) -> None:
    pool = Pool(cluster, "whole")
    pool.register("a", CRASHING)
    replaced = cluster.request("PUT", pool.path, {"restart": "temporary"}, {"If-Match": '"1"'})
    assert (replaced.status, replaced.body["max_restarts"]) == (200, 3)
    back = cluster.post(f"{pool.path}/revert", {"revision": 1}, **{"If-Match": '"2"'})
    assert (back.status, back.body["restart"]) == (200, "transient")
    pool.change(max_restarts=7)
    pool.crash("a")
    assert pool.get("a")["restarts"] == 1
