"""The supervisor as a Django app.

Law: nothing but the app's name and what must run once when Django is ready; importing it starts nothing.
"""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import import_string

from supervisor.backend import Backend, use_fallback


def _backend() -> Backend:
    """What the public verbs do in a Django process; loaded at their first use, since it needs the models."""
    made: Backend = import_string("supervisor.django_backend.DjangoBackend")()
    return made


class SupervisorConfig(AppConfig):
    """What operators asked for, and the agents that do it."""

    name = "supervisor"
    verbose_name = "Supervisor"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let `Sworm` work here; an agent sets its own backend when it starts."""
        use_fallback(_backend)
