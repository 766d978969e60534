"""/operations, and the kinds that came first: handoff of one and drain."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from registry.api import answers
from registry.models import Event, Node, Process
from registry.readmodel import ReadModel
from registry.retention import Keeping
from supervisor import operations
from supervisor.models import CANCELLED, FAILED, PENDING, RUNNING, Operation, OperationStep
from tests.asking import Answer, Asking, asking
from tests.supervisor.agents import Agent, add_node, add_process
from tests.supervisor.api.conftest import Driver

HANDOFF = "/sworms/rooms/processes/lobby/handoff"
ACCEPTED = {"ok": True, "result": {}}


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


def test_a_handoff_succeeds_once_the_move_is_shown(ask: Asking, lobby: Process, agent: Agent, driver: Driver) -> None:
    agent.answers["handoff"] = moves_to("n2")
    answer = ask.post(HANDOFF, {"to": "n2", "reason": "balance"})
    assert answer.status == 202
    msgspec.convert(answer.body, answers.Operation)
    assert answer.response.headers["Location"] == f"/api/v1/operations/{answer.body['id']}"
    found = driver.ended(answer.body["id"])
    assert (found["state"], found["progress"], found["problem"]) == ("succeeded", {"done": 1, "total": 1}, None)
    assert (found["target"], found["reason"], found["requested_by"]) == ("rooms/lobby", "balance", "token:test")
    texts = ["requested", "taken up by o.1", "runs on n2 as n2.1.7", "rooms/lobby: runs on n2 as n2.1.7"]
    assert [step["text"] for step in found["steps"]] == texts
    step = msgspec.convert(found["steps"][-1], answers.Step)
    assert (step.from_, step.to, step.state, step.attempts) == ("n1", "n2", "done", 1)
    assert ask.get("/sworms/rooms/processes/lobby").body["node"] == "n2"
    assert [told.kind for told in driver.told] == ["operation_started", "operation_succeeded"]


def test_the_agent_is_asked_for_that_incarnation_under_a_claim(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver
) -> None:
    agent.answers["handoff"] = moves_to("n2")
    answer = ask.post(HANDOFF, {"to": "n2"})
    driver.ended(answer.body["id"])
    (command,) = agent.seen
    assert (command["op"], command["to"], command["pid"]) == ("handoff", "n2", lobby.pid)
    assert command["claim"] == f"{uuid.UUID(answer.body['id']).hex}/0/1"


def test_a_handoff_that_the_agent_refuses_has_failed(ask: Asking, lobby: Process, agent: Agent, driver: Driver) -> None:
    agent.answers["handoff"] = {"ok": False, "problem": "handoff_failed", "detail": "no room"}
    found = driver.ended(ask.post(HANDOFF, {"to": "n2"}).body["id"])
    problem = {"code": "refused", "detail": "handoff_failed: no room", "left_behind": ["rooms/lobby"]}
    assert (found["state"], found["problem"]) == ("failed", problem)
    assert agent.ops() == ["handoff"]


def test_a_handoff_of_a_process_that_ends_has_failed(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.core.operation.VANISHED_AFTER", 0.1)
    answer = ask.post(HANDOFF, {"to": "n2"})
    lobby.delete()
    found = driver.ended(answer.body["id"])
    assert (found["state"], found["problem"]["code"]) == ("failed", "unknown_process")


def test_what_no_observer_takes_up_has_failed(ask: Asking, lobby: Process, agent: Agent, driver: Driver) -> None:
    operation = ask.post(HANDOFF, {"to": "n2"}).body["id"]
    Operation.objects.update(params={**Operation.objects.get().params, "take_up_by": time.time() - 1})
    found = driver.ended(operation)
    assert (found["problem"]["code"], agent.seen) == ("no_answer", [])


def test_nobody_acts_without_the_term(ask: Asking, lobby: Process, agent: Agent, driver: Driver) -> None:
    operation = ask.post(HANDOFF, {"to": "n2"}).body["id"]
    driver.term = driver.term._replace(number=2)
    driver.engine.turn()
    assert ask.get(f"/operations/{operation}").body["state"] == "pending"
    assert agent.seen == []


def test_the_dry_run_shows_the_move_and_changes_nothing(ask: Asking, lobby: Process, agent: Agent) -> None:
    answer = ask.post(HANDOFF, {"to": "n2", "dry_run": True})
    move = {"sworm": "rooms", "name": "lobby", "from": "n1", "to": "n2", "problem": None}
    assert (answer.status, answer.body) == (200, {"moves": [move]})
    assert ask.post(HANDOFF, {"dry_run": True}).body["moves"][0]["to"] == "n2"
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


def said(agent: Agent, kind: str, **what: str) -> None:
    """The draining agent's own word has reached the history."""
    Event.objects.create(revision=1, at=timezone.now(), kind=kind, node="n1", pid=agent.origin, **what)


