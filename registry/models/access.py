"""Who may, who did, and what was already answered.

Law: no secret stands in a row: tokens and sign-in links are kept as SHA-256 of their full text (they are long and
random, so a slow hash would protect nothing). An audit row is written in the transaction of its mutation and never
changed.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """A bearer token `swm_…`, bound to scopes and perhaps to sworms."""

    name = models.TextField(help_text="What it is for; shown in the audit.")
    prefix = models.TextField(help_text="Its first characters, to tell it from others.", editable=False)
    hash = models.TextField(unique=True, editable=False)
    scopes = models.JSONField(default=list)
    sworms = models.JSONField(default=list, blank=True, help_text="Only these sworms; empty: all.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.TextField(blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name


class SignInLink(models.Model):
    """A link that signs one browser in, once, within minutes."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    hash = models.TextField(unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user} until {self.expires_at:%Y-%m-%d %H:%M}"


class AuditEntry(models.Model):
    """One mutation: who, what, why."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.TextField(help_text="user:name, token:name or cli")
    action = models.TextField(help_text="What was done, as process.register")
    target = models.TextField(help_text="To what, as rooms/lobby")
    reason = models.TextField(blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"


class IdempotencyKey(models.Model):
    """An answered POST: repeated with the same key and body it gets the same answer. Pruned after a day."""

    actor = models.TextField()
    key = models.TextField()
    request_hash = models.TextField(help_text="SHA-256 of method, path and body.")
    status = models.SmallIntegerField(null=True, help_text="Empty: still being answered.")
    content_type = models.TextField(blank=True)
    body = models.BinaryField(default=b"")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["actor", "key"], name="idempotency_actor_key")]

    def __str__(self) -> str:
        return self.key
