"""Definitions outlive whoever stated them: some living node states each of them."""

from __future__ import annotations

from registry.core.directory import DEFINITION
from tests.scenarios.cluster import ROOMS, Cluster


def stating(cluster: Cluster) -> list[str]:
    """The living nodes whose own map has the definition."""
    return [
        name
        for name, running in sorted(cluster.nodes.items())
        if (DEFINITION, ROOMS) in running.node.member.directory[running.node.origin].entries
    ]


def test_one_node_states_a_definition_that_came_with_a_command() -> None:
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n2")
    cluster.define("n3", revision=1)
    cluster.pass_time(1)
    assert stating(cluster) == ["n2"]


def test_a_definition_that_only_departed_nodes_state_is_stated_by_another() -> None:
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.pass_time(1)
    assert stating(cluster) == ["n1"]
    cluster.crash("n1")
    cluster.pass_time(2)
    assert len(stating(cluster)) == 1
    cluster.start("n4")
    cluster.start("n1")  # the one before is forgotten, and with it what it stated
    cluster.pass_time(3)
    assert all(running.node.definitions[ROOMS].handoff for running in cluster.nodes.values())
    assert cluster.do("n4", "register", "lobby").result == "started"