def test_a_drain_succeeds_once_its_node_left_empty(ask: Asking, lobby: Process, agent: Agent, driver: Driver) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    found = driver.until(operation, lambda found: agent.seen)
    assert (found["state"], found["progress"], found["target"]) == ("running", {"done": 0, "total": 1}, "n1")
    assert ask.post("/nodes/n1/drain").code == "in_progress"
    add_process("rooms", "lobby", node="n2", epoch=7)
    found = driver.until(operation, lambda found: found["progress"] == {"done": 1, "total": 1})
    assert (found["state"], found["steps"][-1]["detail"]) == ("running", "runs on n2 as n2.1.7")
    Node.objects.filter(name="n1").update(status="left")
    driver.engine.turn()
    assert ask.get(f"/operations/{operation}").body["state"] == "running"
    said(agent, "drain_ended")
    assert driver.ended(operation)["state"] == "succeeded"
    assert 4 < agent.seen[-1]["deadline_s"] <= 5


def test_a_drain_that_its_observer_left_half_way_is_watched_by_the_next(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver
) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    Node.objects.filter(name="n1").update(status="draining")
    driver.restart()
    driver.engine.turn()
    add_process("rooms", "lobby", node="n2", epoch=7)
    Node.objects.filter(name="n1").update(status="left")
    said(agent, "drain_ended")
    assert driver.ended(operation)["state"] == "succeeded"
    assert agent.ops() == ["drain"]


def test_a_drain_that_left_something_behind_has_failed_and_names_it(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver
) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    add_process("rooms", "lobby", node="n2", epoch=7)  # restored there, without its state
    driver.until(operation, lambda found: found["progress"] == {"done": 1, "total": 1})
    said(agent, "left_behind", sworm="rooms", name="lobby")
    said(agent, "drain_ended")
    Node.objects.filter(name="n1").update(status="left")
    found = driver.ended(operation)
    assert (found["state"], found["problem"]["code"]) == ("failed", "left_behind")
    assert found["problem"]["left_behind"] == ["rooms/lobby"]
    assert found["steps"][-1]["state"] == "failed"


def test_the_last_node_leaves_everything_behind_at_once(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver
) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    lobby.delete()
    said(agent, "left_behind", sworm="rooms", name="lobby")
    said(agent, "drain_ended")
    Node.objects.filter(name="n1").update(status="left")
    found = driver.ended(operation)
    assert (found["state"], found["problem"]["code"]) == ("failed", "left_behind")
    assert found["problem"]["left_behind"] == ["rooms/lobby"]


