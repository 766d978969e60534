"""/operations, and the two kinds that exist: handoff and drain."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec
import pytest

from registry.api import answers
from registry.models import Event, Node, Process
from supervisor.models import CANCELLED, FAILED, PENDING, RUNNING, Operation
from tests.asking import Answer, Asking, asking
from tests.supervisor.agents import Agent, add_node, add_process, next_revision, now

HANDOFF = "/sworms/rooms/processes/lobby/handoff"
ACCEPTED = {"ok": True, "result": {}}


def ended(ask: Asking, operation: str) -> dict[str, Any]:
    """The operation once it has ended."""
    return settled(ask, operation, {"succeeded", "failed", "cancelled"})


def settled(ask: Asking, operation: str, states: set[str]) -> dict[str, Any]:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found: dict[str, Any] = ask.get(f"/operations/{operation}").body
        if found["state"] in states:
            return found
        time.sleep(0.01)
    raise AssertionError(f"still {found}")


@pytest.fixture
def lobby(rooms: str, agent: Agent) -> Process:
    """A process on n1, beside an n2 that is alive."""
    add_node("n2")
    return add_process("rooms", "lobby", pid=f"{agent.origin}.1")


def moves_to(node: str, **row: Any) -> Any:
    """An agent's answer to a handoff: the row shows the move."""

    def obey(command: dict[str, Any]) -> dict[str, Any]:
        add_process(command["sworm"], command["name"], node=node, epoch=7, **row)
        return ACCEPTED

    return obey


def test_a_handoff_succeeds_once_the_move_is_shown(ask: Asking, lobby: Process, agent: Agent) -> None:
    agent.answers["handoff"] = moves_to("n2")
    answer = ask.post(HANDOFF, {"to": "n2", "reason": "balance"})
    assert answer.status == 202
    msgspec.convert(answer.body, answers.Operation)
    assert answer.response.headers["Location"] == f"/api/v1/operations/{answer.body['id']}"
    found = ended(ask, answer.body["id"])
    assert (found["state"], found["progress"], found["problem"]) == ("succeeded", {"done": 1, "total": 1}, None)
    assert (found["target"], found["reason"], found["requested_by"]) == ("rooms/lobby", "balance", "token:test")
    assert [step["text"] for step in found["steps"]] == ["requested", "sent to the agent", "runs on n2 as n2.1.7"]
    assert found["ended_at"] is not None
    assert ask.get("/sworms/rooms/processes/lobby").body["node"] == "n2"


def test_the_agent_is_asked_with_the_operations_id(ask: Asking, lobby: Process, agent: Agent) -> None:
    agent.answers["handoff"] = moves_to("n2")
    answer = ask.post(HANDOFF, {"to": "n2"})
    ended(ask, answer.body["id"])
    command = agent.seen[-1]
    assert (command["op"], command["to"], command["claim"]) == ("handoff", "n2", uuid.UUID(answer.body["id"]).hex)


def test_a_handoff_that_the_agent_refuses_has_failed(ask: Asking, lobby: Process, agent: Agent) -> None:
    agent.answers["handoff"] = {"ok": False, "problem": "no_node", "detail": "n2 takes no processes"}
    found = ended(ask, ask.post(HANDOFF, {"to": "n2"}).body["id"])
    assert (found["state"], found["problem"]) == ("failed", {"code": "no_node", "detail": "n2 takes no processes"})


def test_a_handoff_that_goes_elsewhere_has_failed(ask: Asking, lobby: Process, agent: Agent) -> None:
    agent.answers["handoff"] = moves_to("n3")
    found = ended(ask, ask.post(HANDOFF, {"to": "n2"}).body["id"])
    assert found["state"] == "failed"
    assert "n3" in found["problem"]["detail"]


def test_a_handoff_whose_failure_is_reported_has_failed(ask: Asking, lobby: Process, agent: Agent) -> None:
    def report(command: dict[str, Any]) -> dict[str, Any]:
        Event.objects.create(
            revision=next_revision(), at=now(), kind="handoff_failed", sworm="rooms", name="lobby", detail="no room"
        )
        return ACCEPTED

    agent.answers["handoff"] = report
    found = ended(ask, ask.post(HANDOFF, {"to": "n2"}).body["id"])
    assert found["problem"] == {"code": "refused", "detail": "no room"}


def test_a_handoff_without_an_end_fails_at_its_deadline(ask: Asking, lobby: Process, agent: Agent) -> None:
    agent.answers["handoff"] = ACCEPTED
    answer = ask.post(HANDOFF, {"to": "n2"})
    settled(ask, answer.body["id"], {"running"})
    Operation.objects.update(params={**Operation.objects.get().params, "deadline": time.time() - 1})
    assert ask.get("/operations").body["items"][0]["problem"]["code"] == "no_answer"


