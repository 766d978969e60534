"""The log leaves out what is expected, and nothing else."""

from __future__ import annotations

import logging

import pytest
from django.test import RequestFactory

from swormweb.logs import ExpectedRefusals


@pytest.mark.parametrize(("path", "kept"), [("/readyz", False), ("/api/v1/nodes", True), (None, True)])
def test_only_the_readiness_probe_is_left_out(path: str | None, kept: bool) -> None:
    record = logging.LogRecord("django.request", logging.ERROR, __file__, 1, "Service Unavailable", None, None)
    if path:
        record.request = RequestFactory().get(path)
    assert ExpectedRefusals().filter(record) is kept
