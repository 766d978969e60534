"""/tokens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from registry.api import answers
from registry.models import ApiToken, AuditEntry, Sworm
from tests.asking import Asking, asking


def test_a_token_is_shown_once(ask: Asking) -> None:
    Sworm.objects.create(name="rooms")
    made = ask.post("/tokens", {"name": "ci", "scopes": ["read"], "sworms": ["rooms"], "reason": "build"})
    assert made.status == 201
    assert made.response.headers["Cache-Control"] == "no-store"
    new = Asking(made.body["token"])
    assert new.get("/sworms").status == 200
    shown = ask.get(f"/tokens/{made.body['id']}").body
    assert "token" not in shown
    assert {**shown, "token": made.body["token"]} == {**made.body, "last_used": shown["last_used"]}
    assert [item["name"] for item in ask.get("/tokens").body["items"]] == ["test", "ci"]
    assert made.body["token"] not in str(AuditEntry.objects.get(action="token.create").detail)
    msgspec.convert(made.body, answers.Token)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "a\x00"), ("scopes", []), ("scopes", ["all"]), ("scopes", "read"),
        ("sworms", ["Rooms"]), ("expires_at", "2001-01-01T00:00:00Z"), ("expires_at", "2999-01-01T00:00:00"),
        ("expires_at", "soon"), ("colour", 1),
    ],
)  # fmt: skip
def test_a_token_that_cannot_be(ask: Asking, field: str, value: Any) -> None:
    answer = ask.post("/tokens", {"name": "ci", "scopes": ["read"], field: value})
    assert (answer.status, answer.fields[0]) == (422, field)


def test_a_token_for_a_sworm_that_nobody_defined_says_so(ask: Asking) -> None:
    made = ask.post("/tokens", {"name": "ci", "scopes": ["read"], "sworms": ["rooms"]})
    assert made.status == 201
    (advice,) = made.body["advice"]
    assert (advice["field"], advice["level"]) == ("sworms", "note")
    assert "no definition is named 'rooms' yet" in advice["text"]
    msgspec.convert(made.body, answers.Token)


def test_revoking(ask: Asking) -> None:
    made = ask.post("/tokens", {"name": "ci", "scopes": ["read"]}).body
    assert ask.delete(f"/tokens/{made['id']}").status == 204
    assert Asking(made["token"]).get("/sworms").code == "unauthorized"
    assert ask.delete(f"/tokens/{made['id']}").status == 204
    assert ask.get(f"/tokens/{made['id']}").body["revoked_at"] is not None
    assert ask.delete("/tokens/99999").code == "unknown_token"
    assert ask.get(f"/tokens/{2**70}").code == "unknown_token"
    assert AuditEntry.objects.filter(action="token.revoke").count() == 1


def test_nobody_gives_more_than_they_have(ask: Asking) -> None:
    clerk = asking("read", "token:admin")
    assert clerk.post("/tokens", {"name": "x", "scopes": ["read"]}).status == 201
    assert clerk.post("/tokens", {"name": "x", "scopes": ["node:drain"]}).code == "forbidden"
    assert asking("read").get("/tokens").code == "forbidden"
    assert asking(sworms=("rooms",)).get("/tokens").code == "forbidden"
    assert ApiToken.objects.filter(name="x").count() == 1
