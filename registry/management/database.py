"""What commands that ask the database say when it does not answer.

Law: one sentence and exit status 1, as for every other refusal; a traceback is for defects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError


def needs_database(handle: Callable[..., None]) -> Callable[..., None]:
    """A command's `handle` that raises CommandError when the database cannot be reached."""

    @wraps(handle)
    def asked(*args: Any, **options: Any) -> None:
        try:
            handle(*args, **options)
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"PostgreSQL does not answer: {str(error).strip()}") from error

    return asked
