"""/sworms/{sworm}/processes:batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from registry.api import answers
from registry.models import AuditEntry, Process
from supervisor.api.bodies import MAX_ITEMS
from tests.asking import Asking
from tests.supervisor.agents import Agent

PATH = "/sworms/rooms/processes:batch"


def rooms_named(*names: str) -> dict[str, Any]:
    return {"items": [{"name": name, "target": "chat:Room"} for name in names]}


def test_results_stand_in_the_order_of_the_items(ask: Asking, rooms: str, start_agent: Callable[..., Agent]) -> None:
    agents = [start_agent(name) for name in ("n1", "n2", "n3")]
    names = [f"r{number}" for number in range(100)]
    answer = ask.post(PATH, rooms_named(*names))
    assert answer.status == 200
    results = answer.body["results"]
    assert [result["name"] for result in results] == names
    assert {result["status"] for result in results} == {201}
    assert [result["process"]["name"] for result in results] == names
    assert Process.objects.count() == 100
    assert sorted(len(agent.running) for agent in agents) == [32, 34, 34]
    msgspec.convert(answer.body, answers.BatchResults)


def test_each_item_is_judged_by_itself(ask: Asking, rooms: str, agent: Agent) -> None:
    items: list[dict[str, Any]] = [
        {"name": "good", "target": "chat:Room"},
        {"name": "", "target": "chat:Room"},
        {"name": "evil", "target": "os:system"},
        {"target": "chat:Room"},
        {"name": "odd", "target": "chat"},
        {"name": "mine", "target": "chat:Room", "reason": "because"},
        {"name": "last", "target": "chat:Room", "args": [1]},
    ]
    results = ask.post(PATH, {"items": items, "reason": "opening"}).body["results"]
    assert [result["status"] for result in results] == [201, 422, 422, 422, 422, 422, 201]
    codes = [result["problem"]["code"] for result in results if "problem" in result]
    assert codes == ["invalid", "target_not_allowed", "invalid", "target_not_found", "invalid"]
    assert [result["name"] for result in results] == ["good", "", "evil", None, "odd", "mine", "last"]
    entry = AuditEntry.objects.get(action="process.register")
    assert (entry.target, entry.reason, entry.detail) == ("rooms", "opening", {"asked": 7, "started": 2})


def test_a_name_that_stands_twice_is_the_first_ones(ask: Asking, rooms: str, start_agent: Callable[..., Agent]) -> None:
    start_agent()
    results = ask.post(PATH, rooms_named("a", "b", "a")).body["results"]
    assert [result["status"] for result in results] == [201, 201, 409]
    assert results[2]["problem"]["process"] == results[0]["process"]
    assert ask.post(PATH, rooms_named("b")).body["results"][0]["status"] == 409


def test_a_part_whose_node_is_silent_goes_to_another(
    ask: Asking, rooms: str, start_agent: Callable[..., Agent]
) -> None:
    start_agent("n1", answers={"register_batch": {"ok": False, "problem": "stopping", "detail": "n1 is stopping"}})
    other = start_agent("n2")
    results = ask.post(PATH, rooms_named("a", "b", "c", "d")).body["results"]
    assert {result["status"] for result in results} == {201}
    assert len(other.running) == 4


def test_an_agents_answer_that_does_not_fit_is_a_problem_of_each(ask: Asking, rooms: str, agent: Agent) -> None:
    agent.answers["register_batch"] = {"ok": True, "result": []}
    results = ask.post(PATH, rooms_named("a", "b")).body["results"]
    assert [result["problem"]["code"] for result in results] == ["refused", "refused"]


def test_bounds(ask: Asking, rooms: str, agent: Agent) -> None:
    assert ask.post(PATH, {"items": []}).body == {"results": []}
    many = {"items": [{}] * (MAX_ITEMS + 1)}
    assert ask.post(PATH, many).fields == ["items"]
    assert ask.post(PATH, {"items": ["a"]}).fields == ["items[0]"]
    assert ask.post(PATH, {}).fields == ["items"]
    assert ask.get(PATH).code == "method_not_allowed"
