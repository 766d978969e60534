"""Something slow that an operator asked for.

Law: an operation is created before its commands leave, moves only forward (pending, running, then one of the ends) and
is `succeeded` only once the read model shows its effect. Changes are compare-and-set on `state`, so a late answer
never reopens what has ended. The rows hold all that whoever takes it up half-way must know.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from supervisor.core import operation as machine

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
    kind = models.TextField(help_text="drain, handoff, migrate, rebalance, restart")
    sworm = models.TextField(blank=True, db_collation="C")
    name = models.TextField(blank=True, db_collation="C")
    node = models.TextField(blank=True, db_collation="C")
    params = models.JSONField(default=dict, help_text="What was asked, beyond the target.")
    state = models.TextField(default=PENDING)
    done = models.IntegerField(default=0)
    total = models.IntegerField(default=0)
    steps = models.JSONField(default=list, help_text='[{"at", "text"}] of the whole, oldest first')
    problem = models.JSONField(null=True, help_text='{"code", "detail"} of a failed one')
    requested_by = models.TextField()
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, help_text="When an observer took it up first.")
    cancelled_by = models.TextField(blank=True, help_text="Who wants no more of it; nothing new is begun since.")
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


class OperationStep(models.Model):
    """One process of an operation; `supervisor.core.operation` says what its states are."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="processes")
    number = models.IntegerField(help_text="Its turn, from 0.")
    sworm = models.TextField(db_collation="C")
    name = models.TextField(db_collation="C")
    source = models.TextField(blank=True, db_collation="C", help_text="The node that it is to leave.")
    to = models.TextField(blank=True, db_collation="C", help_text="The node wanted; empty: as placement wants.")
    why = models.TextField(blank=True, help_text="Why it is part of the operation.")
    state = models.TextField(default=machine.WAITING)
    attempts = models.IntegerField(default=0)
    pid = models.TextField(blank=True, db_collation="C", help_text="Of the incarnation that was asked.")
    epoch = models.BigIntegerField(default=0)
    code = models.TextField(blank=True)
    detail = models.TextField(blank=True)
    asked_at = models.FloatField(default=0.0, help_text="Seconds since 1970; 0: never.")
    ended_at = models.FloatField(default=0.0, help_text="Seconds since 1970; 0: not yet.")

    class Meta:
        ordering: ClassVar = ["operation", "number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["operation", "number"], name="step_operation_number")]

    def __str__(self) -> str:
        return f"{self.sworm}/{self.name}: {self.state}"
