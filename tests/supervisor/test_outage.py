"""Pauses grow and are forgotten; an outage costs two lines of log, whoever meets it."""

from __future__ import annotations

import logging

import pytest

from supervisor.outage import FIRST_PAUSE, LONGEST_PAUSE, Backoff, Outage

logger = logging.getLogger("outage.test")


def test_pauses_double_up_to_the_longest_and_never_vanish() -> None:
    backoff = Backoff()
    pauses = [backoff.next() for _ in range(12)]
    expected = [min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(12)]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, expected, strict=True))


def test_success_begins_again_with_the_shortest_pause() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= FIRST_PAUSE


def test_an_outage_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("the broker", logger)
    outage.recovered()
    for _ in range(5):
        outage.failed(OSError("connection refused"))
    assert outage.away
    for _ in range(5):
        outage.recovered()
    assert [outage.away, outage.count] == [False, 1]
    first, second = [record.getMessage() for record in caplog.records]
    assert first == "the broker is away, trying again until it is back: connection refused"
    assert second.startswith("the broker is back after 0.0 s")