def test_the_dry_run_shows_the_move_and_changes_nothing(ask: Asking, lobby: Process, agent: Agent) -> None:
    answer = ask.post(HANDOFF, {"to": "n2", "dry_run": True})
    move = {"sworm": "rooms", "name": "lobby", "from": "n1", "to": "n2", "problem": None}
    assert (answer.status, answer.body) == (200, {"moves": [move]})
    assert ask.post(HANDOFF, {"dry_run": True}).body["moves"][0]["to"] is None
    assert not Operation.objects.exists()
    assert agent.seen == []


@pytest.mark.parametrize(
    ("to", "row", "why"),
    [
        ("n1", {}, "runs on n1 already"),
        ("n9", None, "no node is named"),
        ("", None, "no node is named"),
        ("n3", {"cordoned": True}, "n3 is cordoned"),
        ("n3", {"status": "draining"}, "n3 is draining"),
        ("n3", {"sworms": ["games"]}, "n3 does not host rooms"),
    ],
)
def test_a_handoff_that_cannot_be(
    ask: Asking, lobby: Process, agent: Agent, to: str, row: dict[str, Any] | None, why: str
) -> None:
    if row:
        add_node(to, **row)
    answer = ask.post(HANDOFF, {"to": to})
    assert (answer.status, answer.fields) == (422, ["to"])
    assert why in answer.body["detail"]
    assert why in ask.post(HANDOFF, {"to": to, "dry_run": True}).body["moves"][0]["problem"]


def test_a_handoff_of_nothing(ask: Asking, rooms: str) -> None:
    assert ask.post(HANDOFF, {}).code == "unknown_process"


def drain(ask: Asking) -> Answer:
    answer = ask.post("/nodes/n1/drain", {"deadline_s": 5})
    assert answer.status == 202
    return answer


def test_a_drain_succeeds_once_its_node_left_empty(ask: Asking, lobby: Process, agent: Agent) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    found = settled(ask, operation, {"running"})
    assert (found["progress"], found["target"]) == ({"done": 0, "total": 1}, "n1")
    assert ask.post("/nodes/n1/drain").code == "in_progress"
    add_process("rooms", "lobby", node="n2", epoch=7)
    assert ask.get(f"/operations/{operation}").body["progress"] == {"done": 1, "total": 1}
    Node.objects.filter(name="n1").update(status="left")
    assert ask.get(f"/operations/{operation}").body["state"] == "succeeded"
    assert agent.seen[-1]["deadline_s"] == 5


def test_a_drain_whose_node_dies_lists_what_it_left(ask: Asking, lobby: Process, agent: Agent) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    Node.objects.filter(name="n1").update(status="dead")
    found = ended(ask, operation)
    assert (found["state"], found["problem"]["left_behind"]) == ("failed", ["rooms/lobby"])


def test_the_list_filters_and_pages(ask: Asking, rooms: str) -> None:
    for number in range(5):
        state = FAILED if number % 2 else CANCELLED
        Operation.objects.create(kind="handoff", sworm="rooms", name=f"r{number}", state=state, requested_by="me")
    first = ask.get("/operations?limit=3").body
    second = ask.get(f"/operations?limit=3&cursor={first['next_cursor']}").body
    targets = [item["target"] for item in first["items"] + second["items"]]
    assert targets == [f"rooms/r{number}" for number in (4, 3, 2, 1, 0)]
    assert len(ask.get("/operations?state=failed").body["items"]) == 2
    assert ask.get("/operations?kind=drain").body["items"] == []
    assert ask.get("/operations?state=odd").fields == ["state"]
    assert ask.get("/operations?cursor=x").fields == ["cursor"]


@pytest.mark.django_db
def test_cancelling() -> None:
    ask = asking()
    soon = {"deadline": time.time() + 60}
    waiting = Operation.objects.create(kind="handoff", sworm="r", state=PENDING, requested_by="me", params=soon)
    running = Operation.objects.create(kind="drain", node="n1", state=RUNNING, requested_by="me", params=soon)
    assert ask.post(f"/operations/{waiting.pk}/cancel").body["state"] == "cancelled"
    assert ask.post(f"/operations/{waiting.pk}/cancel").code == "ended"
    assert ask.post(f"/operations/{running.pk}/cancel").code == "not_cancellable"
    assert ask.post(f"/operations/{uuid.uuid4()}/cancel").code == "unknown_operation"
    assert ask.get("/operations/nonsense").code == "unknown_operation"
    assert asking("read").post(f"/operations/{running.pk}/cancel").code == "forbidden"
