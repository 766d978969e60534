"""The audit: what a row says, and that it stays."""

from __future__ import annotations

import pytest
from django.db import Error, connection, transaction
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from registry.audit import audit
from registry.models import AuditEntry
from registry.whence import WhenceMiddleware, address_of
from tests.asking import Asking

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registry_auditentry SET reason = 'another'",
        "DELETE FROM registry_auditentry",
        "DELETE FROM registry_auditentry WHERE false",
        "TRUNCATE registry_auditentry",
    ],
)
def test_the_database_refuses_to_change_a_row(statement: str) -> None:
    audit("user:ann", "sworm.create", "rooms", "opening")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE registry_auditentry ENABLE TRIGGER audit_no_truncate")  # undone with the test
    with pytest.raises(Error, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEntry.objects.get().reason == "opening"


def test_the_orm_is_refused_too() -> None:
    audit("user:ann", "sworm.create", "rooms")
    with pytest.raises(Error, match="append-only"), transaction.atomic():
        AuditEntry.objects.all().delete()
    with pytest.raises(Error, match="append-only"), transaction.atomic():
        AuditEntry.objects.get().save()


def test_a_row_says_from_where_and_what_changed() -> None:
    request = RequestFactory().post("/api/v1/sworms", REMOTE_ADDR="192.0.2.7", HTTP_AUTHORIZATION="Bearer swm_x")

    def view(request: HttpRequest) -> None:
        audit("token:ci", "sworm.change", "rooms", "busy", before={"handoff": False}, after={"handoff": True})

    WhenceMiddleware(view)(request)  # type: ignore[arg-type]
    row = AuditEntry.objects.get()
    assert (row.door, row.address, row.sworm) == ("rest", "192.0.2.7", "rooms")
    assert (row.before, row.after, row.operation) == ({"handoff": False}, {"handoff": True}, "")


@pytest.mark.parametrize(
    ("path", "headers", "door"),
    [
        ("/api/v1/sworms", {}, "page"),
        ("/api/v1/sworms", {"HTTP_AUTHORIZATION": "Bearer swm_x"}, "rest"),
        ("/api/v1/sworms", {"HTTP_AUTHORIZATION": "Bearer swm_x", "HTTP_USER_AGENT": "sworm-cli"}, "cli"),
        ("/admin/registry/sworm/add/", {}, "admin"),
        ("/signout", {}, "page"),
    ],
)
def test_each_door_has_its_name(path: str, headers: dict[str, str], door: str) -> None:
    WhenceMiddleware(lambda request: audit("user:ann", "node.cordon", "n1"))(  # type: ignore[arg-type, return-value]
        RequestFactory().post(path, **headers)
    )
    row = AuditEntry.objects.get()
    assert (row.door, row.sworm) == (door, "")


def test_outside_of_a_request_it_is_the_command_line_or_code() -> None:
    audit("cli", "token.create", "ci")
    audit("code", "sworm.create", "rooms")
    assert list(AuditEntry.objects.order_by("id").values_list("door", flat=True)) == ["cli", "code"]


def test_forwarded_addresses_count_only_as_far_as_our_own_proxies_wrote_them() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 192.0.2.7")
    assert address_of(request) == "10.0.0.1"
    with override_settings(SWORM_PROXIES=1):
        assert address_of(request) == "192.0.2.7"
    with override_settings(SWORM_PROXIES=3):
        assert address_of(request) == "10.0.0.1"
    nonsense = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="'; DROP TABLE")
    with override_settings(SWORM_PROXIES=1):
        assert address_of(nonsense) == "10.0.0.1"


def test_the_list_filters_and_pages(ask: Asking) -> None:
    audit("user:ann", "sworm.create", "rooms", "opening", after={"handoff": True})
    audit("user:bob", "process.handoff", "rooms/lobby", operation="7d3f")
    audit("user:bob", "node.cordon", "rooms")  # a node of that name
    rows = ask.get("/audit").body["items"]
    assert [row["action"] for row in rows] == ["node.cordon", "process.handoff", "sworm.create"]

    def found(query: str) -> list[str]:
        return [row["action"] for row in ask.get(f"/audit?{query}").body["items"]]

    assert found("sworm=rooms") == ["process.handoff", "sworm.create"]
    assert found("actor=user:bob") == ["node.cordon", "process.handoff"]
    assert found("action=node.cordon") == ["node.cordon"]
    assert found("target=rooms/lobby") == ["process.handoff"]
    assert found("operation=7d3f") == ["process.handoff"]
    assert found("q=OPEN") == ["sworm.create"]
    assert found("door=rest") == []
    assert found("until=2000-01-01T00:00:00Z") == []
    assert len(found("from=2000-01-01T00:00:00%2B01:00")) == 3
    first = ask.get("/audit?limit=2").body
    assert [row["action"] for row in ask.get(f"/audit?cursor={first['next_cursor']}").body["items"]] == ["sworm.create"]


@pytest.mark.parametrize("text", ["yesterday", "2000-01-01", "2000-01-01T00:00:00", "0001-01-01T00:00:00%2B23:00"])
def test_a_bad_moment_is_refused(ask: Asking, text: str) -> None:
    answer = ask.get(f"/audit?from={text}")
    assert (answer.status, answer.fields) == (422, ["from"])


def test_a_span_that_ends_before_it_begins_is_refused(ask: Asking) -> None:
    answer = ask.get("/audit?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z")
    assert (answer.status, answer.fields) == (422, ["until"])


def test_what_nobody_knows_the_outcome_of_has_a_row(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*args: object) -> None:
        raise RuntimeError("the wire was cut")

    monkeypatch.setattr("supervisor.definitions.create", lost)
    assert ask.post("/sworms", {"name": "rooms"}).status == 500
    row = AuditEntry.objects.get(action="request.uncertain")
    assert (row.target, row.detail) == ("sworms", {"method": "POST", "answered": 500})
