"""The registry as a Django app.

Law: nothing but the app's name and what must run once when Django is ready; no query here outside `post_migrate`.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from registry import scopes


def ensure_roles(**signal: Any) -> None:
    """Make the roles that are missing, with their permissions; one that exists is left as people made it."""
    models: Any = signal.get("apps") or apps
    groups, permissions, kinds = (
        models.get_model(*name.split(".")) for name in ("auth.Group", "auth.Permission", "contenttypes.ContentType")
    )
    kind, _ = kinds.objects.get_or_create(app_label="registry", model="apitoken")
    made = {
        scope: permissions.objects.get_or_create(content_type=kind, codename=name, defaults={"name": scope})[0]
        for name, scope in scopes.PERMISSIONS.items()
    }
    for role, granted in scopes.ROLES.items():
        group, new = groups.objects.get_or_create(name=role)
        if new or signal.get("grant"):
            group.permissions.add(*(made[scope] for scope in granted))


class RegistryConfig(AppConfig):
    """Definitions, the observed read model, access to it."""

    name = "registry"
    verbose_name = "Registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the roles made with the tables."""
        post_migrate.connect(ensure_roles, sender=self)
