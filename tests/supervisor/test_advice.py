"""What a change of a definition means, said before it is made; and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from registry.auth import owner
from registry.models import AuditEntry, Node, Sworm, SwormRevision
from supervisor import definitions, django_backend
from supervisor.advice import DANGER, EFFECTS, advise
from supervisor.core.spec import Definition
from tests.asking import Asking, asking
from tests.supervisor.agents import add_node, add_process

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask() -> Asking:
    return asking()


@dataclass
class Change:
    """A definition before and after."""

    before: dict[str, Any]
    after: dict[str, Any]

    def dangers(self) -> list[str]:
        found = advise(Sworm(name="rooms", **self.before), Sworm(name="rooms", **self.after))
        return [advice.field for advice in found if advice.level == DANGER]


def test_each_field_says_when_it_counts() -> None:
    assert EFFECTS.keys() == {*definitions.WRITABLE}


def test_what_contradicts_itself_is_dangerous() -> None:
    assert Change({}, {"restart": "permanent", "max_restarts": 0}).dangers() == ["max_restarts"]
    assert Change({}, {"handoff": True, "handoff_timeout_ms": 50}).dangers() == ["handoff_timeout_ms"]
    assert Change({}, {"sync_interval_ms": 20_000}).dangers() == ["sync_interval_ms"]
    assert Change({}, {"handoff": True}).dangers() == []


def test_what_no_node_has_is_dangerous_and_so_is_what_one_has() -> None:
    add_node("n1")
    add_node("n2")
    zone = Change({}, {"constraints": {"zone": "a"}})
    assert zone.dangers() == ["constraints"]
    Node.objects.filter(name="n1").update(labels={"zone": "a"})
    assert zone.dangers() == ["constraints"]
    Node.objects.update(labels={"zone": "a"})
    assert zone.dangers() == []


def test_what_runs_is_counted() -> None:
    add_process("rooms", "lobby")
    add_process("rooms", "hall")
    lost = advise(Sworm(name="rooms", handoff=True), Sworm(name="rooms"))
    assert lost[0].text == "2 processes lose their state when they move from now on"
    found = advise(Sworm(name="rooms"), Sworm(name="rooms", allowed_modules=["games"]))
    assert found[0].level == DANGER
    assert "could not be started any more" in found[0].text
    assert "2 processes run" in [advice.text for advice in found]
    isolated = advise(Sworm(name="rooms"), Sworm(name="rooms", isolation="process"))
    assert any("2 processes go on as they are" in advice.text for advice in isolated)


def test_who_follows_and_who_is_gone_is_said() -> None:
    add_process("rooms", "lobby")
    assert Change({}, {"restart": "temporary"}).dangers() == ["restart"]
    stays = advise(Sworm(name="rooms"), Sworm(name="rooms", distribution_strategy="least_loaded"))
    assert [(advice.field, "go on as they are" in advice.text) for advice in stays] == [
        ("", False), ("distribution_strategy", True),
    ]  # fmt: skip
    follows = advise(
        Sworm(name="rooms", redistribution="active"),
        Sworm(name="rooms", redistribution="active", distribution_strategy="least_loaded"),
    )
    assert [(advice.field, "move within seconds" in advice.text) for advice in follows] == [
        ("", False), ("redistribution", True),
    ]  # fmt: skip


def change(ask: Asking, revision: int, **fields: Any) -> Any:
    answer = ask.patch("/sworms/rooms", fields, If_Match=f'"{revision}"')
    assert answer.status == 200, answer.body
    return answer.body


def test_revisions_say_what_changed_and_can_be_gone_back_to(ask: Asking) -> None:
    ask.post("/sworms", {"name": "rooms", "reason": "opening"})
    change(ask, 1, handoff=True, reason="keep state")
    change(ask, 2, max_restarts=9)
    rows = ask.get("/sworms/rooms/revisions").body["items"]
    assert [(row["revision"], row["reason"]) for row in rows] == [(3, ""), (2, "keep state"), (1, "opening")]
    assert rows[1]["changed"] == {"handoff": {"before": False, "after": True}}
    first = ask.get("/sworms/rooms/revisions?limit=1").body
    assert first["items"][0]["changed"] == {"max_restarts": {"before": 3, "after": 9}}
    back = ask.post("/sworms/rooms/revert", {"revision": 1}, If_Match='"3"')
    assert (back.status, back.body["revision"], back.body["handoff"], back.body["max_restarts"]) == (200, 4, False, 3)
    row = AuditEntry.objects.filter(action="sworm.change").latest("id")
    assert (row.reason, row.before) == ("back to revision 1", {"handoff": True, "max_restarts": 9})
    assert SwormRevision.objects.count() == 4


def test_going_back_asks_for_the_revision_that_stands(ask: Asking) -> None:
    ask.post("/sworms", {"name": "rooms"})
    change(ask, 1, handoff=True)
    assert ask.post("/sworms/rooms/revert", {"revision": 1}).status == 428
    assert ask.post("/sworms/rooms/revert", {"revision": 1}, If_Match='"1"').status == 412
    assert ask.post("/sworms/rooms/revert", {"revision": 7}, If_Match='"2"').code == "unknown_revision"
    assert ask.post("/sworms/rooms/revert", {"revision": 0}, If_Match='"2"').fields == ["revision"]
    assert ask.get("/sworms/nothing/revisions").code == "unknown_sworm"


def test_a_deletion_is_a_revision_too_but_none_to_go_back_to(ask: Asking) -> None:
    ask.post("/sworms", {"name": "rooms"})
    ask.delete("/sworms/rooms", If_Match='"1"')
    ask.post("/sworms", {"name": "rooms"})
    assert [row["deleted"] for row in ask.get("/sworms/rooms/revisions").body["items"]] == [False, True, False]
    assert ask.post("/sworms/rooms/revert", {"revision": 2}, If_Match='"3"').code == "unknown_revision"


def test_a_change_over_rest_comes_with_its_advice(ask: Asking) -> None:
    add_process("rooms", "lobby")
    ask.post("/sworms", {"name": "rooms", "handoff": True})
    told = change(ask, 1, handoff=False)["advice"]
    assert told[0] == {"field": "handoff", "level": "danger",
                       "text": "1 processes lose their state when they move from now on"}  # fmt: skip
    assert "advice" not in ask.get("/sworms/rooms").body


def test_the_row_wins_over_the_class_and_the_drift_is_shown(ask: Asking) -> None:
    django_backend._proposed.clear()
    code = Definition("rooms", handoff=True, allowed_modules=("chat",))
    assert django_backend.row_of(code).handoff
    assert ask.get("/sworms/rooms").body["drift"] == {}
    change(ask, 1, handoff=False)
    assert not django_backend.row_of(code).handoff
    assert ask.get("/sworms/rooms").body["drift"] == {"handoff": {"code": True, "row": False}}
    change(ask, 2, handoff=True)
    assert ask.get("/sworms/rooms").body["drift"] == {}


# ------------------------------------------------------------------------------------------------------- in the admin


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(owner(), "django.contrib.auth.backends.ModelBackend")
    return client


FORM: dict[str, Any] = {
    "restart": "transient", "max_restarts": 3, "max_seconds": 5, "handoff_timeout_ms": 5000,
    "distribution_strategy": "uniform", "redistribution": "passive", "sync_interval_ms": 300, "max_sync_size": 5000,
    "allowed_modules": "", "isolation": "task", "checkpoint_interval_ms": 0, "checkpoint_copies": 0,
}  # fmt: skip
HERE = "/admin/registry/sworm/rooms"


def test_the_admin_asks_before_it_writes_what_is_dangerous(admin: Client, ask: Asking) -> None:
    add_process("rooms", "lobby")
    ask.post("/sworms", {"name": "rooms", "handoff": True})
    answer = admin.post(f"{HERE}/change/", {**FORM, "expected": 1})
    assert answer.status_code == 200
    assert "lose their state when they move from now on" in answer.content.decode()
    assert Sworm.objects.get().handoff
    answer = admin.post(f"{HERE}/change/", {**FORM, "expected": 1, "confirm": "on"}, follow=True)
    assert not Sworm.objects.get().handoff
    assert "1 processes run" in answer.content.decode()


def test_the_admin_shows_revisions_drift_and_what_each_node_runs(admin: Client, ask: Asking) -> None:
    add_node("n1")
    Node.objects.update(definitions={"rooms": 1})
    ask.post("/sworms", {"name": "rooms"})
    change(ask, 1, max_restarts=9)
    assert "n1: 1 (behind)" in admin.get(f"{HERE}/change/").content.decode()
    assert "n1" in admin.get("/admin/registry/sworm/").content.decode()
    shown = admin.get(f"{HERE}/history/").content.decode()
    assert "<b>max_restarts</b>: <del>3</del> <ins>9</ins>" in shown
    answer = admin.post(f"{HERE}/history/", {"revision": 1, "expected": 2}, follow=True)
    assert "It is as at revision 1 again, as revision 3." in answer.content.decode()
    assert Sworm.objects.get().max_restarts == 3
    late = admin.post(f"{HERE}/history/", {"revision": 1, "expected": 2}, follow=True)
    assert "is at revision 3, not 2" in late.content.decode()
    assert admin.post(f"{HERE}/history/", {"revision": "x"}, follow=True).status_code == 200
