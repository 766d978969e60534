"""What the original does worse, as figures of the core that no machine's speed changes: steps, frames and entries.

The whole list, with the test for each line, is in docs/testing.md.
"""

from __future__ import annotations

from typing import Any

import pytest

from registry.core.ids import node_of
from registry.core.messages import Delta
from tests.scenarios.cluster import Cluster

NODES = ("n1", "n2", "n3")


class Counting(Cluster):
    """Notes what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []

    def _send(self, name: str, to: str, message: Any) -> None:
        self.sent.append(message)
        super()._send(name, to, message)


@pytest.fixture
def cluster() -> Counting:
    cluster = Counting()
    cluster.start(*NODES)
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    return cluster


def test_a_handoff_waits_for_acknowledgements_and_for_no_time(cluster: Cluster) -> None:
    pid = cluster.do("n1", "register", "lobby").pid
    target = next(name for name in NODES if name != node_of(pid))
    began = cluster.now
    request = cluster.ask("n1", "move", "lobby", to=target)
    cluster.settle()
    assert cluster.replies[request].result == "done"
    assert cluster.where("lobby") == [target]
    assert cluster.now == began


def test_a_lookup_asks_nobody(cluster: Cluster) -> None:
    pids = {f"room{number}": cluster.do("n1", "register", f"room{number}").pid for number in range(9)}
    assert {node_of(pid) for pid in pids.values()} == set(NODES)
    said = len(cluster.log)
    for running in cluster.nodes.values():
        for name, pid in pids.items():
            found = running.node.lookup("rooms", name)
            assert found is not None
            assert found.pid == pid
    assert len(cluster.log) == said


def test_a_registration_is_as_many_frames_and_entries_however_many_there_are(cluster: Counting) -> None:
    sent = cluster.sent

    def cost(first: int) -> tuple[int, int]:
        """Frames and entries for twenty registrations, on the way to where they are known everywhere."""
        sent.clear()
        for number in range(first, first + 20):
            assert cluster.do("n1", "register", f"room{number}").result == "started"
        deltas = [message for message in sent if isinstance(message, Delta)]
        return len(sent), sum(len(delta.changes) for delta in deltas)

    early = cost(0)
    for number in range(20, 500):
        cluster.do("n1", "register", f"room{number}")
    late = cost(500)
    assert late[1] <= early[1] * 1.5
    assert late[0] <= early[0] * 1.5
