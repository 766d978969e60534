"""Registrations, lookups, and when a name is seen elsewhere.

Law: the caller is a worker on n1; each measurement has a sworm of its own, so that sizes are what they say.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.cluster import Bench, Cluster
from bench.figures import last_to_first, percentile
from bench.scale import Scale
from bench.workers import ECHO

Measured = Iterator[tuple[str, float]]

#: Seconds after which a name counts as never seen.
LIMIT = 60.0


def numbered(count: int) -> list[str]:
    """So many names."""
    return [f"name-{number:06d}" for number in range(count)]


def one_node(bench: Bench, scale: Scale) -> Measured:
    """One node, one caller."""
    with bench.cluster(1) as cluster:
        _warm(cluster)
        told = cluster.register(cluster.define("alone"), numbered(scale.large), ECHO, 1)
        yield "register.1.1", scale.large / told["done"][-1]


def three_nodes(bench: Bench, scale: Scale) -> Measured:
    """Three nodes, one caller and fifty; then lookups of what stands there."""
    with bench.cluster(3) as cluster:
        _warm(cluster)
        for callers in (1, 50):
            for size in ("small", "large"):
                yield from _registrations(cluster, callers, size, getattr(scale, size))
        for size in ("small", "large"):
            names = numbered(getattr(scale, size))
            took = cluster.drive("n1", "look_up", sworm=f"by-50-{size}", names=names, count=scale.lookups)
            yield f"whereis.{size}", scale.lookups / took
        yield "registered.large", percentile(cluster.drive("n1", "list_all", sworm="by-50-large", rounds=15), 50) * 1e3


def many(bench: Bench, scale: Scale) -> Measured:
    """Ten times as many, where cost must not have grown with what is registered already."""
    with bench.cluster(3) as cluster:
        _warm(cluster)
        sworm, names = cluster.define("many"), numbered(scale.many)
        done = cluster.register(sworm, names, ECHO, 50)["done"]
        yield "many.rate", scale.many / done[-1]
        yield "many.tenth", last_to_first(done)
        took = cluster.drive("n1", "look_up", sworm=sworm, names=names, count=scale.lookups)
        yield "many.whereis", scale.lookups / took


def _warm(cluster: Cluster) -> None:
    """Have modules loaded and links dialled before anything counts."""
    cluster.register(cluster.define("warm"), numbered(30), ECHO, 5)


def _registrations(cluster: Cluster, callers: int, size: str, count: int) -> Measured:
    sworm = cluster.define(f"by-{callers}-{size}")
    cpu = cluster.cpu()
    done = cluster.register(sworm, numbered(count), ECHO, callers)["done"]
    yield f"register.3.{callers}.{size}", count / done[-1]
    if size == "large":
        yield f"register.3.{callers}.tenth", last_to_first(done)
        yield f"register.3.{callers}.cpu", (cluster.cpu() - cpu) / count * 1e6


def seen(bench: Bench, scale: Scale) -> Measured:
    """One name after the other: from the caller's wish until a node that is neither host nor caller sees it."""
    with bench.cluster(3) as cluster:
        _warm(cluster)
        sworm, names = cluster.define("seen"), numbered(scale.seen)
        watching = {node: cluster.begin(node, "see", sworm=sworm, names=names, limit=LIMIT) for node in ("n2", "n3")}
        told = cluster.drive("n1", "register_slowly", sworm=sworm, names=names, pause=0.02)
        took = [
            moment - asked
            for node, future in watching.items()
            for moment, (asked, pid) in zip(future.result(), told, strict=True)
            if not pid.startswith(f"{node}.")
        ]
        yield "seen.p50", percentile(took, 50) * 1e3
        yield "seen.p99", percentile(took, 99) * 1e3


def spread(bench: Bench, scale: Scale) -> Measured:
    """Many names by fifty callers, until the last node has seen the last name."""
    with bench.cluster(3) as cluster:
        _warm(cluster)
        sworm, names = cluster.define("spread"), numbered(scale.spread)
        watching = [cluster.begin(node, "see", sworm=sworm, names=names, limit=LIMIT) for node in ("n2", "n3")]
        told = cluster.register(sworm, names, ECHO, 50)
        yield "spread", max(max(future.result()) for future in watching) - told["at"]
