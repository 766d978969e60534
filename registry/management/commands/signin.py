"""`manage.py signin`: a new one-time link that signs a browser in as the owner.

Law: only for who has the database's password anyway; the link's secret is printed and not kept.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from registry.audit import audit
from registry.auth import SIGN_IN_FOR, create_sign_in_link, owner
from registry.management.command import SwormCommand
from registry.management.database import needs_database


class Command(SwormCommand):
    """Makes sign-in links."""

    help = "Print a link that signs one browser in, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose link, and where the pages are."""
        parser.add_argument("--user", help="an existing account; default: the owner's, made when missing")
        parser.add_argument("--url", default=settings.SWORM_URL, help="where the pages are; default: SWORM_URL")
        parser.add_argument("--json", action="store_true", help="print an object instead of the bare link")

    @needs_database
    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and print it."""
        user = owner()
        if options["user"]:
            found = get_user_model().objects.filter(username=options["user"], is_active=True).first()
            if found is None:
                raise CommandError(f"no active account is named {options['user']!r}")
            user = found
        link = f"{options['url'].rstrip('/')}/signin/{create_sign_in_link(user)}"
        audit("cli", "signin.create", user.get_username())
        if options["json"]:
            seconds = int(SIGN_IN_FOR.total_seconds())
            link = json.dumps({"sign_in_url": link, "user": user.get_username(), "valid_for_s": seconds})
        self.stdout.write(link)
