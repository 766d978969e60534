"""Blow after blow on a real cluster: what runs and what is registered are the same set after each, and none is lost.

Law: a run is told by its seed, the blows come one at a time, and each is followed by a look at everything: REST's list,
every agent's own count, and the operations. What an agent's death may cost is state, never a name.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.live.cluster import LiveCluster

NAMES = [f"c{number}" for number in range(300)]
#: What a call may be answered while the cluster is hurt.
ANSWERS = {200, 404, 502, 503, 504}
PATH = "/sworms/storm"


class Storm:
    """One cluster of four agents that are hit."""

    def __init__(self, cluster: LiveCluster, seed: int) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        self.wished: list[str] = []  #: ids of operations
        cluster.up()
        cluster.sworms("storm", restart="permanent", handoff=True, checkpoint_interval_ms=1000, checkpoint_copies=1)
        cluster.register_many("storm", NAMES, "examples.counters:Counter")

    def _any(self) -> str:
        return str(self.random.choice(self.cluster.told["agents"])["name"])

    def _wish(self, path: str, body: object) -> None:
        answer = self.cluster.post(path, body)
        assert answer.status == 202, answer
        self.wished.append(answer.body["id"])

    # ---------------------------------------------------------------------------------------------------------- blows

    def kill(self) -> None:
        self.cluster.kill(self._any())

    def kill_two(self) -> None:
        names = [agent["name"] for agent in self.cluster.told["agents"]]
        for process in [self.cluster.signal(name, signal.SIGKILL) for name in self.random.sample(names, 2)]:
            self.cluster.wait_for("it is gone", lambda process=process: not process.alive)  # type: ignore[misc]

    def stop(self) -> None:
        self.cluster.signal(self._any(), signal.SIGTERM)

    def pause(self) -> None:
        process = self.cluster.signal(self._any(), signal.SIGSTOP)
        try:
            time.sleep(self.random.uniform(0.5, 8.0))  # the length of the pause is the blow
        finally:
            os.kill(process.pid, signal.SIGCONT)

    def drain(self) -> None:
        self._wish(f"/nodes/{self._any()}/drain", {"deadline_s": 20})

    def drain_and_kill(self) -> None:
        name = self._any()
        self._wish(f"/nodes/{name}/drain", {"deadline_s": 20})
        self.cluster.kill(name)

    def migrate(self) -> None:
        self._wish(f"{PATH}/migrate", {"from": self._any(), "to": None})

    def restart(self) -> None:
        self._wish(f"{PATH}/restart", {})

    def kill_observer(self) -> None:
        self.cluster.kill("observer")

    def kill_broker(self) -> None:
        self.cluster.kill("valkey")

    # ----------------------------------------------------------------------------------------------------------- after

    def hit(self) -> None:
        blows: list[Callable[[], None]] = [
            self.kill, self.kill_two, self.stop, self.pause, self.drain, self.drain_and_kill, self.migrate,
            self.restart, self.kill_observer, self.kill_broker,
        ]  # fmt: skip
        blow = self.random.choice(blows)
        blow()
        for _ in range(5):  # whatever is answered while it hurts: an answer comes
            assert self.cluster.call("storm", self.random.choice(NAMES), {"op": "get"}).status in ANSWERS
        self.cluster.up()
        self.cluster.wait_for(f"after {blow.__name__} everything runs once", self._is_whole)

    def _is_whole(self) -> bool:
        found = self.cluster.processes("storm")
        counted = Counter(item["node"] for item in found.values() if item["state"] == "running")
        agents = [agent["name"] for agent in self.cluster.told["agents"]]
        answers = {name: self.cluster.agent_ready(name) for name in agents}
        told = {name: body.get("processes", 0) for name, (_, body) in answers.items()}
        return sorted(found) == sorted(NAMES) and {name: counted[name] for name in agents} == told

    def over(self) -> None:
        """Every operation ends, and everybody answers."""
        for operation in self.wished:
            self.cluster.wait_for(
                "the operation ends",
                lambda operation=operation: self.cluster.get(f"/operations/{operation}").body["ended_at"],  # type: ignore[misc]
            )
        self.cluster.call_all("storm", NAMES, {"op": "get"})
        assert self.cluster.defects() == []


def test_a_few_blows_cost_no_name(make_cluster: Callable[..., LiveCluster]) -> None:
    storm = Storm(make_cluster(agents=4), seed=1)
    for _ in range(3):
        storm.hit()
    storm.over()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_blows_cost_no_name(make_cluster: Callable[..., LiveCluster], seed: int) -> None:
    storm = Storm(make_cluster(agents=4), seed)
    for _ in range(40):
        storm.hit()
    storm.over()
