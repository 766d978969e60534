"""What an agent shows over HTTP on its mesh port: /healthz, /readyz and /metrics.

Law: read-only, without secrets, and cheap; asked on the node's loop. Ready means: this node serves the mesh. Neither
the broker nor the control plane nor a blocked worker changes that; they are told as facts beside it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from registry.core.ids import incarnation_of, node_of
from registry.core.membership import MemberInfo
from registry.core.messages import DIRECTORY
from registry.mesh.protocol import Answer, Traffic
from supervisor.outbox import Counts
from supervisor.shell import Shell

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"


class AgentPages:
    """The pages of one incarnation. `counts` is None for an agent without a broker."""

    def __init__(self, shell: Shell, counts: Counts | None) -> None:
        self._shell = shell
        self._registry = CollectorRegistry()
        self._registry.register(Figures(shell, counts))
        ProcessCollector(registry=self._registry)

    def __call__(self, path: str) -> Answer | None:
        """The page at a path; None: there is none."""
        match path.partition("?")[0]:
            case "/healthz":
                return Answer(200, _TEXT, b"alive\n")
            case "/readyz":
                return self._ready()
            case "/metrics":
                return Answer(200, CONTENT_TYPE_LATEST, generate_latest(self._registry))
        return None

    def _ready(self) -> Answer:
        if not self._shell.born:
            return Answer(503, _JSON, b'{"status": "starting"}\n')
        return Answer(200, _JSON, json.dumps(readiness(self._shell)).encode() + b"\n")


def readiness(shell: Shell) -> dict[str, Any]:
    """The facts of /readyz."""
    node = shell.node
    members = node.members()
    record = node.member.record
    return {
        "status": record.status,
        "name": shell.config.name,
        "incarnation": shell.incarnation,
        "ready": node.member.ready,
        "url": record.url,
        "peers": [_peer(member) for member in members if member.origin != shell.origin and member.state == "alive"],
        "members": [_peer(member) for member in members],
        "sworms": sorted(node.definitions),
        "hosts": list(record.sworms),
        "names": {sworm: len(replica.index) for sworm, replica in list(node.replicas.items()) if sworm != DIRECTORY},
        "processes": node.process_count,
        "waiting": Counter(sworm for sworm, _ in node.waiting()),
        "workers_blocked": shell.side.blocked,
    }


def _peer(member: MemberInfo) -> dict[str, Any]:
    return {
        "name": member.node,
        "incarnation": incarnation_of(member.origin),
        "state": member.state,
        "status": member.record.status,
        "relay": node_of(member.relay) or None,
    }


class Figures(Collector):
    """The node's figures, read when somebody asks."""

    def __init__(self, shell: Shell, counts: Counts | None) -> None:
        self._shell = shell
        self._counts = counts

    def describe(self) -> list[Metric]:
        """Nothing is told in advance: the node may not be there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric with its value now."""
        shell = self._shell
        if not shell.born:
            return
        yield from _of_node(shell)
        yield from _of_mesh({"control": shell.mesh.traffic, "calls": shell.side.mesh.traffic})
        blocked = float(shell.side.blocked)
        yield GaugeMetricFamily("sworm_workers_blocked", "1 while a worker blocks the workers' loop.", blocked)
        if self._counts is not None:
            yield from _of_broker(self._counts)


def _of_node(shell: Shell) -> Iterator[Metric]:
    node = shell.node
    started = node.member.record.started_at / 1000
    yield GaugeMetricFamily("sworm_node_uptime_seconds", "Since this incarnation began.", time.time() - started)
    members = GaugeMetricFamily("sworm_members", "Incarnations in the directory, by state.", labels=["state"])
    for state, count in Counter(member.state for member in node.members()).items():
        members.add_metric([state], count)
    yield members
    processes = GaugeMetricFamily("sworm_processes", "Processes of this node, by sworm.", labels=["sworm"])
    for sworm, count in Counter(sworm for sworm, _ in list(node.context.hosted)).items():
        processes.add_metric([sworm], count)
    yield processes
    names = GaugeMetricFamily("sworm_names", "Names that this node's replica knows, by sworm.", labels=["sworm"])
    for sworm, replica in list(node.replicas.items()):
        if sworm != DIRECTORY:
            names.add_metric([sworm], len(replica.index))
    yield names
    waiting = GaugeMetricFamily(
        "sworm_waiting", "Processes of departed nodes that no node may run now, by sworm, at their arbiters.",
        labels=["sworm"],
    )  # fmt: skip
    for sworm, count in Counter(sworm for sworm, _ in node.waiting()).items():
        waiting.add_metric([sworm], count)
    yield waiting


def _of_mesh(lanes: dict[str, Traffic]) -> Iterator[Metric]:
    for field, text in (("messages", "Messages"), ("frames", "Frames"), ("bytes", "Bytes")):
        family = CounterMetricFamily(f"sworm_mesh_{field}", f"{text} over the mesh.", labels=["lane", "direction"])
        for lane, traffic in lanes.items():
            for direction in ("in", "out"):
                family.add_metric([lane, direction], getattr(traffic, f"{field}_{direction}"))
        yield family
    lost = CounterMetricFamily("sworm_mesh_messages_lost", "Messages to a peer without a link.", labels=["lane"])
    for lane, traffic in lanes.items():
        lost.add_metric([lane], traffic.lost)
    yield lost


def _of_broker(counts: Counts) -> Iterator[Metric]:
    yield CounterMetricFamily("sworm_commands_answered", "Answers that the broker took.", counts.answers)
    yield CounterMetricFamily("sworm_reports_sent", "Reports that the broker took.", counts.reports)
    yield CounterMetricFamily(
        "sworm_reports_dropped", "Reports given up because the broker was away too long.", counts.reports_dropped
    )
