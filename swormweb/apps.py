"""The admin as an app, with the site of this project.

Law: names only, and the order of what must be loaded: accounts replace what Django's own admin says of users.
"""

from __future__ import annotations

from importlib import import_module

from django.contrib.admin.apps import AdminConfig


class AdminOfSworm(AdminConfig):
    """Django's admin with our site."""

    default_site = "swormweb.access.Site"

    def ready(self) -> None:
        """Load every app's admin, then the accounts."""
        super().ready()
        import_module("registry.accounts")
