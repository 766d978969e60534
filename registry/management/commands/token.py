"""`manage.py token create NAME --scope S …`: a new bearer token, printed once.

Law: only for who has the database's password anyway; whatever else happens to tokens happens over REST or in the admin.
"""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from registry.audit import audit
from registry.auth import issue_token, told
from registry.core.ids import BadName, check_slug
from registry.management.command import SwormCommand
from registry.management.database import needs_database
from registry.models import Sworm
from registry.scopes import ALL, SCOPES

_SPAN = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EVERY_SCOPE = "all"


def expiry(text: str) -> datetime:
    """`30d` from now, as a moment; raises ArgumentTypeError."""
    match = _SPAN.match(text)
    if not match or int(match[1]) == 0:
        raise ArgumentTypeError(f"{text!r} is no span: write 90s, 15m, 12h, 30d or 8w")
    try:
        return timezone.now() + timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} lies beyond the calendar") from None


def sworm_name(text: str) -> str:
    """The name of a sworm; raises ArgumentTypeError."""
    try:
        return check_slug(text, "sworm name")
    except BadName as error:
        raise ArgumentTypeError(str(error)) from None


class Command(SwormCommand):
    """Makes tokens."""

    help = "Make a bearer token for the REST API and print it, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """The verb `create` and its options."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token")
        create.add_argument("name", help="what it is for")
        create.add_argument(
            "--scope", action="append", required=True, choices=[*SCOPES, EVERY_SCOPE], help="may be repeated"
        )
        create.add_argument(
            "--sworm", action="append", default=[], type=sworm_name, help="only this sworm; may be repeated"
        )
        create.add_argument("--expires", type=expiry, help="as 30d; default: never")
        create.add_argument("--json", action="store_true", help="print an object instead of the bare token")

    @needs_database
    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and print it."""
        scopes = ALL if EVERY_SCOPE in options["scope"] else frozenset(options["scope"])
        sworms, expires_at = options["sworm"], options["expires"]
        known = {*Sworm.objects.filter(name__in=sworms, deleted=False).values_list("name", flat=True)}
        for sworm in sorted({*sworms} - known):
            self.stderr.write(f"no definition is named {sworm!r} yet; the token reaches it once there is one")
        text, row = issue_token(options["name"], scopes, sworms=sworms, expires_at=expires_at, created_by="cli")
        audit("cli", "token.create", row.name, after=told(row), id=row.pk)
        if options["json"]:
            shown = {"id": row.pk, "name": row.name, "token": text, "scopes": row.scopes, "sworms": row.sworms}
            shown["expires_at"] = expires_at.isoformat() if expires_at else None
            text = json.dumps(shown)
        self.stdout.write(text)
