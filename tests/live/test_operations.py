"""Operations on a real cluster: an observer that dies half-way, and a rolling upgrade of every agent under load."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.live.cluster import ROOT, LiveCluster, clean_environment

pytestmark = pytest.mark.live

COUNTER = "examples.counters:Counter"

#: What a call may end in while its process moves, besides its reply: asking again is the answer to all of them.
RETRYABLE = {"no_node", "no_answer", "call_timeout", "broker_unavailable"}


def test_whichever_observer_writes_finishes_what_was_begun(hurt_cluster: LiveCluster) -> None:
    cluster, names = hurt_cluster, [f"c{number}" for number in range(40)]
    cluster.sworms("halfway", handoff=True)
    cluster.register_many("halfway", names, COUNTER)
    values = cluster.call_all("halfway", names, {"op": "increment", "by": 7})
    begun = cluster.post("/sworms/halfway/migrate", {"from": "n1", "max_per_minute": 240})
    path = f"/operations/{begun.body['id']}"
    cluster.wait_for("it is half done", lambda: cluster.get(path).body["progress"]["done"] >= 3)
    cluster.kill("observer")
    assert cluster.get(path).body["state"] == "running"
    cluster.up()
    told = cluster.operation(begun)
    assert any(step["text"].startswith("taken up again") for step in told["steps"])
    processes = cluster.processes("halfway")
    assert {item["node"] for item in processes.values()} == {"n2", "n3"}
    assert cluster.call_all("halfway", names, {"op": "get"}) == values
    with standby(cluster):
        restarted = cluster.post("/sworms/halfway/restart", {"max_per_minute": 600})
        path = f"/operations/{restarted.body['id']}"
        cluster.wait_for("it has begun", lambda: cluster.get(path).body["progress"]["done"] >= 3)
        cluster.kill("observer")
        told = cluster.operation(restarted)
        assert any(step["text"].startswith("taken up again by standby.") for step in told["steps"])
    cluster.up()
    assert set(cluster.call_all("halfway", names, {"op": "get"}).values()) == {0}
    pids = {name: item["pid"] for name, item in processes.items()}
    assert all(item["pid"] != pids[name] for name, item in cluster.processes("halfway").items())


@contextmanager
def standby(cluster: LiveCluster) -> Iterator[None]:
    """A second observer, which writes once the first one does not."""
    words = [str(ROOT / "sworm"), "observer", "--name", "standby", "--data", str(cluster.data)]
    with (cluster.data / "logs" / "standby.log").open("w") as log:
        environ = {**clean_environment(), **cluster.environ}
        observer = subprocess.Popen(words, env=environ, cwd=ROOT, stdout=log, stderr=log)
        cluster.wait_for("it observes", lambda: " observes" in (cluster.data / "logs" / "standby.log").read_text())
        try:
            yield
        finally:
            observer.terminate()
            observer.wait()


@dataclass
class Load:
    """Counters that are called all the time: what was acknowledged, and what was refused and how."""

    cluster: LiveCluster
    sworm: str
    names: list[str]
    acknowledged: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def call_on(self, names: list[str]) -> None:
        """Increment these, one after the other, until it is over."""
        while not self.over.is_set():
            for name in names:
                answer = self.cluster.call(self.sworm, name, {"op": "increment"})
                if answer.status == 200:
                    self.acknowledged[name] += 1
                else:
                    self.unsure[name] += 1
                    self.refusals[f"{answer.status} {answer.body['code']}"] += 1


@contextmanager
def load_on(cluster: LiveCluster, sworm: str, names: list[str], threads: int = 4) -> Iterator[Load]:
    """Load on a cluster, each name from one thread alone."""
    load = Load(cluster, sworm, names)
    shares = [names[index::threads] for index in range(threads)]
    callers = [threading.Thread(target=load.call_on, args=(share,)) for share in shares]
    for caller in callers:
        caller.start()
    try:
        yield load
    finally:
        load.over.set()
        for caller in callers:
            caller.join()


@pytest.fixture
def upgrading(make_cluster: Callable[..., LiveCluster]) -> Iterator[tuple[LiveCluster, list[int]]]:
    """A cluster of three agents, and the process ids of whatever takes their place, which end with the test."""
    cluster, successors = make_cluster(), list[int]()
    cluster.up()
    yield cluster, successors
    for pid in successors:
        os.kill(pid, signal.SIGKILL)
    cluster.down("--now")


def upgrade(cluster: LiveCluster) -> subprocess.CompletedProcess[str]:
    """Run the example as anybody would."""
    words = [sys.executable, "-m", "examples.rolling_upgrade", "--data", str(cluster.data)]
    environ = {**clean_environment(), **cluster.environ}
    return subprocess.run(words, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_agent_is_replaced_under_load_and_no_increment_is_lost(
    upgrading: tuple[LiveCluster, list[int]], measured: Callable[[str, float], None]
) -> None:
    cluster, successors = upgrading
    names = [f"c{number}" for number in range(24)]
    cluster.sworms("busy", handoff=True)
    cluster.register_many("busy", names, COUNTER)
    before = incarnations(cluster)
    with load_on(cluster, "busy", names) as load:
        cluster.wait_for("every counter is called", lambda: len(load.acknowledged) == len(names))
        began = time.monotonic()
        done = upgrade(cluster)
        measured("three agents are replaced under load", time.monotonic() - began)
        successors += map(int, re.findall(r"process (\d+)", done.stdout))
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{cluster.logs()}"
        so_far = Counter(load.acknowledged)
        cluster.wait_for("every counter is called again", lambda: all(load.acknowledged[n] > so_far[n] for n in names))
    assert len(successors) == 3
    after = incarnations(cluster)
    assert all(after[name] > before[name] for name in before)
    values = cluster.call_all("busy", names, {"op": "get"})
    for name in names:
        least, most = load.acknowledged[name], load.acknowledged[name] + load.unsure[name]
        assert least <= values[name] <= most, (name, load.refusals)
    assert {word.split()[1] for word in load.refusals} <= RETRYABLE, load.refusals


def incarnations(cluster: LiveCluster) -> dict[str, int]:
    items: list[dict[str, Any]] = cluster.get("/nodes").body["items"]
    return {node["name"]: node["incarnation"] for node in items if node["status"] == "alive"}