def test_an_operation_that_cannot_be_stored_has_failed_and_holds_up_no_other(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    add_process("rooms", "lobby", node="n2", epoch=7)
    store = operations._store_steps
    monkeypatch.setattr(operations, "_store_steps", lambda of, steps: store(of, [*steps] * 2))
    found = driver.ended(operation)
    assert (found["state"], found["problem"]["code"]) == ("failed", "internal")


def test_a_node_that_goes_without_a_word_did_not_hand_over(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.core.emptying.SAY_WITHIN", 0.0)
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    add_process("rooms", "lobby", node="n2", epoch=7)
    add_node("n1", incarnation=99)  # it crashed and is back
    found = driver.ended(operation)
    assert (found["state"], found["problem"]["code"]) == ("failed", "no_answer")


def test_a_running_drain_is_cancelled_by_its_node(ask: Asking, lobby: Process, agent: Agent, driver: Driver) -> None:
    agent.answers.update(drain=ACCEPTED, cancel_drain=ACCEPTED)
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    wished = ask.post(f"/operations/{operation}/cancel").body
    assert wished["cancelling"]
    found = driver.ended(operation)
    assert (found["state"], agent.ops()) == ("cancelled", ["drain", "cancel_drain"])
    assert wished["steps"][-2]["text"] == "token:test wants no more of it"
    assert [step for step in found["steps"] if "no more" in step["text"]] == [wished["steps"][-2]]


def test_a_drain_that_its_node_does_not_give_up_goes_on(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver
) -> None:
    refusal = {"ok": False, "problem": "not_cancellable", "detail": "n1 leaves already"}
    agent.answers.update(drain=ACCEPTED, cancel_drain=refusal)
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    ask.post(f"/operations/{operation}/cancel")
    driver.until(
        operation, lambda found: found["steps"][-2]["text"] == "it goes on: not_cancellable: n1 leaves already"
    )
    assert agent.ops() == ["drain", "cancel_drain"]
    add_process("rooms", "lobby", node="n2", epoch=7)
    Node.objects.filter(name="n1").update(status="left")
    said(agent, "drain_ended")
    assert driver.ended(operation)["state"] == "succeeded"


def test_a_drain_whose_node_dies_lists_what_it_left(ask: Asking, lobby: Process, agent: Agent, driver: Driver) -> None:
    agent.answers["drain"] = ACCEPTED
    operation = drain(ask).body["id"]
    driver.until(operation, lambda found: agent.seen)
    Node.objects.filter(name="n1").update(status="dead")
    found = driver.ended(operation)
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


def test_the_processes_of_an_operation_are_a_list_of_their_own(ask: Asking, rooms: str) -> None:
    row = Operation.objects.create(kind="migrate", sworm="rooms", requested_by="me")
    for number in range(5):
        state = "failed" if number % 2 else "done"
        OperationStep.objects.create(operation=row, number=number, sworm="rooms", name=f"r{number}", state=state)
    path = f"/operations/{row.pk}/steps"
    first = ask.get(f"{path}?limit=3").body
    second = ask.get(f"{path}?limit=3&cursor={first['next_cursor']}").body
    assert [item["number"] for item in first["items"] + second["items"]] == [0, 1, 2, 3, 4]
    msgspec.convert(first["items"][0], answers.Step)
    assert [item["name"] for item in ask.get(f"{path}?state=failed").body["items"]] == ["r1", "r3"]
    assert ask.get(f"{path}?state=odd").fields == ["state"]
    assert ask.get(f"/operations/{uuid.uuid4()}/steps").code == "unknown_operation"


@pytest.mark.django_db
def test_cancelling() -> None:
    ask = asking()
    soon = {"deadline": time.time() + 60}
    waiting = Operation.objects.create(kind="handoff", sworm="r", state=PENDING, requested_by="me", params=soon)
    running = Operation.objects.create(kind="drain", node="n1", state=RUNNING, requested_by="me", params=soon)
    restart = Operation.objects.create(kind="restart", sworm="r", state=RUNNING, requested_by="me")
    assert ask.post(f"/operations/{waiting.pk}/cancel").body["state"] == "cancelled"
    assert ask.post(f"/operations/{waiting.pk}/cancel").code == "ended"
    assert ask.post(f"/operations/{running.pk}/cancel").body["cancelling"]
    wished = ask.post(f"/operations/{restart.pk}/cancel").body
    assert (wished["state"], wished["cancelling"]) == ("running", True)
    assert ask.post(f"/operations/{restart.pk}/cancel").status == 200
    assert ask.post(f"/operations/{uuid.uuid4()}/cancel").code == "unknown_operation"
    assert ask.get("/operations/nonsense").code == "unknown_operation"
    assert asking("read").post(f"/operations/{running.pk}/cancel").code == "forbidden"
    assert asking("process:handoff").post(f"/operations/{restart.pk}/cancel").code == "forbidden"


def test_a_defect_in_one_operation_does_not_hold_up_the_others(
    ask: Asking, lobby: Process, agent: Agent, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    odd = Operation.objects.create(kind="migrate", sworm="rooms", state=RUNNING, requested_by="me")  # without rules
    agent.answers["handoff"] = moves_to("n2")
    assert driver.ended(ask.post(HANDOFF, {"to": "n2"}).body["id"])["state"] == "succeeded"
    found = ask.get(f"/operations/{odd.pk}").body
    assert (found["state"], found["problem"]["code"]) == ("failed", "internal")
    assert "Traceback" in caplog.text


def test_old_operations_go_with_their_steps_and_open_ones_stay(db: None) -> None:
    long_ago = timezone.now() - timedelta(days=100)
    for state, ended in (("succeeded", long_ago), ("failed", timezone.now()), ("running", None)):
        row = Operation.objects.create(kind="migrate", state=state, ended_at=ended, requested_by="somebody")
        OperationStep.objects.bulk_create(
            OperationStep(operation=row, number=number, sworm="rooms", name=str(number)) for number in range(3)
        )
    model = ReadModel("observer.1")
    assert model.take_term(model.read_term())
    keeping = Keeping(more=operations.sweeps(90))
    assert model.prune(keeping, 2)["operation steps"] == 2
    assert Operation.objects.count() == 3  # its steps first
    model.prune(keeping, 2)
    model.prune(keeping, 2)
    assert sorted(Operation.objects.values_list("state", flat=True)) == ["failed", "running"]
    assert OperationStep.objects.count() == 6
