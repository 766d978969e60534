"""A node whose clock is wrong is kept out, by name and with the reason, and let in once its clock is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.supervisor.conftest import Valkey
from tests.supervisor.processes import Cluster, free_port, until
from tests.supervisor.test_agent import reports

pytestmark = pytest.mark.live


def test_a_node_whose_clock_is_wrong_is_kept_out_and_reported_until_it_is_right(tmp_path: Path) -> None:
    broker = Valkey(tmp_path)
    broker.start()
    cluster = Cluster(broker.url, tmp_path, ("n1", "n2"))
    try:
        cluster.together()
        names = cluster.register(20)
        cluster.program = "tests/live/code/hasty.py"
        cluster.ports["n3"] = free_port()
        hasty = cluster.agents["n3"] = cluster.launch("n3")
        until(lambda: len(refusals(broker.url)) >= 2, "both others report it")
        assert all("60.0 s ahead of that of n" in detail for detail in refusals(broker.url))
        until(lambda: "no link with ws://" in hasty.log.read_text(), "its own log says why it is alone")
        alone = hasty.ready()
        assert (alone["status"], alone["ready"], alone["peers"]) == ("joining", False, [])
        cluster.together("n1", "n2")
        assert [cluster.value(name) for name in names] == list(range(20))
        hasty.end()
        cluster.program = Cluster.program
        cluster.restart("n3")
        cluster.together()
        assert [cluster.value(name, at="n3") for name in names] == list(range(20))
    finally:
        cluster.close()
        broker.stop()


def refusals(url: str) -> list[str]:
    """What was reported about n3's clock."""
    told = [report for report in reports(url) if report["kind"] == "refused_peer" and report["node"] == "n3"]
    return [report["detail"] for report in told if "clock_skew" in report["detail"]]
