"""Accounts and roles in the admin: who has a password here, and which role may do what, on which sworms.

Law: whoever may hand out tokens may hand out roles, and neither hands out more than they have: only a superuser makes
or changes a superuser. Each change has its audit row, without passwords.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from registry.admin import ByScope, HandsOut, SwormsField, principal_of
from registry.audit import audit
from registry.auth import Principal, grants_of, whole
from registry.models import RoleReach
from registry.scopes import PERMISSIONS, ROLES, SCOPES, TOKEN_ADMIN

admin.site.unregister(User)
admin.site.unregister(Group)


def ours() -> QuerySet[Permission]:
    """The permissions that mean something here."""
    return Permission.objects.filter(content_type__app_label="registry", codename__in=[*PERMISSIONS])


def roles_of(user: User) -> dict[str, Any]:
    """What the audit says of an account."""
    return {
        "active": user.is_active,
        "superuser": user.is_superuser,
        "roles": sorted(user.groups.values_list("name", flat=True)),
    }


def told(group: Group) -> dict[str, Any]:
    """What the audit says of a role."""
    reach = RoleReach.objects.filter(group=group).first()
    granted = ours().filter(group=group).values_list("codename", flat=True)
    return {"scopes": sorted(PERMISSIONS[name] for name in granted), "sworms": reach.sworms if reach else []}


def covers(principal: Principal, role: dict[str, Any]) -> bool:
    """Whether somebody has everything that a role gives, so that they may hand it out."""
    return principal.covers(whole(role["scopes"], role["sworms"]))


class Accounts(ByScope):
    """What both kinds share."""

    view_scope = TOKEN_ADMIN
    change_scope = TOKEN_ADMIN

    def _note(self, request: HttpRequest, action: str, what: str, before: Any, after: Any) -> None:
        if before != after:
            audit(principal_of(request).actor, action, what, "", before=before, after=after)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Each by itself."""
        for row in queryset:
            if self.has_delete_permission(request, row):
                self.delete_model(request, row)


@admin.register(User)
class AccountAdmin(Accounts, UserAdmin):  # type: ignore[type-arg]
    """People: name, password, roles."""

    add_form = AdminUserCreationForm
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "groups", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers are changed by superusers alone."""
        return super().has_change_permission(request, obj) and self._below(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The same; and nobody removes themselves."""
        return super().has_delete_permission(request, obj) and self._below(request, obj) and obj != request.user

    def _below(self, request: HttpRequest, obj: Any) -> bool:
        return obj is None or not obj.is_superuser or bool(getattr(request.user, "is_superuser", False))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only a superuser makes one."""
        fixed = tuple(super().get_readonly_fields(request, obj))
        return fixed if getattr(request.user, "is_superuser", False) else (*fixed, "is_superuser")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Whose password one sets, as that one may sign in: nobody sets that of somebody who may do more."""
        user = self.get_object(request, unquote(id))
        if user is not None and not principal_of(request).covers(grants_of(user)):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Roles that the user could not hand out are not offered; a form that names one all the same is refused."""
        if db_field.name == "groups":
            who = principal_of(request)
            allowed = [group.pk for group in Group.objects.all() if covers(who, told(group))]
            kwargs["queryset"] = Group.objects.filter(pk__in=allowed)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save; the audit row comes once the roles are saved too."""
        form.before = roles_of(User.objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the roles, and say what changed."""
        kept = [group for group in form.instance.groups.all() if not covers(principal_of(request), told(group))]
        super().save_related(request, form, formsets, change)
        form.instance.groups.add(*kept)  # what was not offered was not taken away either
        action = "user.change" if change else "user.create"
        self._note(request, action, form.instance.get_username(), form.before, roles_of(form.instance))

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """A new password is a change that no field shows."""
        if "password" in str(message).lower():
            audit(principal_of(request).actor, "user.password", obj.get_username())
        return super().log_change(request, obj, message)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Remove an account; what it did stays in the audit, by name."""
        before, name = roles_of(obj), obj.get_username()
        super().delete_model(request, obj)
        self._note(request, "user.delete", name, before, None)


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A role: its scopes, and the sworms that they reach."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {text}") for scope, text in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    sworms = SwormsField()

    class Meta:
        model = Group
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            role = told(self.instance)
            self.fields["scopes"].initial, self.fields["sworms"].initial = role["scopes"], role["sworms"]


@admin.register(Group)
class RoleAdmin(HandsOut, Accounts):
    """Roles."""

    form = RoleForm
    list_display = ("name", "granted", "reaches")
    search_fields = ("name",)

    @admin.display(description="scopes")
    def granted(self, obj: Group) -> str:
        """Its scopes."""
        return ", ".join(told(obj)["scopes"]) or "none"

    @admin.display(description="sworms")
    def reaches(self, obj: Group) -> str:
        """Its sworms."""
        return ", ".join(told(obj)["sworms"]) or "all"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who could not hand it out does not change it."""
        return super().has_change_permission(request, obj) and (obj is None or covers(principal_of(request), told(obj)))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The three that come with Sworm stay."""
        return self.has_change_permission(request, obj) and (obj is None or obj.name not in ROLES)

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        """Save the role with its permissions and its reach."""
        before = told(obj) if change else None
        super().save_model(request, obj, form, change)
        wanted = {name for name, scope in PERMISSIONS.items() if scope in form.cleaned_data["scopes"]}
        obj.permissions.remove(*ours().exclude(codename__in=wanted))
        obj.permissions.add(*ours().filter(codename__in=wanted))
        RoleReach.objects.update_or_create(group=obj, defaults={"sworms": form.cleaned_data["sworms"]})
        self._note(request, "role.change" if change else "role.create", obj.name, before, told(obj))

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        """Remove a role; who had it has it no more."""
        before, name = told(obj), obj.name
        super().delete_model(request, obj)
        self._note(request, "role.delete", name, before, None)


@receiver(user_logged_in)
def _signed_in(request: HttpRequest, user: User, **signal: Any) -> None:
    audit(f"user:{user.get_username()}", "session.begin", user.get_username())
