"""What the log is about: filters that keep expected things out of it.

Law: a filter drops only what somebody else reports better; everything else passes unchanged.
"""

from __future__ import annotations

import logging


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
