"""The log leaves out what is expected, and nothing else."""

from __future__ import annotations

import logging

import pytest
from django.test import RequestFactory

from swormweb.logs import ExpectedRefusals


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
