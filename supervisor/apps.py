"""The supervisor as a Django app.

Law: nothing but the app's name and what must run once when Django is ready; importing it starts nothing.
"""

from __future__ import annotations

from django.apps import AppConfig


class SupervisorConfig(AppConfig):
    """What operators asked for, and the agents that do it."""

    name = "supervisor"
    verbose_name = "Supervisor"
    default_auto_field = "django.db.models.BigAutoField"
