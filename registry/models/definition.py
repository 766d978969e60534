"""The authoritative definition of a sworm.

Law: one row a name, for ever: deleting marks the row and raises its revision, since agents tell old news from new by
the revision alone. Whoever writes a row goes through `supervisor.definitions`, which checks it, raises the revision
and says so.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

#: What an agent needs to obey a definition, in the names and the order of the wire.
WIRE_FIELDS = (
    "name",
    "revision",
    "restart",
    "max_restarts",
    "max_seconds",
    "handoff",
    "handoff_timeout_ms",
    "distribution_strategy",
    "redistribution",
    "sync_interval_ms",
    "max_sync_size",
    "allowed_modules",
    "isolation",
    "deleted",
    "constraints",
    "checkpoint_interval_ms",
    "checkpoint_copies",
)


class Sworm(models.Model):
    """A named pool of processes with one definition."""

    name = models.TextField(primary_key=True, db_collation="C", help_text="Matches [a-z][a-z0-9_-]{0,62}.")
    revision = models.BigIntegerField(default=1, editable=False)
    restart = models.TextField(
        default="transient",
        help_text="permanent: always; transient: after a crash; temporary: never.",
    )
    max_restarts = models.IntegerField(default=3, help_text="Restarts allowed within max_seconds, per process.")
    max_seconds = models.FloatField(default=5.0, help_text="Window of max_restarts, in seconds.")
    handoff = models.BooleanField(default=False, help_text="Carry the state along when a process moves.")
    handoff_timeout_ms = models.IntegerField(default=5_000, help_text="Longest wait for the state, in milliseconds.")
    distribution_strategy = models.TextField(
        default="uniform", help_text="uniform, uniform_random, least_loaded, or module:function."
    )
    constraints = models.JSONField(
        default=dict,
        blank=True,
        help_text=(
            'Labels that a node must have, as {"zone": "a", "disk": ["ssd", "nvme"], "gpu": true, "rack": {"not": "1"}}'
        ),
    )
    redistribution = models.TextField(
        default="passive", help_text="passive: running processes stay; active: they follow nodes."
    )
    sync_interval_ms = models.IntegerField(default=300, help_text="Milliseconds between two repair rounds.")
    max_sync_size = models.IntegerField(default=5_000, help_text="Entries in one piece of a delta.")
    allowed_modules = models.JSONField(
        default=list,
        blank=True,
        help_text='Module prefixes that may run here, as ["chat", "games.chess"]; empty: whatever the agent allows.',
    )
    isolation = models.TextField(default="task", help_text="Of processes that do not say their own: task or process.")
    checkpoint_interval_ms = models.IntegerField(
        default=0, help_text="Milliseconds between two checkpoints of a process, kept on other nodes; 0: none."
    )
    checkpoint_copies = models.IntegerField(default=0, help_text="Other nodes that keep each checkpoint; 0: none.")
    deleted = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def wire(self) -> dict[str, Any]:
        """The row as the fields of a `Definition`, ready for a message to an agent."""
        return {field: getattr(self, field) for field in WIRE_FIELDS}


class SwormRevision(models.Model):
    """A definition as it stood at one revision: written with it, never changed. Kept like the definition itself."""

    sworm = models.TextField(db_collation="C")
    revision = models.BigIntegerField()
    at = models.DateTimeField()
    actor = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    fields = models.JSONField(default=dict, help_text="{field: value} of what people write.")
    deleted = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["sworm", "-revision"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["sworm", "revision"], name="revision_of_sworm")]

    def __str__(self) -> str:
        return f"{self.sworm} {self.revision}"


class Proposal(models.Model):
    """What a class in somebody's code says of a sworm, as it was last used: the row wins, the difference is shown."""

    sworm = models.TextField(primary_key=True, db_collation="C")
    fields = models.JSONField(default=dict)
    seen_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.sworm
