"""Calls between workers: within an agent, and to another one.

Law: the caller is a worker on n1; what is called answers with what it was sent.
"""

from __future__ import annotations

from typing import Any

from bench.cluster import Bench, Cluster
from bench.figures import percentile
from bench.measures.registering import Measured, numbered
from bench.scale import Scale
from bench.workers import ECHO

#: Names called in turn.
NAMES = 60


def calls(bench: Bench, scale: Scale) -> Measured:
    """One caller, then fifty."""
    with bench.cluster(2) as cluster:
        sworm = cluster.define("called")
        cluster.register(sworm, numbered(NAMES), ECHO, 5)
        here, there = _split(cluster, sworm)
        _time(cluster, sworm, here, 1, 100)
        told = _time(cluster, sworm, here, 1, scale.calls)
        yield "call.local.p50", percentile(told["took"], 50) * 1e6
        yield "call.local.rate", told["count"] / told["seconds"]
        _time(cluster, sworm, there, 1, 100)
        told = _time(cluster, sworm, there, 1, scale.calls)
        yield "call.remote.p50", percentile(told["took"], 50) * 1e6
        yield "call.remote.rate", told["count"] / told["seconds"]
        cpu = cluster.cpu()
        told = _time(cluster, sworm, there, 50, scale.calls * 2)
        yield "call.remote.50", told["count"] / told["seconds"]
        yield "call.remote.cpu", (cluster.cpu() - cpu) / told["count"] * 1e6


def _split(cluster: Cluster, sworm: str) -> tuple[list[str], list[str]]:
    """The names that run on n1, and the others."""
    where: dict[str, str] = cluster.drive("n1", "where", sworm=sworm)
    here = [name for name, pid in where.items() if pid.startswith("n1.")]
    return here, [name for name in where if name not in here]


def _time(cluster: Cluster, sworm: str, names: list[str], callers: int, count: int) -> dict[str, Any]:
    told: dict[str, Any] = cluster.drive("n1", "call", sworm=sworm, names=names, callers=callers, count=count)
    return told
