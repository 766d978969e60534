"""The admin: definitions the one way, tokens shown once, observed rows only to look at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from registry.auth import owner, principal_of_token
from registry.models import ApiToken, AuditEntry, Process, Sworm
from tests.supervisor.agents import add_node, add_process

pytestmark = pytest.mark.django_db

FORM: dict[str, Any] = {
    "name": "rooms", "restart": "transient", "max_restarts": 3, "max_seconds": 5, "handoff_timeout_ms": 5000,
    "distribution_strategy": "uniform", "redistribution": "passive", "sync_interval_ms": 300, "max_sync_size": 5000,
    "allowed_modules": "", "isolation": "task", "checkpoint_interval_ms": 0, "checkpoint_copies": 0,
    "reason": "opening",
}  # fmt: skip


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(owner())
    return client


def page(answer: Any) -> str:
    return answer.content.decode()  # type: ignore[no-any-return]


def test_a_definition_is_written_the_one_way(admin: Client) -> None:
    add = {**FORM, "allowed_modules": "chat\ngames.chess\n", "handoff": "on"}
    assert admin.post("/admin/registry/sworm/add/", add).status_code == 302
    row = Sworm.objects.get()
    assert (row.revision, row.handoff, row.allowed_modules) == (1, True, ["chat", "games.chess"])
    entry = AuditEntry.objects.exclude(action="session.begin").get()
    assert (entry.actor, entry.action, entry.reason) == ("user:admin", "sworm.create", "opening")
    change = {**FORM, "max_restarts": 9, "expected": 1}
    assert admin.post("/admin/registry/sworm/rooms/change/", change).status_code == 302
    row.refresh_from_db()
    assert (row.revision, row.max_restarts, row.handoff) == (2, 9, False)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "Rooms", "must match"),
        ("max_seconds", 0, "is not a number from"),
        ("sync_interval_ms", 1, "is not a number from"),
        ("allowed_modules", "a-b", "is not the name of a module"),
        ("distribution_strategy", "sideways", "nor module:function"),
        ("constraints", '{"zone": 1}', "zone: 1 must be"),
        ("constraints", "[]", "must be an object of labels"),
        ("constraints", "{zone", "Enter a valid JSON"),
        ("restart", "always", "not one of the available choices"),
    ],
)
def test_what_no_node_could_obey_is_explained(admin: Client, field: str, value: Any, sentence: str) -> None:
    answer = admin.post("/admin/registry/sworm/add/", {**FORM, field: value})
    assert answer.status_code == 200
    assert sentence in page(answer)
    assert not Sworm.objects.exists()


def test_constraints_are_written_as_json(admin: Client) -> None:
    constraints = {"zone": ["a", "b"], "gpu": True}
    add = {**FORM, "constraints": json.dumps(constraints), "distribution_strategy": "least_loaded", "confirm": "on"}
    assert admin.post("/admin/registry/sworm/add/", add).status_code == 302
    row = Sworm.objects.get()
    assert (row.constraints, row.distribution_strategy) == (constraints, "least_loaded")
    admin.post("/admin/registry/sworm/rooms/change/", {**FORM, "expected": 1})
    row.refresh_from_db()
    assert row.constraints == {}


def test_an_old_revision_is_not_written_over_a_newer_one(admin: Client) -> None:
    admin.post("/admin/registry/sworm/add/", FORM)
    admin.post("/admin/registry/sworm/rooms/change/", {**FORM, "max_restarts": 9, "expected": 1})
    answer = admin.post("/admin/registry/sworm/rooms/change/", {**FORM, "max_restarts": 7, "expected": 1}, follow=True)
    assert "is at revision 2, not 1" in page(answer)
    assert Sworm.objects.get().max_restarts == 9


def test_deleting_and_making_again(admin: Client) -> None:
    admin.post("/admin/registry/sworm/add/", FORM)
    process = add_process("rooms", "lobby")
    delete = "/admin/registry/sworm/rooms/delete/"
    assert "1 processes run; stop them first" in page(admin.get(delete))
    process.delete()
    assert admin.post(delete, {"post": "yes"}).status_code == 302
    assert Sworm.objects.get().deleted
    assert "deleted successfully" in page(admin.get("/admin/registry/sworm/"))
    assert "rooms" not in page(admin.get("/admin/registry/sworm/")).partition("<main")[2]
    admin.post("/admin/registry/sworm/add/", FORM)
    assert (Sworm.objects.get().revision, Sworm.objects.get().deleted) == (3, False)


def test_a_taken_name_is_said_to_be(admin: Client) -> None:
    admin.post("/admin/registry/sworm/add/", FORM)
    assert "a definition named rooms exists" in page(admin.post("/admin/registry/sworm/add/", FORM))


def test_a_token_is_shown_once(admin: Client) -> None:
    add = {"name": "ci", "scopes": ["read"], "sworms": "rooms"}
    answer = page(admin.post("/admin/registry/apitoken/add/", add, follow=True))
    text = "swm_" + answer.partition("swm_")[2].partition("<")[0].strip()
    principal = principal_of_token(text)
    assert (principal.scopes, principal.sworms) == ({"read"}, {"rooms"})
    assert text not in page(admin.get("/admin/registry/apitoken/"))
    action = {"action": "revoke", "_selected_action": [str(ApiToken.objects.get().pk)]}
    admin.post("/admin/registry/apitoken/", action)
    assert ApiToken.objects.get().revoked_at is not None


@pytest.mark.parametrize(
    "model",
    ["node", "process", "membership", "event", "replicasnapshot", "observerterm", "auditentry"],
)
def test_observed_rows_are_to_look_at(admin: Client, model: str) -> None:
    assert admin.get(f"/admin/registry/{model}/").status_code == 200
    assert admin.get(f"/admin/registry/{model}/add/").status_code == 403


def test_a_row_is_shown_but_not_changed(admin: Client) -> None:
    add_node("n1")
    process = add_process("rooms", "lobby")
    where = f"/admin/registry/process/{process.pk}/change/"
    assert "lobby" in page(admin.get(where))
    assert admin.post(where, {"name": "hall"}).status_code == 403
    assert Process.objects.get().name == "lobby"
    assert admin.get("/admin/supervisor/operation/").status_code == 200


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_only_look_sees_a_definition_and_its_history(role: str, admin: Client) -> None:
    admin.post("/admin/registry/sworm/add/", FORM)
    somebody = User.objects.create_user("somebody")
    somebody.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(somebody)
    shown = client.get("/admin/registry/sworm/rooms/change/")
    assert shown.status_code == 200
    assert "transient" in page(shown)
    assert "_save" not in page(shown)
    assert client.post("/admin/registry/sworm/rooms/change/", {**FORM, "max_restarts": 9}).status_code == 403
    assert client.get("/admin/registry/sworm/rooms/history/").status_code == 200
    assert Sworm.objects.get().max_restarts == 3


def test_rights_are_scopes() -> None:
    user = User.objects.create_user("ann", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(user)
    assert client.get("/admin/registry/sworm/").status_code == 200
    assert client.get("/admin/registry/sworm/add/").status_code == 403
    assert client.get("/admin/registry/apitoken/").status_code == 403
