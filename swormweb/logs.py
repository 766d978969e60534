"""What the log is about: filters that keep expected things out of it.

Law: a filter drops only what somebody else reports better, or has said a moment ago; everything else passes unchanged.
"""

from __future__ import annotations

import logging
from math import inf

import redis
from django.db import InterfaceError, OperationalError


class ExpectedRefusals(logging.Filter):
    """Drops Django's lines for what a client was refused (below 500), which the client was told and the metrics count;
    for whatever the API answered, which logs its own failures (`registry.problems`); and for a readiness probe that
    was answered 503: saying so is what the probe is for.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        if record.name != "django.request" or record.exc_info:
            return True
        path: str = getattr(getattr(record, "request", None), "path", "")
        status: int = getattr(record, "status_code", 500)
        return status >= 500 and path != "/readyz" and not path.startswith("/api/")


class OutagesOnce(logging.Filter):
    """A service that is away is told of in one line a minute by each of those that miss it, without a traceback: they
    try again every second, and where they failed is not the question.
    """

    #: Seconds between two lines of one logger.
    EVERY = 60.0

    #: Logger -> how its word about an outage begins, where the record holds no exception that would say so.
    WORDS = {"psycopg.pool": "error connecting", "registry.problems": "the database is unavailable"}

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; of an outage, as one line."""
        error = record.exc_info[1] if record.exc_info else None
        told = record.name in self.WORDS and str(record.msg).startswith(self.WORDS[record.name])
        if not told and not isinstance(error, OperationalError | InterfaceError | redis.ConnectionError):
            return True
        if record.created - self._said.get(record.name, -inf) < self.EVERY:
            return False
        self._said[record.name] = record.created
        if error is not None:
            sentence = str(error).partition("\n")[0]
            record.msg, record.args = f"{record.getMessage()}: {sentence}", ()
            record.exc_info = record.exc_text = None
        return True
