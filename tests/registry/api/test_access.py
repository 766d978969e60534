"""Who may: tokens, sessions, CSRF, roles; before anything else is looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from registry import scopes
from registry.auth import issue_token
from registry.models import ApiToken
from tests.asking import API, Asking, asking

pytestmark = pytest.mark.django_db

BODY = {"name": "rooms"}


def test_nobody_is_asked_who_they_are() -> None:
    answer = Asking(None).get("/sworms")
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.response.headers["WWW-Authenticate"] == 'Bearer realm="sworm"'


@pytest.mark.parametrize("header", ["Bearer swm_wrong", "Bearer", "Bearer ", "Basic YTpi", "swm_x", "Bearer \u00e9"])
def test_a_bad_token_is_nobody(header: str) -> None:
    assert Asking(None).get("/sworms", Authorization=header).code == "unauthorized"


def test_an_expired_token_is_nobody() -> None:
    ask = asking(expires_at=timezone.now() + timedelta(hours=1))
    assert ask.get("/sworms").status == 200
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask.get("/sworms").code == "unauthorized"


def test_a_revoked_token_is_nobody() -> None:
    ask = asking()
    ApiToken.objects.update(revoked_at=timezone.now())
    assert ask.get("/sworms").code == "unauthorized"


def test_using_a_token_is_noted_but_not_each_time() -> None:
    ask = asking()
    ask.get("/sworms")
    first = ApiToken.objects.get().last_used
    assert first is not None
    ask.get("/sworms")
    assert ApiToken.objects.get().last_used == first


def test_only_the_hash_is_kept() -> None:
    text, row = issue_token("ci", ["read"])
    assert text.startswith("swm_")
    assert row.prefix == text[:10]
    assert text not in {str(value) for value in ApiToken.objects.values_list().get()}


def test_a_token_needs_scopes_that_exist() -> None:
    for wrong in ([], ["everything"]):
        with pytest.raises(ValueError, match="scopes must be some of"):
            issue_token("ci", wrong)


def signed_in(role: str = "", *, superuser: bool = False) -> Client:
    user = User.objects.create_user("ann", is_superuser=superuser)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("role", "reads", "drains", "writes"),
    [
        ("", 403, 403, 403),
        (scopes.VIEWER, 200, 403, 403),
        (scopes.OPERATOR, 200, 404, 403),
        (scopes.ADMIN, 200, 404, 201),
    ],
)
def test_a_role_has_its_scopes(role: str, reads: int, drains: int, writes: int) -> None:
    client = signed_in(role)
    client.cookies["sworm_csrf"] = "x" * 32
    headers = {"X-CSRFToken": "x" * 32}
    assert client.get(f"{API}/sworms").status_code == reads
    assert client.post(f"{API}/nodes/n1/cordon", headers=headers).status_code == drains
    made = client.post(f"{API}/sworms", BODY, content_type="application/json", headers=headers)
    assert made.status_code == writes


def test_a_session_without_its_csrf_token_changes_nothing() -> None:
    client = signed_in(superuser=True)
    assert client.get(f"{API}/sworms").status_code == 200
    answer = client.post(f"{API}/sworms", BODY, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_bad_token_is_not_mended_by_a_session() -> None:
    client = signed_in(superuser=True)
    assert client.get(f"{API}/sworms", headers={"Authorization": "Bearer swm_x"}).status_code == 401


def test_an_account_that_is_switched_off_is_nobody() -> None:
    client = signed_in(superuser=True)
    User.objects.update(is_active=False)
    assert client.get(f"{API}/sworms").status_code == 401


@pytest.mark.parametrize("path", ["/nowhere", "/sworms/a/b/c", "//api/v2/x", "//api/", "//api"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_paths_that_do_not_exist(path: str, method: str) -> None:
    assert Asking(None)(method, path).code == "unauthorized"
    assert asking("read")(method, path).code in ("not_found", "method_not_allowed")
    if method == "GET":
        assert asking("read").get(path).code == "not_found"


def test_a_path_that_is_not_text() -> None:
    assert asking().get("/sworms/%ff").code == "malformed"
