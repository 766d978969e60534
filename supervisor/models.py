"""Something slow that an operator asked for.

Law: an operation is created before its command leaves, moves only forward (pending, running, then one of the ends) and
is `succeeded` only once the read model shows its effect. Changes are compare-and-set on `state`, so a late answer
never reopens what has ended.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

PENDING = "pending"
RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
STATES = (PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED)
#: States in which an operation may still change.
OPEN_STATES = (PENDING, RUNNING)


class Operation(models.Model):
    """One request with progress and an end."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.TextField(help_text="drain, handoff …")
    sworm = models.TextField(blank=True, db_collation="C")
    name = models.TextField(blank=True, db_collation="C")
    node = models.TextField(blank=True, db_collation="C")
    params = models.JSONField(default=dict, help_text="What was asked, beyond the target.")
    state = models.TextField(default=PENDING)
    done = models.IntegerField(default=0)
    total = models.IntegerField(default=0)
    steps = models.JSONField(default=list, help_text='[{"at", "text"}], oldest first')
    problem = models.JSONField(null=True, help_text='{"code", "detail"} of a failed one')
    requested_by = models.TextField()
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-created_at", "-id"], name="operation_newest"),
            models.Index(fields=["state"], name="operation_open", condition=models.Q(state__in=OPEN_STATES)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"

    @property
    def target(self) -> str:
        """What it is about: `sworm/name`, a sworm, or a node."""
        if self.sworm and self.name:
            return f"{self.sworm}/{self.name}"
        return self.sworm or self.node
