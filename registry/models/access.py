"""Who may, who did, and what was already answered.

Law: no secret stands in a row: tokens and sign-in links are kept as SHA-256 of their full text (they are long and
random, so a slow hash would protect nothing). An audit row is written in the transaction of its mutation and never
changed.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from registry.scopes import PERMISSIONS


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
        # The scopes as Django's permissions: what groups and users are granted.
        permissions: ClassVar = [(name, scope) for name, scope in PERMISSIONS.items()]

    def __str__(self) -> str:
        return self.name


class RoleReach(models.Model):
    """A role (a Django group) that is bound to some sworms: what it permits, it permits on these alone."""

    group = models.OneToOneField("auth.Group", on_delete=models.CASCADE, related_name="reach")
    sworms = models.JSONField(default=list, blank=True, help_text="Only these sworms; empty: all.")

    class Meta:
        verbose_name = "reach"
        verbose_name_plural = "reach"

    def __str__(self) -> str:
        return ", ".join(self.sworms) or "all sworms"


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
    """One mutation: who, from where, what, before and after, why. The database refuses to change or remove a row."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.TextField(help_text="user:name, token:name, cli or code")
    door = models.TextField(blank=True, help_text="rest, page, admin, cli or code")
    address = models.TextField(blank=True, help_text="Of whoever asked; on the command line the system's user.")
    action = models.TextField(help_text="What was done, as process.register")
    sworm = models.TextField(blank=True, db_collation="C", help_text="The sworm that it was about, if it was one.")
    target = models.TextField(help_text="To what, as rooms/lobby")
    reason = models.TextField(blank=True)
    operation = models.TextField(blank=True, help_text="Id of the operation that does it.")
    before = models.JSONField(null=True, help_text="What changed, as it was.")
    after = models.JSONField(null=True, help_text="What changed, as it is since.")
    detail = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [
            models.Index(fields=["sworm", "-id"], name="audit_sworm"),
            models.Index(fields=["target", "-id"], name="audit_target"),
            models.Index(fields=["actor", "-id"], name="audit_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"


class IdempotencyKey(models.Model):
    """An answered POST: repeated with the same key and body it gets the same answer. Pruned after a day."""

    actor = models.TextField()
    key = models.TextField()
    request_hash = models.TextField(help_text="SHA-256 of method, path and body.")
    status = models.SmallIntegerField(null=True, help_text="Empty: still being answered.")
    content_type = models.TextField(blank=True)
    headers = models.JSONField(default=dict, help_text="Those that belong to the answer.")
    body = models.BinaryField(default=b"")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["actor", "key"], name="idempotency_actor_key")]

    def __str__(self) -> str:
        return self.key
