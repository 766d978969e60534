"""The figures that Prometheus reads: requests as they are answered, the cluster as the read model shows it.

Law: counting never fails a request. Labels are few and bounded: routes, not paths; sworms, never names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db import DatabaseError
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registry.models import Counter as Revision
from registry.models import Node, ObserverTerm, Process

REGISTRY = CollectorRegistry()

REQUESTS = Counter(
    "sworm_http_requests", "REST requests answered, by route.", ["method", "route", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "sworm_http_request_seconds",
    "Time to answer a REST request, in seconds.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: Attribute of a request that holds when it came, in seconds of `time.perf_counter`.
STARTED = "_sworm_started"


def observe_request(request: HttpRequest, response: HttpResponseBase) -> None:
    """Count one answer."""
    match = request.resolver_match
    route = match.route if match is not None else "unknown"
    method = str(request.method) if request.method in METHODS else "other"
    REQUESTS.labels(method, route, str(response.status_code)).inc()
    started = getattr(request, STARTED, None)
    if started is not None:
        SECONDS.labels(method, route).observe(time.perf_counter() - started)


class ReadModel(Collector):
    """The cluster as it was observed, read from the database at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """The figures, freshly read; without the database only that it is away."""
        try:
            yield from list(self._read())
            yield _single("sworm_database_up", "Whether the database answers.", 1)
        except DatabaseError:
            yield _single("sworm_database_up", "Whether the database answers.", 0)

    def _read(self) -> Iterator[Metric]:
        yield _counts()
        yield _nodes()
        revision = Revision.objects.values_list("revision", flat=True).first() or 0
        yield _single("sworm_revision", "Revision of the read model.", revision)
        renewed = ObserverTerm.objects.values_list("renewed_at", flat=True).first()
        if renewed is not None:
            age = max(0.0, (timezone.now() - renewed).total_seconds())
            yield _single("sworm_observer_age_seconds", "Seconds since an observer was last seen writing.", age)


def _counts() -> Metric:
    gauge = GaugeMetricFamily("sworm_processes", "Processes by sworm and state.", labels=["sworm", "state"])
    for sworm, state, count in Process.objects.values_list("sworm", "state").annotate(Count("id")).order_by():
        gauge.add_metric([sworm, state], count)
    return gauge


def _nodes() -> Metric:
    gauge = GaugeMetricFamily("sworm_nodes", "Nodes by status.", labels=["status"])
    rows = Node.objects.filter(forgotten=False).values_list("status").annotate(Count("name")).order_by()
    for status, count in rows:
        gauge.add_metric([status], count)
    return gauge


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


REGISTRY.register(ReadModel())
