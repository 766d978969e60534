"""/nodes: reading, cordoning, draining, forgetting."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from registry.api import answers
from registry.models import AuditEntry, Node
from tests.asking import Asking, asking
from tests.supervisor.agents import Agent, add_node, add_process, observer_writes


def test_the_list_and_one_of_it(ask: Asking) -> None:
    add_node("n1", labels={"zone": "a"}, definitions={"rooms": 2})
    add_node("n2", status="dead")
    found = ask.get("/nodes").body["items"]
    assert [item["name"] for item in found] == ["n1", "n2"]
    assert ask.get("/nodes/n1").body == found[0]
    assert [item["name"] for item in ask.get("/nodes?status=dead").body["items"]] == ["n2"]
    assert ask.get("/nodes?status=tired").fields == ["status"]
    assert ask.get("/nodes/n3").code == "unknown_node"
    assert ask.get("/nodes/N%003").code == "unknown_node"
    msgspec.convert(found, list[answers.Node])


def test_only_what_is_over_can_be_forgotten(ask: Asking) -> None:
    add_node("n1")
    add_node("n2", status="dead")
    assert ask.delete("/nodes/n1").code == "not_ended"
    assert ask.delete("/nodes/n2").status == 204
    assert ask.delete("/nodes/n2").code == "unknown_node"
    assert [item["name"] for item in ask.get("/nodes").body["items"]] == ["n1"]


@pytest.mark.parametrize(("verb", "cordoned"), [("cordon", True), ("uncordon", False)])
def test_cordoning(ask: Asking, agent: Agent, verb: str, cordoned: bool) -> None:
    def obey(command: dict[str, Any]) -> dict[str, Any]:
        Node.objects.filter(name="n1").update(cordoned=cordoned)
        return {"ok": True, "result": {}}

    agent.answers[verb] = obey
    answer = ask.post(f"/nodes/n1/{verb}", {"reason": "repair"})
    assert (answer.status, answer.body["cordoned"]) == (200, cordoned)
    assert ask.get("/nodes/n1").body["cordoned"] is cordoned
    assert AuditEntry.objects.get(action=f"node.{verb}").reason == "repair"


def test_a_node_that_is_not_there_cannot_obey(ask: Asking) -> None:
    add_node("n1", status="dead")
    for verb in ("cordon", "uncordon", "drain"):
        assert ask.post(f"/nodes/n1/{verb}").code == "no_node"
        assert ask.post(f"/nodes/n2/{verb}").code == "unknown_node"


def test_a_drain_shown_beforehand_changes_nothing(ask: Asking, agent: Agent) -> None:
    add_process("rooms", "lobby", pid=f"{agent.origin}.1")
    moves = ask.post("/nodes/n1/drain", {"dry_run": True})
    assert moves.body["moves"] == [
        {"sworm": "rooms", "name": "lobby", "from": "n1", "to": None, "problem": "no other node could take it"}
    ]
    add_node("n2")
    assert ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"][0]["problem"] is None
    assert agent.seen == []


@pytest.mark.django_db
def test_rights() -> None:
    observer_writes()
    add_node("n1", status="dead")
    assert asking("read").post("/nodes/n1/drain").code == "forbidden"
    assert asking("read").delete("/nodes/n1").code == "forbidden"
    assert asking(sworms=("rooms",)).delete("/nodes/n1").code == "forbidden"
