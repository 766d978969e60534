"""A split that heals: n3 is cut off, both sides register the same names, and the cable is plugged in again.

Law: what counts is seen from workers on every node, by calls and by lookups; times are from the cable, the dial that
finds the others again included. A process of a lost conflict counts as accepting for as long as anybody had an answer
from it.
"""

from __future__ import annotations

import time
from typing import Any

from bench.apart import ApartCluster, apart
from bench.cluster import PATIENCE, Bench, Trouble
from bench.measures.registering import Measured, numbered
from bench.scale import Scale
from bench.workers import WITNESS

NODES = ("n1", "n2", "n3")
CUT_OFF = "n3"
SWORM = "split"

#: Registrations are tried so often until the sides have noticed that they are alone, in seconds.
AGAIN = 0.1


def heal(bench: Bench, scale: Scale) -> Measured:
    """Two nodes and one, with the same names on both sides."""
    with apart(bench.folder / f"heal-{time.monotonic_ns()}", len(NODES), SWORM) as cluster:
        sworm, names = cluster.define(SWORM, handoff=True), numbered(scale.conflicts)
        for node in NODES:
            cluster.driver(node)
        drivers = sum(cluster.processes(node) for node in NODES)
        cluster.pull(CUT_OFF)
        for node in ("n1", CUT_OFF):
            _register(cluster, sworm, names, node)
        watching = [
            cluster.begin(node, "watch", sworm=sworm, names=names, seconds=scale.settled_seconds) for node in NODES
        ]
        time.sleep(scale.settled_seconds / 6)  # both sides are seen to answer before
        at = cluster.plug(CUT_OFF)
        told = [one.result() for one in watching]
        winners = _winners(told, names, at)
        yield "heal.calls", max(0.0, _last(told, winners, 0) - at)
        yield "heal.lookups", max(0.0, _last(told, winners, 1) - at)
        yield "heal.twice", sum(cluster.processes(node) for node in NODES) - drivers - len(names)


def _register(cluster: ApartCluster, sworm: str, names: list[str], node: str) -> None:
    """Have one side run every name: until it knows that it is alone, it waits for the other's answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            cluster.register(sworm, names, WITNESS, 50, on=node)
        except Trouble:
            known: dict[str, str] = cluster.drive(node, "where", sworm=sworm)
            names = [name for name in names if name not in known]
            if time.monotonic() > deadline:
                raise
            time.sleep(AGAIN)
        else:
            return


def _winners(told: list[dict[str, Any]], names: list[str], at: float) -> dict[str, str]:
    """The pid of each name that was seen last; raises `Trouble` when there was no conflict about it."""
    winners = {}
    for name in names:
        seen = {pid: last[1] for one in told for pid, last in one[name].items()}
        if len(seen) < 2:
            raise Trouble(f"{name} ran on one side only: {seen}")
        winners[name] = max(seen, key=seen.__getitem__)
    return winners


def _last(told: list[dict[str, Any]], winners: dict[str, str], kind: int) -> float:
    """When a process that lost was last heard of: 0 by an answer, 1 by a lookup."""
    return max(
        last[kind] for one in told for name, pids in one.items() for pid, last in pids.items() if pid != winners[name]
    )
