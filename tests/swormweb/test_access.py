"""Signing in: slowed for who guesses, from where they really are; and what cookies and pages say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from registry.apps import ensure_roles
from registry.auth import Principal
from registry.models import ApiToken, AuditEntry, Process, RoleReach
from registry.scopes import ALL
from supervisor import definitions
from tests.supervisor.agents import add_process
from tests.supervisor.test_admin import FORM

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture
def ann() -> User:
    ensure_roles()
    user = User.objects.create_user("ann", password=PASSWORD)
    user.groups.add(Group.objects.get(name="viewer"))
    return user


def attempt(password: str, address: str = "192.0.2.1", name: str = "ann", **headers: str) -> Any:
    return Client().post("/signin", {"username": name, "password": password}, REMOTE_ADDR=address, **headers)


def guess_until_locked(**headers: str) -> None:
    answers = [attempt("wrong", **headers).status_code for _ in range(settings.AXES_FAILURE_LIMIT)]
    assert answers == [403] * (settings.AXES_FAILURE_LIMIT - 1) + [429]


def test_who_guesses_is_slowed_even_once_right(ann: User) -> None:
    guess_until_locked()
    answer = attempt(PASSWORD)
    assert (answer.status_code, int(answer.headers["Retry-After"])) == (429, 300)
    assert b"Too many attempts" in answer.content
    assert attempt(PASSWORD, name="ann ").status_code == 429  # blanks around a name are none of it


def test_nobody_locks_out_somebody_elsewhere(ann: User) -> None:
    guess_until_locked()
    assert attempt(PASSWORD, "192.0.2.99").status_code == 302


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_CLIENT_IP"])
def test_a_header_neither_frees_the_guilty_nor_locks_out_the_innocent(ann: User, header: str) -> None:
    for number in range(settings.AXES_FAILURE_LIMIT):
        last = attempt("wrong", **{header: f"198.51.100.{number}"})
    assert last.status_code == 429
    assert attempt(PASSWORD, **{header: "203.0.113.5"}).status_code == 429
    assert attempt(PASSWORD, "192.0.2.99", **{header: "192.0.2.1"}).status_code == 302


def test_the_wait_ends_and_a_success_forgives(ann: User) -> None:
    guess_until_locked()
    from axes.models import AccessAttempt  # noqa: PLC0415 - its app must be ready

    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME)
    assert attempt(PASSWORD).status_code == 302
    assert not AccessAttempt.objects.exists()


def test_the_admin_has_no_door_of_its_own(ann: User) -> None:
    answer = Client().get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/signin?next=")
    assert Client().post("/admin/login/", {"username": "ann", "password": PASSWORD}).status_code == 302
    assert "sworm_session" not in Client().post("/admin/login/", {"username": "ann", "password": PASSWORD}).cookies


def test_signing_in_has_an_audit_row(ann: User) -> None:
    attempt(PASSWORD)
    row = AuditEntry.objects.get(action="session.begin")
    assert (row.actor, row.door, row.address) == ("user:ann", "page", "192.0.2.1")


def test_cookies_and_policy() -> None:
    answer = Client().get("/signin")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    cookie = answer.cookies["sworm_csrf"]
    assert (cookie["samesite"], bool(cookie["secure"])) == ("Lax", settings.ENVIRONMENT.https)
    assert settings.SESSION_COOKIE_HTTPONLY
    assert answer.headers["X-Frame-Options"] == "DENY"


# ------------------------------------------------------------------------------------------------- accounts and roles


@pytest.fixture
def boss() -> Client:
    ensure_roles()
    user = User.objects.create_user("boss")
    user.groups.add(Group.objects.get(name="admin"))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def new_account(client: Client, **more: Any) -> Any:
    fields = {"username": "bob", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    return client.post("/admin/auth/user/add/", fields | more)


def change(client: Client, user: User, **more: Any) -> Any:
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return client.post(
        f"/admin/auth/user/{user.pk}/change/", {"username": user.username, "is_active": "on"} | dates | more
    )


def test_accounts_are_made_and_get_roles_with_audit(boss: Client) -> None:
    assert new_account(boss).status_code == 302
    bob = User.objects.get(username="bob")
    operator = Group.objects.get(name="operator")
    assert change(boss, bob, groups=[operator.pk]).status_code == 302
    row = AuditEntry.objects.get(action="user.change")
    assert (row.actor, row.target, row.before["roles"], row.after["roles"]) == ("user:boss", "bob", [], ["operator"])
    assert AuditEntry.objects.filter(action="user.create").count() == 1
    assert PASSWORD not in str(list(AuditEntry.objects.values()))


def test_an_admin_makes_no_superuser_and_changes_none(boss: Client) -> None:
    new_account(boss)
    bob = User.objects.get(username="bob")
    change(boss, bob, is_superuser="on")
    bob.refresh_from_db()
    assert not bob.is_superuser
    chief = User.objects.create_superuser("chief", password=PASSWORD)
    assert change(boss, chief).status_code == 403
    assert boss.post(f"/admin/auth/user/{chief.pk}/delete/", {"post": "yes"}).status_code == 403
    assert boss.get(f"/admin/auth/user/{chief.pk}/password/").status_code == 403


def test_a_role_is_made_bound_to_sworms(boss: Client) -> None:
    made = boss.post("/admin/auth/group/add/", {"name": "rooms", "scopes": ["read", "process:call"], "sworms": "rooms"})
    assert made.status_code == 302, made.content
    group = Group.objects.get(name="rooms")
    assert sorted(group.permissions.values_list("codename", flat=True)) == ["process_call", "read"]
    assert RoleReach.objects.get(group=group).sworms == ["rooms"]
    row = AuditEntry.objects.get(action="role.create")
    assert row.after == {"scopes": ["process:call", "read"], "sworms": ["rooms"]}


def test_nobody_hands_out_more_than_they_have() -> None:
    ensure_roles()
    limited = Group.objects.create(name="token makers")
    limited.permissions.set(Group.objects.get(name="admin").permissions.filter(codename__in=["read", "token_admin"]))
    user = User.objects.create_user("tom")
    user.groups.add(limited)
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    answer = client.post("/admin/auth/group/add/", {"name": "mine", "scopes": ["config:write"], "sworms": ""})
    assert answer.status_code == 200
    assert b"nobody hands out more" in answer.content
    other = User.objects.create_user("bob")
    change(client, other, groups=[Group.objects.get(name="admin").pk])
    assert not other.groups.exists()
    assert change(client, other, groups=[limited.pk]).status_code == 302
    assert other.groups.get() == limited
    token = {"name": "mine", "scopes": ["read", "config:write"], "sworms": ""}
    answer = client.post("/admin/registry/apitoken/add/", token)
    assert b"nobody hands out more" in answer.content
    assert not ApiToken.objects.exists()
    assert client.post("/admin/registry/apitoken/add/", {**token, "scopes": ["read"]}).status_code == 302
    assert ApiToken.objects.get().scopes == ["read"]


def test_nobody_sets_the_password_of_somebody_who_may_do_more() -> None:
    client = signed_in("tom", "read", "token:admin")
    signed_in("ann", "read", "config:write")
    signed_in("bob", "read")
    for name, status in (("ann", 403), ("bob", 302)):
        user = User.objects.get(username=name)
        fields = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
        assert client.post(f"/admin/auth/user/{user.pk}/password/", fields).status_code == status
        user.refresh_from_db()
        assert user.check_password(PASSWORD) == (status == 302)


def signed_in(name: str, *scopes: str, sworms: tuple[str, ...] = ()) -> Client:
    """An account with a role of its own."""
    ensure_roles()
    group = Group.objects.create(name=f"role of {name}")
    codenames = [scope.replace(":", "_") for scope in scopes]
    group.permissions.set(Group.objects.get(name="admin").permissions.filter(codename__in=codenames))
    RoleReach.objects.create(group=group, sworms=[*sworms])
    user = User.objects.create_user(name)
    user.groups.add(group)
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def test_a_role_that_is_bound_to_sworms_is_bound_in_the_admin_too() -> None:
    client = signed_in("ann", *ALL, sworms=("rooms",))
    for name in ("rooms", "games"):
        definitions.create(name, {}, Principal("cli", {}), "")
        add_process(name, f"in-{name}")
    for model in ("registry/process", "registry/sworm", "registry/swormrevision", "registry/auditentry"):
        text = client.get(f"/admin/{model}/").content.decode()
        assert ("rooms" in text, "games" in text) == (True, False), model
    assert client.get("/admin/registry/node/").status_code == 200
    for model in ("auth/user", "auth/group", "registry/apitoken"):
        assert client.get(f"/admin/{model}/").status_code == 403, model
    assert client.get("/admin/registry/sworm/rooms/change/").status_code == 200
    for path in ("games/change/", "games/delete/", "games/history/"):
        assert client.get(f"/admin/registry/sworm/{path}").status_code in (302, 403), path
    client.post("/admin/registry/sworm/add/", {**FORM, "name": "chess"})
    client.post("/admin/registry/sworm/", {"action": "delete_selected", "_selected_action": "games", "post": "yes"})
    assert sorted(definitions.live().values_list("name", flat=True)) == ["games", "rooms"]
    Process.objects.all().delete()
    client.post("/admin/registry/sworm/", {"action": "delete_selected", "_selected_action": "games", "post": "yes"})
    client.post("/admin/registry/sworm/", {"action": "delete_selected", "_selected_action": "rooms", "post": "yes"})
    assert [*definitions.live().values_list("name", flat=True)] == ["games"]
