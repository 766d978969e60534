"""The original's race: five nodes, two hundred names, a hundred registrations of each at once."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.core.ids import node_of
from tests.parity.cluster import KEEPER, wish
from tests.parity.conftest import Start

pytestmark = pytest.mark.live

NAMES = [f"many{number}" for number in range(200)]

#: Registrations of each name, spread over the nodes.
RACERS = 100


def test_five_nodes_two_hundred_names_a_hundred_at_once_are_one_pid_each(start: Start) -> None:
    cluster = start(5)
    nodes = list(cluster.agents)

    def race(node: str) -> list[dict[str, str]]:
        wishes = [
            wish("register_name", name, KEEPER, [node, racer], timeout=60)
            for racer in range(RACERS // len(nodes)) for name in NAMES
        ]  # fmt: skip
        return cluster.do_all(node, wishes)

    for node in nodes:
        cluster.do(node, "registered")  # its scribe is there: from here on all run at once
    with ThreadPoolExecutor(len(nodes)) as pool:
        outcomes = list(pool.map(race, nodes))

    won: dict[str, set[str]] = defaultdict(set)
    told: dict[str, set[str]] = defaultdict(set)
    count = 0
    for outcomes_of_node in outcomes:
        for index, outcome in enumerate(outcomes_of_node):
            count += 1
            name = NAMES[index % len(NAMES)]
            if "result" in outcome:
                won[name].add(outcome["result"])
            else:
                assert outcome["error"] == "AlreadyStarted", outcome
                told[name].add(outcome["pid"])
    assert count == len(NAMES) * RACERS
    assert {name: len(pids) for name, pids in won.items()} == dict.fromkeys(NAMES, 1)
    assert told == won
    pids = {name: next(iter(pids)) for name, pids in won.items()}
    cluster.everywhere("one pid for each name", lambda node: cluster.registered(node) == pids)
    assert {node_of(pid) for pid in pids.values()} == set(nodes)
    scribes = len(cluster.registered(nodes[0], sworm="scribes"))
    assert sum(cluster.processes_of(node) for node in nodes) == len(NAMES) + scribes
