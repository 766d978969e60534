"""The end of a whole sworm with live processes: every worker hears of it, nothing is moved, and nothing is left."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.parity.cluster import KEEPER, WORKERS
from tests.parity.conftest import Start

pytestmark = pytest.mark.live


def test_a_cluster_that_is_shut_down_ends_every_process_and_leaves_nothing(start: Start) -> None:
    cluster = start(2)
    for number in range(10):
        cluster.do("n1", "register_name", f"task{number}", KEEPER)
    for target in ("Keeper", "keeper"):
        for number in range(2):
            cluster.do("n1", "register_name", f"{target}{number}", f"{WORKERS}:{target}", isolation="process")
    cluster.do("n1", "register_name", "idle0", f"{WORKERS}:idle")
    places = {name: cluster.item("n1", name)["node"] for name in cluster.registered("n1")}
    children = [child for agent in cluster.agents.values() for child in agent.children()]
    for agent in cluster.agents.values():
        agent.signal(signal.SIGUSR1)
    assert [agent.wait() for agent in cluster.agents.values()] == [0, 0]
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    for name, node in places.items():
        word = "is over" if name.startswith(("keeper", "idle")) else "terminates: shutdown"
        assert f"{name} {word}" in cluster.log(node)
    for node in cluster.agents:
        assert "Traceback" not in cluster.log(node)
