"""The registry as a Django app.

Law: nothing but the app's name and what must run once when Django is ready; no query here outside `post_migrate`.
"""

from __future__ import annotations

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Definitions, the observed read model, access to it."""

    name = "registry"
    verbose_name = "Registry"
    default_auto_field = "django.db.models.BigAutoField"
