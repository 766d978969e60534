"""The log leaves out what is expected, and nothing else."""

from __future__ import annotations

import logging

import pytest
import redis
from django.db import OperationalError
from django.test import RequestFactory

from swormweb.logs import ExpectedRefusals, OutagesOnce


@pytest.mark.parametrize(
    ("logger", "path", "status", "kept"),
    [
        ("django.request", "/readyz", 503, False),
        ("django.request", "/admin/", 503, True),
        ("django.request", "/api/v1/nodes", 503, False),
        ("django.request", "/api/v1/nodes/n9", 404, False),
        ("django.request", None, 500, True),
        ("django.request", None, None, True),
        ("django.security.csrf", "/admin/", 403, True),
    ],
)
def test_what_a_client_was_told_is_left_out(logger: str, path: str | None, status: int | None, kept: bool) -> None:
    record = logging.LogRecord(logger, logging.WARNING, __file__, 1, "Service Unavailable", None, None)
    if path:
        record.request = RequestFactory().get(path)
    if status:
        record.status_code = status
    assert ExpectedRefusals().filter(record) is kept


def test_an_exception_is_always_kept() -> None:
    error = (ValueError, ValueError("defect"), None)
    record = logging.LogRecord("django.request", logging.ERROR, __file__, 1, "Internal Server Error", None, error)
    record.request = RequestFactory().get("/api/v1/nodes")
    assert ExpectedRefusals().filter(record)


def outage(name: str, message: str, error: Exception | None = None, at: float = 1_000.0) -> logging.LogRecord:
    told = (type(error), error, None) if error is not None else None
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, message, None, told)
    record.created = at
    return record


@pytest.mark.parametrize(
    ("name", "message", "error"),
    [
        ("psycopg.pool", "error connecting in %r: %s", None),
        ("registry.problems", "the database is unavailable: no connection", None),
        ("channels_redis.pubsub", "Unexpected exception in receive task", redis.ConnectionError("refused\nmore")),
        ("django.request", "Internal Server Error: /nodes", OperationalError("refused\nmore")),
    ],
)
def test_an_outage_is_one_line_a_minute(name: str, message: str, error: Exception | None) -> None:
    thin = OutagesOnce()
    first = outage(name, message, error)
    assert thin.filter(first)
    assert first.exc_info is None
    assert first.getMessage() == (f"{message}: refused" if error else message)
    assert not thin.filter(outage(name, message, error, 1_000 + OutagesOnce.EVERY / 2))
    assert thin.filter(outage(name, message, error, 1_000 + OutagesOnce.EVERY))


def test_a_defect_is_never_thinned_out() -> None:
    thin = OutagesOnce()
    for _ in range(2):
        record = outage("channels_redis.pubsub", "Unexpected exception in receive task", ValueError("defect"))
        assert thin.filter(record)
        assert record.exc_info is not None
        assert thin.filter(outage("registry.problems", "request failed"))
