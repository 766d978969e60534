"""/nodes: reading, cordoning, draining, forgetting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from registry.api import answers
from registry.models import AuditEntry, Node, Sworm
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


def test_only_what_is_over_can_be_forgotten(ask: Asking, agent: Agent) -> None:
    agent.answers["forget"] = lambda command: {"ok": True, "result": {}}
    add_node("n2", status="dead")
    add_node("n3", status="left")
    assert ask.delete("/nodes/n1").code == "not_ended"
    assert ask.delete("/nodes/n2").status == ask.delete("/nodes/n3").status == 204
    assert ask.delete("/nodes/n2").code == "unknown_node"
    assert [command["node"] for command in agent.seen if command["op"] == "forget"] == ["n2"]
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
    (move,) = ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]
    assert (move["sworm"], move["name"], move["from"], move["to"]) == ("rooms", "lobby", "n1", None)
    assert move["problem"] == "no other node that is up and takes processes hosts rooms"
    add_node("n2")
    add_node("n3", cordoned=True)
    (move,) = ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]
    assert (move["to"], move["problem"]) == ("n2", None)
    assert agent.seen == []


def test_a_preview_names_where_each_goes_and_why_one_cannot(
    ask: Asking, start_agent: Callable[..., Agent], agent: Agent, rooms: str
) -> None:
    for number in range(6):
        add_process("rooms", f"r{number}", pid=f"{agent.origin}.{number + 1}")
    add_node("n2", processes=0)
    add_node("n3", processes=0)
    add_node("n4", sworms=["chat"])
    Sworm.objects.filter(name="rooms").update(distribution_strategy="least_loaded", handoff=False)
    moves = ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]
    assert Counter(move["to"] for move in moves) == {"n2": 3, "n3": 3}
    assert {move["why"] for move in moves} == {"it starts afresh there: rooms does not hand off"}
    Sworm.objects.filter(name="rooms").update(distribution_strategy="uniform_random", handoff=True)
    agents = [agent, start_agent("n2"), start_agent("n3")]
    for one in agents:
        one.answers["foresee"] = lambda command: {"ok": True, "result": ["n3" for _ in command["names"]]}
    assert {move["to"] for move in ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]} == {"n3"}
    for one in agents:
        one.answers["foresee"] = {"ok": False, "problem": "unknown_op", "detail": "no command 'foresee' is known"}
    (told,) = {(move["to"], move["why"]) for move in ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]}
    assert told == (None, "uniform_random chooses its node; it could not be asked")
    Sworm.objects.filter(name="rooms").update(distribution_strategy="uniform", constraints={"zone": "a"})
    moves = ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]
    assert {move["to"] for move in moves} == {None}
    assert all("meets zone" in move["problem"] for move in moves)
    Node.objects.filter(name="n3").update(labels={"zone": "a"})
    moves = ask.post("/nodes/n1/drain", {"dry_run": True}).body["moves"]
    assert {(move["to"], move["problem"]) for move in moves} == {("n3", None)}


@pytest.mark.django_db
def test_rights() -> None:
    observer_writes()
    add_node("n1", status="dead")
    assert asking("read").post("/nodes/n1/drain").code == "forbidden"
    assert asking("read").delete("/nodes/n1").code == "forbidden"
    assert asking(sworms=("rooms",)).delete("/nodes/n1").code == "forbidden"
