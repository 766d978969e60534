"""What names cost while nothing happens: memory and idle CPU.

Law: memory is what only that process holds (unique set size), after against before.
"""

from __future__ import annotations

import time

from bench.cluster import Bench
from bench.measures.registering import Measured, numbered
from bench.scale import Scale
from bench.workers import ECHO

#: Seconds for what a burst leaves behind to be done with.
SETTLE = 2.0


def memory(bench: Bench, scale: Scale) -> Measured:
    """Names that only n1 hosts, and n2 knows."""
    with bench.cluster(2, n1="drivers,kept", n2="drivers") as cluster:
        sworm, names = cluster.define("kept"), numbered(scale.memory + 100)
        cluster.register(sworm, names[:100], ECHO, 10)
        time.sleep(SETTLE)
        before = {node: cluster.memory(node) for node in ("n1", "n2")}
        cluster.register(sworm, names[100:], ECHO, 50)
        time.sleep(SETTLE)
        for node, row in (("n1", "memory.host"), ("n2", "memory.replica")):
            yield row, (cluster.memory(node) - before[node]) / scale.memory / 1e3


def idle(bench: Bench, scale: Scale) -> Measured:
    """Three nodes that know many names and have nothing to do; the mean of the three."""
    with bench.cluster(3) as cluster:
        cluster.register(cluster.define("resting"), numbered(scale.idle_names), ECHO, 50)
        time.sleep(SETTLE)
        cpu, begun = cluster.cpu(), time.monotonic()
        time.sleep(scale.idle_seconds)
        yield "idle", (cluster.cpu() - cpu) / (time.monotonic() - begun) / 3 * 100
