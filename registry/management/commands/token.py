"""`manage.py token create NAME --scope S …`: a new bearer token, printed once.

Law: only for who has the database's password anyway; whatever else happens to tokens happens over REST or in the admin.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from registry.audit import audit
from registry.auth import issue_token, told
from registry.core.ids import BadName, check_slug
from registry.management.database import needs_database
from registry.scopes import ALL, SCOPES

_SPAN = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EVERY_SCOPE = "all"


def expiry(text: str) -> datetime:
    """`30d` from now, as a moment; raises CommandError."""
    match = _SPAN.match(text)
    if not match or int(match[1]) == 0:
        raise CommandError(f"--expires {text!r} is no span: write 90s, 15m, 12h, 30d or 8w")
    try:
        return timezone.now() + timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise CommandError(f"--expires {text!r} lies beyond the calendar") from None


class Command(BaseCommand):
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
        create.add_argument("--sworm", action="append", default=[], help="only this sworm; may be repeated")
        create.add_argument("--expires", help="as 30d; default: never")
        create.add_argument("--json", action="store_true", help="print an object instead of the bare token")

    @needs_database
    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and print it."""
        scopes = ALL if EVERY_SCOPE in options["scope"] else frozenset(options["scope"])
        try:
            sworms = [check_slug(sworm, "sworm name") for sworm in options["sworm"]]
        except BadName as error:
            raise CommandError(str(error)) from None
        expires_at = expiry(options["expires"]) if options["expires"] else None
        text, row = issue_token(options["name"], scopes, sworms=sworms, expires_at=expires_at, created_by="cli")
        audit("cli", "token.create", row.name, after=told(row), id=row.pk)
        if options["json"]:
            shown = {"id": row.pk, "name": row.name, "token": text, "scopes": row.scopes, "sworms": row.sworms}
            shown["expires_at"] = expires_at.isoformat() if expires_at else None
            text = json.dumps(shown)
        self.stdout.write(text)
