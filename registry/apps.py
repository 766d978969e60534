"""The registry as a Django app.

Law: nothing but the app's name and what must run once when Django is ready; no query here outside `post_migrate`.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from registry import scopes


def ensure_roles(**signal: Any) -> None:
    """Make the Django groups that stand for the roles; repeatable."""
    groups: Any = apps.get_model("auth", "Group")
    for role in scopes.ROLES:
        groups.objects.get_or_create(name=role)


class RegistryConfig(AppConfig):
    """Definitions, the observed read model, access to it."""

    name = "registry"
    verbose_name = "Registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the roles made with the tables."""
        post_migrate.connect(ensure_roles, sender=self)
