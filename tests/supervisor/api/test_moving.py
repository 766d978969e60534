"""Migrate and rolling restart over REST, carried out by an engine against scripted agents."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from django.db import connection

from registry.api import answers
from registry.models import AuditEntry, Node, Process, Sworm
from supervisor import definitions
from supervisor.models import Operation
from tests.asking import Asking, asking
from tests.supervisor.agents import Agent, add_node, add_process
from tests.supervisor.api.conftest import OPERATOR, Driver

MIGRATE, RESTART = "/sworms/rooms/migrate", "/sworms/rooms/restart"
NAMES = [f"r{number}" for number in range(6)]
ACCEPTED = {"ok": True, "result": {}}
SILENT = {"ok": False, "problem": "no_answer", "detail": "silence"}


def move(command: dict[str, Any]) -> dict[str, Any]:
    """What an agent does to a process, as the observer shows it; again for the same pid: nothing."""
    row = Process.objects.get(sworm=command["sworm"], name=command["name"])
    if row.pid != command["pid"]:
        return {"ok": False, "problem": "not_registered", "detail": f"it runs as {row.pid}"}
    node = row.node if command["op"] == "restart" else command["to"] or "n3"
    add_process(row.sworm, row.name, node=node, epoch=row.epoch + 1)
    return ACCEPTED


@pytest.fixture
def rows(rooms: str, agent: Agent) -> list[str]:
    """Six processes on n1, beside two nodes that are alive."""
    add_node("n2")
    add_node("n3")
    for name in NAMES:
        add_process("rooms", name, pid=f"{agent.origin}.{name[1:]}")
    agent.answers.update(handoff=move, restart=move)
    return NAMES


def add_alias() -> None:
    """A further name of r0, as the observer shows it: what runs under the own name runs under this one."""
    add_process("rooms", "alias", pid=Process.objects.get(name="r0").pid, of="r0")


def places() -> Counter[str]:
    return Counter(Process.objects.values_list("node", flat=True))


def test_a_node_is_migrated_to_another(ask: Asking, rows: list[str], agent: Agent, driver: Driver) -> None:
    answer = ask.post(MIGRATE, {"from": "n1", "to": "n2", "reason": "new disk"})
    assert answer.status == 202
    told = msgspec.convert(answer.body, answers.Operation)
    assert (told.kind, told.target, told.progress.total) == ("migrate", "rooms", 6)
    found = driver.ended(told.id)
    assert (found["state"], found["progress"]) == ("succeeded", {"done": 6, "total": 6})
    assert places() == {"n2": 6}
    steps = [step for step in found["steps"] if "name" in step]
    assert {(step["state"], step["why"]) for step in steps} == {("done", "it is to leave n1")}
    audit = AuditEntry.objects.get(action="sworm.migrate")
    assert (audit.target, audit.reason, audit.operation) == ("rooms", "new disk", told.id)


def test_some_names_go_wherever_placement_wants_them(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver
) -> None:
    found = driver.ended(ask.post(MIGRATE, {"names": ["r1", "r3"], "to": None}).body["id"])
    assert found["state"] == "succeeded"
    assert places() == {"n1": 4, "n3": 2}


def test_a_dry_run_shows_the_moves_and_changes_nothing(ask: Asking, rows: list[str], agent: Agent) -> None:
    answer = ask.post(MIGRATE, {"from": "n1", "to": "n2", "dry_run": True})
    told = msgspec.convert(answer.body, answers.Moves)
    assert [(m.name, m.from_, m.to, m.problem) for m in told.moves] == [(name, "n1", "n2", None) for name in NAMES]
    assert [m["name"] for m in ask.post(RESTART, {"dry_run": True}).body["moves"]] == NAMES
    assert not Operation.objects.exists()
    assert agent.seen == []


@pytest.mark.parametrize(
    ("body", "field", "why"),
    [
        ({}, "from", "name a node to leave"),
        ({"from": "n9"}, "from", "no node is named"),
        ({"from": "n1", "to": "n9"}, "to", "no node is named"),
        ({"from": "n1", "to": "n1"}, "to", "where they run already"),
        ({"from": "n1", "to": "n4"}, "to", "cordoned"),
        ({"names": ["r1", "x"]}, "names", "nothing is registered in rooms as 'x'"),
        ({"names": ["r1"], "from": "n2"}, "names", "runs on n1, not on n2"),
        ({"names": ["r1"], "max_per_minute": 0}, "max_per_minute", ""),
        ({"names": ["r1"], "max_at_once": 65}, "max_at_once", ""),
        ({"names": [""]}, "names[0]", ""),
        ({"names": ["\x00"]}, "names", "nothing is registered"),
    ],
)
def test_what_cannot_be_is_refused(ask: Asking, rows: list[str], body: dict[str, Any], field: str, why: str) -> None:
    add_node("n4", cordoned=True)
    answer = ask.post(MIGRATE, body)
    assert (answer.status, answer.fields) == (422, [field])
    assert why in answer.body["detail"]
    assert not Operation.objects.exists()


def test_an_empty_node_is_migrated_at_once(ask: Asking, rows: list[str], driver: Driver) -> None:
    assert driver.ended(ask.post(MIGRATE, {"from": "n2"}).body["id"])["state"] == "succeeded"


def test_who_may(ask: Asking, rows: list[str]) -> None:
    definitions.create("games", {}, OPERATOR, "")
    assert asking("read", "process:write").post(MIGRATE, {"from": "n1"}).code == "forbidden"
    assert asking("read", "process:handoff").post(RESTART).code == "forbidden"
    bound = asking("read", "process:handoff", sworms=["games"])
    assert bound.post(MIGRATE, {"from": "n1"}).code == "forbidden"
    made = ask.post(MIGRATE, {"from": "n1"}).body["id"]
    assert bound.get(f"/operations/{made}").code == "unknown_operation"
    assert ask.post("/sworms/nothing/migrate", {"from": "n1"}).code == "unknown_sworm"


def test_an_operation_that_its_observer_left_half_way_is_finished_by_the_next(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver
) -> None:
    agent.silent.add("handoff")
    operation = ask.post(MIGRATE, {"from": "n1", "to": "n2", "max_at_once": 2}).body["id"]
    driver.until(operation, lambda found: len(agent.seen) == 2)
    move(agent.seen[0])  # it was obeyed, and nobody heard of it
    driver.restart()
    agent.silent.clear()
    found = driver.ended(operation)
    assert (found["state"], found["progress"]["done"]) == ("succeeded", 6)
    assert places() == {"n2": 6}
    assert "taken up again by o.1" in [step["text"] for step in found["steps"]]
    assert set(Process.objects.values_list("epoch", flat=True)) == {2}, "each went once"
    claims = Counter(command["claim"] for command in agent.seen)
    assert sorted(claims.values()) == [1, 1, 1, 1, 1, 2], "the unanswered one was asked again as the same wish"


def test_silence_is_asked_again_and_a_refusal_is_told(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver
) -> None:
    asked: Counter[str] = Counter()

    def obey(command: dict[str, Any]) -> dict[str, Any]:
        name = command["name"]
        asked[name] += 1
        if name == "r0" and asked[name] == 1:
            return SILENT
        return {"ok": False, "problem": "handoff_failed", "detail": "it froze"} if name == "r1" else move(command)

    agent.answers["handoff"] = obey
    found = driver.ended(ask.post(MIGRATE, {"names": ["r0", "r1", "r2"], "to": "n2"}).body["id"])
    assert (found["state"], found["progress"]) == ("failed", {"done": 2, "total": 3})
    assert found["problem"]["left_behind"] == ["rooms/r1"]
    assert "1 of 3 failed: handoff_failed: it froze" in found["problem"]["detail"]
    assert asked == {"r0": 2, "r1": 1, "r2": 1}


def test_an_observer_that_ends_in_the_middle_of_a_turn_fails_nothing(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver
) -> None:
    operation = ask.post(MIGRATE, {"from": "n1", "to": "n2"}).body["id"]
    driver.engine.stop_asking()
    driver.engine.turn()
    assert (ask.get(f"/operations/{operation}").body["state"], agent.seen) == ("running", [])
    driver.restart()
    assert driver.ended(operation)["state"] == "succeeded"


def test_cancelling_half_way_tells_what_moved_and_what_did_not(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver
) -> None:
    agent.silent.add("handoff")
    operation = ask.post(MIGRATE, {"from": "n1", "to": "n2", "max_at_once": 1}).body["id"]
    driver.until(operation, lambda found: agent.seen)
    answer = ask.post(f"/operations/{operation}/cancel", {"reason": "wrong node"})
    assert (answer.body["state"], answer.body["cancelling"]) == ("running", True)
    driver.engine.turn()
    assert ask.get(f"/operations/{operation}").body["state"] == "running"
    move(agent.seen[0])
    found = driver.ended(operation)
    assert (found["state"], found["progress"], found["cancelling"]) == ("cancelled", {"done": 1, "total": 6}, False)
    assert places() == {"n1": 5, "n2": 1}
    assert ask.post(f"/operations/{operation}/cancel").code == "ended"
    assert Counter(step["state"] for step in found["steps"] if "name" in step) == {"done": 1, "skipped": 5}


def test_a_target_that_goes_ends_what_is_left(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.core.operation.UNFIT_AFTER", 0.1)
    agent.silent.add("handoff")
    operation = ask.post(MIGRATE, {"from": "n1", "to": "n2", "max_at_once": 1}).body["id"]
    driver.until(operation, lambda found: agent.seen)
    Node.objects.filter(name="n2").update(status="dead")
    move(agent.seen[0])
    found = driver.ended(operation)
    assert (found["state"], found["problem"]["code"]) == ("failed", "no_node")
    assert len(found["problem"]["left_behind"]) == 5


def test_a_rolling_restart_goes_one_by_one(ask: Asking, rows: list[str], agent: Agent, driver: Driver) -> None:
    add_alias()
    answer = ask.post(RESTART, {"reason": "new code"})
    assert (answer.status, answer.body["kind"], answer.body["progress"]["total"]) == (202, "restart", 6)
    assert ask.post(RESTART).code == "in_progress"
    found = driver.ended(answer.body["id"])
    assert found["state"] == "succeeded"
    assert set(Process.own().values_list("epoch", flat=True)) == {2}
    assert [command["name"] for command in agent.seen] == NAMES
    steps = [step for step in found["steps"] if "name" in step]
    assert all(one["at"] <= other["at"] for one, other in pairwise(steps))


def test_some_are_restarted_by_one_operation(ask: Asking, rows: list[str], agent: Agent, driver: Driver) -> None:
    add_alias()
    shown = ask.post(RESTART, {"names": ["r4", "r1"], "dry_run": True}).body["moves"]
    assert [(move["name"], move["from"], move["to"]) for move in shown] == [("r1", "n1", "n1"), ("r4", "n1", "n1")]
    answer = ask.post(RESTART, {"names": ["r4", "r1"], "max_at_once": 2})
    assert (answer.status, answer.body["asked"]["named"]) == (202, 2)
    assert AuditEntry.objects.get(action="sworm.restart").detail["names"] == ["r4", "r1"]
    assert driver.ended(answer.body["id"])["state"] == "succeeded"
    assert sorted(command["name"] for command in agent.seen) == ["r1", "r4"]
    for names, why in ([["r1", "nobody"], "'nobody'"], [["alias"], "a further name"], [[""], "length"]):
        refused = ask.post(RESTART, {"names": names})
        assert (refused.status, refused.fields[0].startswith("names")) == (422, True)
        assert why in refused.body["detail"]


# ------------------------------------------------------------------------------------------------------------ rebalance

REBALANCE = "/sworms/rooms/rebalance"


def test_a_rebalance_is_planned_with_reasons_then_carried_out(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver
) -> None:
    answer = ask.post(REBALANCE, {"dry_run": True})
    planned = msgspec.convert(answer.body, answers.Moves).moves
    assert planned
    assert {(move.from_, move.problem) for move in planned} == {("n1", None)}
    assert all(f"its strategy wants it at {move.to}" == move.why for move in planned)
    assert agent.seen == []
    begun = ask.post(REBALANCE, {"max_per_minute": 60_000})
    assert (begun.status, begun.body["progress"]["total"]) == (202, len(planned))
    assert ask.post(REBALANCE).code == "in_progress"
    found = driver.ended(begun.body["id"])
    assert found["state"] == "succeeded"
    assert {step["why"] for step in found["steps"] if "name" in step} == {move.why for move in planned}
    assert ask.post(REBALANCE, {"dry_run": True}).body["moves"] == []


@pytest.mark.parametrize("path", [REBALANCE, RESTART, "/nodes/n1/drain"])
def test_who_asks_at_the_same_moment_begins_one(ask: Asking, rows: list[str], path: str) -> None:
    together = threading.Barrier(4)

    def begin(_: int) -> int:
        try:
            together.wait(30)
            return asking().post(path).status
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(begin, range(4))) == [202, 409, 409, 409]
    assert Operation.objects.count() == 1


def test_a_further_name_has_no_turn_of_its_own(ask: Asking, rows: list[str]) -> None:
    before = ask.post(REBALANCE, {"dry_run": True}).body["moves"]
    add_alias()
    Process.objects.filter(name="alias").update(node="n3")  # whatever its own hash may want, it goes along with r0
    assert ask.post(REBALANCE, {"dry_run": True}).body["moves"] == before
    Process.objects.filter(name="alias").update(node="n1")
    for path, body in ((MIGRATE, {"from": "n1"}), (RESTART, {}), ("/nodes/n1/drain", {})):
        moves = ask.post(path, {**body, "dry_run": True}).body["moves"]
        assert [move["name"] for move in moves] == NAMES, path


def test_what_moved_lately_stays(ask: Asking, rows: list[str]) -> None:
    Process.objects.update(epoch=int(time.time() * 1e6))
    assert ask.post(REBALANCE, {"dry_run": True}).body["moves"] == []
    assert ask.post(REBALANCE, {"dry_run": True, "dwell_s": 0}).body["moves"] != []


def test_a_plan_is_not_forced_on_what_went_elsewhere_meanwhile(
    ask: Asking, rows: list[str], agent: Agent, driver: Driver
) -> None:
    planned = ask.post(REBALANCE, {"dry_run": True}).body["moves"]
    operation = ask.post(REBALANCE, {"max_per_minute": 60_000}).body["id"]
    gone = planned[-1]
    other = "n2" if gone["to"] == "n3" else "n3"
    add_process("rooms", gone["name"], node=other, epoch=9)
    found = driver.ended(operation)
    assert found["state"] == "succeeded"
    assert gone["name"] not in [command["name"] for command in agent.seen]
    assert Process.objects.get(name=gone["name"]).node == other


WANTED = {"r0": "n1", "r1": "n2", "r2": "", "r3": "n3", "r4": "n2", "r5": "n1"}


def wishes(command: dict[str, Any]) -> dict[str, Any]:
    """What an agent says of a strategy that only agents know."""
    return {"ok": True, "result": [WANTED[name] for name in command["names"]]}


@pytest.mark.parametrize("strategy", ["uniform_random", "chat:near"])
def test_a_strategy_that_only_agents_know_is_asked_of_one(
    ask: Asking, rows: list[str], start_agent: Callable[..., Agent], agent: Agent, driver: Driver, strategy: str
) -> None:
    Sworm.objects.filter(name="rooms").update(distribution_strategy=strategy)
    agents = [agent, *(start_agent(name) for name in ("n2", "n3"))]
    for one in agents:
        one.answers.update(foresee=wishes, handoff=move)
    planned = {move["name"]: move for move in ask.post(REBALANCE, {"dry_run": True}).body["moves"]}
    assert {name: move["to"] for name, move in planned.items()} == {"r1": "n2", "r2": None, "r3": "n3", "r4": "n2"}
    assert "nowhere" in planned["r2"]["problem"]
    shown = ask.post(MIGRATE, {"names": ["r2", "r3"], "dry_run": True}).body["moves"]
    assert [(move["to"], bool(move["problem"])) for move in shown] == [(None, True), ("n3", False)]
    asked = [command for one in agents for command in one.seen if command["op"] == "foresee"]
    assert sorted(command["without"] for command in asked) == ["", "n1"]
    (shown,) = ask.post("/sworms/rooms/processes/r4/handoff", {"dry_run": True}).body["moves"]
    assert shown["to"] == "n2"
    begun = ask.post(REBALANCE, {"max_per_minute": 60_000})
    assert driver.ended(begun.body["id"])["state"] == "succeeded"
    assert places() == {"n1": 3, "n2": 2, "n3": 1}


def test_a_strategy_that_fails_makes_no_plan_and_its_preview_says_what_decides_then(
    ask: Asking, rows: list[str], start_agent: Callable[..., Agent], agent: Agent
) -> None:
    Sworm.objects.filter(name="rooms").update(distribution_strategy="chat:near")
    for one in (agent, start_agent("n2"), start_agent("n3")):
        one.answers["foresee"] = {"ok": False, "problem": "strategy_failed", "detail": "chat:near raised ValueError"}
    refused = ask.post(REBALANCE, {"dry_run": True})
    assert (refused.status, refused.code) == (503, "strategy_failed")
    assert "raised ValueError" in refused.body["detail"]
    (shown,) = ask.post(MIGRATE, {"names": ["r1"], "dry_run": True}).body["moves"]
    assert shown["to"] in ("n2", "n3")
    assert "its name decides" in shown["why"]
