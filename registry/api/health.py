"""/healthz, /readyz, /metrics: for machines that watch.

Law: no rights needed and nothing secret told. `healthz` says that this process answers; `readyz` that it can do its
work, and which part it lacks.
"""

from __future__ import annotations

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from registry.api.endpoint import json
from registry.metrics import REGISTRY
from registry.observed import AWAY_AFTER, observer_age

#: Seconds that the broker may take to answer.
PATIENCE = 1.0

OK = "ok"


def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return json({"status": OK})


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether database, broker and observer are there; 503 when one is not."""
    database = _database()
    checks = {"database": database, "broker": _broker(), "observer": _observer() if database == OK else "unknown"}
    ready = all(word == OK for word in checks.values())
    return json({"status": OK if ready else "unavailable", "checks": checks}, 200 if ready else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """The figures, for Prometheus."""
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "does not answer"
    return OK


def _broker() -> str:
    try:
        url = settings.REDIS_URL
        with redis.Redis.from_url(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError):
        return "does not answer"
    return OK


def _observer() -> str:
    try:
        age = observer_age()
    except DatabaseError:
        return "unknown"
    if age is None:
        return "has never written"
    return OK if age <= AWAY_AFTER else f"last wrote {age:.0f} s ago"
