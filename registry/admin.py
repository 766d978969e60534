"""The registry in Django's admin: what was observed, to look at; tokens, to make and revoke.

Law: rights are the scopes of `registry.scopes`, here as everywhere. Observed rows and the audit cannot be changed by
hand: only the observer and the API write them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from registry.audit import audit
from registry.auth import Principal, issue_token, principal_of_user, told, whole
from registry.core.ids import SLUG
from registry.models import ApiToken, AuditEntry, Event, Membership, Node, ObserverTerm, Process, ReplicaSnapshot
from registry.scopes import READ, SCOPES, TOKEN_ADMIN

Row = Any


def principal_of(request: HttpRequest) -> Principal:
    """Who uses the admin; nobody at all may do nothing."""
    return principal_of_user(request.user) or Principal("", {})


class ByScope(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rights by scope: one to look, one to change (None: nobody), on the sworms that the scope reaches."""

    view_scope: ClassVar[str] = READ
    change_scope: ClassVar[str | None] = None
    of_sworm: ClassVar[str | None] = None  #: the field that names a row's sworm; None: rows are of the whole cluster

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that the user may see."""
        rows: QuerySet[Any] = super().get_queryset(request)
        reach = principal_of(request).reach(self.view_scope)
        if reach is None or self.of_sworm is None:
            return rows
        return rows.filter(**{f"{self.of_sworm}__in": reach})

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether it is in the index."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        """Whether the user may look. Nodes are everybody's to see, as over REST."""
        return self._may(request, self.view_scope, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whether the user may add."""
        return self._may_change(request)

    def has_change_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        """Whether the user may change."""
        return self._may_change(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        """Whether the user may delete."""
        return self._may_change(request, obj)

    def _may_change(self, request: HttpRequest, obj: Row = None) -> bool:
        return self.change_scope is not None and self._may(request, self.change_scope, obj)

    def _may(self, request: HttpRequest, scope: str, obj: Row) -> bool:
        who = principal_of(request)
        if not who.may(scope) or who.reach(scope) is None:
            return who.may(scope)
        if self.of_sworm is None:
            return scope == READ
        return obj is None or who.may_touch(getattr(obj, self.of_sworm), scope)


class HandsOut(ByScope):
    """Rows that give rights: their form has `scopes` and `sworms`."""

    def get_form(self, request: HttpRequest, obj: Row = None, change: bool = False, **kwargs: Any) -> Any:
        """A form that knows who fills it in."""
        who = principal_of(request)

        class Checked(super().get_form(request, obj, change, **kwargs)):  # type: ignore[misc]
            def clean(self) -> dict[str, Any]:
                cleaned: dict[str, Any] = super().clean() or self.cleaned_data
                if not who.covers(whole(cleaned.get("scopes", []), cleaned.get("sworms", []))):
                    self.add_error("scopes", "nobody hands out more than they have themselves")
                return cleaned

        return Checked


@admin.register(Node)
class NodeAdmin(ByScope):
    """Nodes, to look at."""

    list_display = ("name", "status", "cordoned", "processes", "incarnation", "url", "last_seen")
    list_filter = ("status", "cordoned")
    search_fields = ("name",)


@admin.register(Process)
class ProcessAdmin(ByScope):
    """Processes, to look at."""

    of_sworm = "sworm"
    list_display = ("sworm", "name", "node", "state", "epoch", "restarts", "target", "started_at")
    list_filter = ("state", "sworm", "node")
    search_fields = ("name", "target", "pid")
    show_full_result_count = False


@admin.register(Membership)
class MembershipAdmin(ByScope):
    """Members of groups, to look at."""

    of_sworm = "sworm"
    list_display = ("sworm", "group", "name", "pid")
    list_filter = ("sworm",)
    search_fields = ("group", "name")


@admin.register(Event)
class EventAdmin(ByScope):
    """The history, to look at."""

    of_sworm = "sworm"
    list_display = ("at", "kind", "sworm", "name", "node", "epoch", "detail")
    list_filter = ("kind",)
    search_fields = ("name", "node", "detail")
    ordering = ("-revision", "-id")
    show_full_result_count = False


@admin.register(ReplicaSnapshot)
class ReplicaSnapshotAdmin(ByScope):
    """Replicas, to look at."""

    of_sworm = "sworm"
    list_display = ("observed_at", "node", "sworm", "size", "behind", "digest")
    list_filter = ("node", "sworm")
    ordering = ("-observed_at",)
    exclude = ("entries",)
    show_full_result_count = False


@admin.register(ObserverTerm)
class ObserverTermAdmin(ByScope):
    """Who writes the read model, to look at."""

    list_display = ("holder", "term", "renewed_at")


@admin.register(AuditEntry)
class AuditEntryAdmin(ByScope):
    """The audit, to look at."""

    of_sworm = "sworm"
    list_display = ("at", "actor", "door", "address", "action", "target", "reason")
    list_filter = ("door", "action")
    search_fields = ("actor", "target", "reason", "operation")
    show_full_result_count = False


class LinesField(forms.CharField):
    """A list of short texts, one a line."""

    widget = forms.Textarea(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        """A list as lines."""
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        """Lines as a list."""
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lists differ."""
        return bool(list(initial or []) != self.to_python(data))


class SwormsField(LinesField):
    """The sworms that something is bound to."""

    def __init__(self) -> None:
        super().__init__(required=False, help_text="Only these sworms, one a line; empty: all.")

    def clean(self, value: Any) -> list[str]:
        """Each must be the name of a sworm."""
        sworms = sorted({*super().clean(value)})
        for sworm in sworms:
            if not SLUG.match(sworm):
                raise forms.ValidationError(f"{sworm!r} must match [a-z][a-z0-9_-]{{0,62}}")
        return sworms


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a new token is asked to be."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {text}") for scope, text in SCOPES.items()], widget=forms.CheckboxSelectMultiple
    )
    sworms = SwormsField()

    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "sworms", "expires_at")
        widgets: ClassVar[dict[str, Any]] = {"name": forms.TextInput(attrs={"size": 60})}

    def clean_expires_at(self) -> Any:
        """It must lie ahead."""
        moment = self.cleaned_data["expires_at"]
        if moment is not None and moment <= timezone.now():
            raise forms.ValidationError("this moment is in the past")
        return moment


@admin.register(ApiToken)
class ApiTokenAdmin(HandsOut):
    """Tokens: made here and shown once, never changed, revoked by an action."""

    view_scope = TOKEN_ADMIN
    change_scope = TOKEN_ADMIN
    form = TokenForm
    list_display = ("name", "prefix", "scopes", "sworms", "created_by", "expires_at", "last_used", "revoked_at")
    search_fields = ("name", "prefix")
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        """A token is never changed; the list may be used to revoke."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        """Its row stays, for the audit."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Make it, and show its text this once."""
        actor = principal_of(request).actor
        text, row = issue_token(obj.name, obj.scopes, sworms=obj.sworms, expires_at=obj.expires_at, created_by=actor)
        obj.pk = row.pk
        audit(actor, "token.create", row.name, "", after=told(row), id=row.pk)
        self.message_user(request, f"The token, shown only this once: {text}", messages.WARNING)

    @admin.action(description="Revoke the selected tokens", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """They work no more."""
        for token in queryset.filter(revoked_at__isnull=True):
            ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())
            audit(principal_of(request).actor, "token.revoke", token.name, "", before=told(token), id=token.pk)
        self.message_user(request, "Revoked; they work no more.")
