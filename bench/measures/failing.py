"""Nodes that end: by kill -9, by a graceful stop, with and without states to hand over.

Law: n3 is the one that ends, n1 watches. A name is back when it answers a call; it is lost when it does not within
`LIMIT`, and a state is lost when its name answers without it.
"""

from __future__ import annotations

import signal
from typing import Any

from bench.cluster import Bench, Cluster
from bench.measures.registering import Measured, numbered
from bench.scale import Scale
from bench.workers import BALLAST, ECHO

#: Seconds after which a name counts as lost.
LIMIT = 20.0

ENDS = "n3"


def kill(bench: Bench, scale: Scale) -> Measured:
    """kill -9 of one of three nodes."""
    with bench.cluster(3) as cluster:
        took, told, _ = _end(cluster, numbered(scale.failover), signal.SIGKILL)
        yield "kill.time", took
        yield "kill.lost", len(told["lost"])


def stop(bench: Bench, scale: Scale) -> Measured:
    """SIGTERM of one of three nodes; nothing is to be handed over but the names."""
    with bench.cluster(3) as cluster:
        took, told, exit_after = _end(cluster, numbered(scale.failover), signal.SIGTERM)
        yield "stop.time", took
        yield "stop.lost", len(told["lost"])
        yield "stop.exit", exit_after


def _end(cluster: Cluster, names: list[str], number: int) -> tuple[float, dict[str, Any], float]:
    """Register, end n3, see all names answer: seconds until they did, the answers, seconds until n3 had ended."""
    sworm = cluster.define("ending")
    cluster.register(sworm, names, ECHO, 50)
    where: dict[str, str] = cluster.drive("n1", "where", sworm=sworm)
    on_it = {name: pid for name, pid in where.items() if pid.startswith(f"{ENDS}.")}
    return _watch(cluster, sworm, on_it, names, number)


def _watch(
    cluster: Cluster, sworm: str, on_it: dict[str, str], names: list[str], number: int
) -> tuple[float, dict[str, Any], float]:
    watching = cluster.begin("n1", "gone", sworm=sworm, before=on_it, limit=LIMIT)
    at, ended = cluster.signal(ENDS, number)
    watching.result()
    told = cluster.drive("n1", "answer", sworm=sworm, names=names, limit=LIMIT)
    return told["at"] - at, told, ended.result() - at


def handoff(bench: Bench, scale: Scale) -> Measured:
    """SIGTERM of a node with counters of 1 KiB, then of 100 KiB."""
    for size, weight in (("small", 1_024), ("large", 102_400)):
        with bench.cluster(3) as cluster:
            sworm = cluster.define("moving", handoff=True)
            on_it = _fill(cluster, sworm, scale.counters, weight)
            names = list(on_it)
            took, told, exit_after = _watch(cluster, sworm, on_it, names, signal.SIGTERM)
            moved = [name for name in names if told["replies"].get(name) == 1]
            yield f"handoff.{size}.time", took
            yield f"handoff.{size}.lost", len(names) - len(moved)
            yield f"handoff.{size}.exit", exit_after


def _fill(cluster: Cluster, sworm: str, count: int, weight: int) -> dict[str, str]:
    """Register until the node that will end runs so many."""
    on_it: dict[str, str] = {}
    step, names = max(3, count), 0
    while len(on_it) < count:
        more = numbered(names + step)[names:]
        names += step
        cluster.register(sworm, more, BALLAST, 50, weight)
        where: dict[str, str] = cluster.drive("n1", "where", sworm=sworm)
        on_it = {name: pid for name, pid in where.items() if pid.startswith(f"{ENDS}.")}
        step = max(3, count // 10)
    return on_it
