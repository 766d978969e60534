"""Exceptions of users' code, as text for people."""

from __future__ import annotations

import traceback

from supervisor.errors import sendable

#: Characters of a traceback that are kept: its end, where the cause is.
MAX_TRACE = 4_000


def shortened(error: BaseException) -> str:
    """An exception with its traceback, at most `MAX_TRACE` characters, the end kept."""
    text = sendable("".join(traceback.format_exception(error)).rstrip())
    return text if len(text) <= MAX_TRACE else "… " + text[2 - MAX_TRACE :]
