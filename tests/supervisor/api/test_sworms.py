"""/sworms: definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis
from django.conf import settings

from registry.api import answers
from registry.bell import DEFINITIONS
from registry.models import AuditEntry, Node, Sworm
from supervisor import definitions
from supervisor.core.constraints import written
from supervisor.core.spec import Definition
from tests.asking import Asking, asking
from tests.supervisor.agents import Agent, add_node, add_process

DEFAULTS = Definition("rooms")


def test_only_the_name_is_required(ask: Asking) -> None:
    made = ask.post("/sworms", {"name": "rooms"})
    assert made.status == 201
    assert made.response.headers["ETag"] == '"1"'
    assert made.response.headers["Location"] == "/api/v1/sworms/rooms"
    told = {field: made.body[field] for field in ("restart", "max_restarts", "max_seconds", "handoff", "isolation")}
    assert told == {field: getattr(DEFAULTS, field) for field in told}
    assert (made.body["revision"], made.body["constraints"], made.body["allowed_modules"]) == (1, {}, [])
    assert ask.get("/sworms/rooms").body == made.body
    assert ask.get("/sworms").body["items"] == [made.body]
    msgspec.convert(made.body, answers.Sworm)


def test_the_models_defaults_are_the_nodes_defaults() -> None:
    assert definitions.definition_of(Sworm(name="rooms", revision=0)) == DEFAULTS


def test_a_taken_name(ask: Asking, rooms: str) -> None:
    assert ask.post("/sworms", {"name": "rooms"}).code == "already_exists"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Rooms"), ("name", ""), ("name", "a" * 64), ("name", "9a"), ("name", 1), ("restart", "always"),
        ("restart", 1), ("max_restarts", -1), ("max_restarts", "3"), ("max_restarts", True), ("max_seconds", 0),
        ("handoff", "yes"), ("handoff_timeout_ms", 1), ("distribution_strategy", "sideways"),
        ("constraints", {"zone": 1}), ("constraints", {"Zone": "a"}), ("constraints", {"zone": {"like": "a"}}),
        ("constraints", []), ("redistribution", "eager"), ("sync_interval_ms", 0),
        ("max_sync_size", 0), ("allowed_modules", "chat"), ("allowed_modules", ["a-b"]), ("allowed_modules", [1]),
        ("allowed_modules", [""]), ("isolation", "vm"), ("colour", "red"), ("revision", 7),
    ],
)  # fmt: skip
def test_a_field_that_no_node_could_obey_is_refused(ask: Asking, field: str, value: Any) -> None:
    answer = ask.post("/sworms", {"name": "rooms", field: value})
    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.fields[0].partition("[")[0] == field
    assert not Sworm.objects.exists()


@pytest.mark.parametrize("strategy", ["uniform", "uniform_random", "least_loaded", "chat.placing:near"])
def test_placement_is_told_as_it_was_given(ask: Asking, strategy: str) -> None:
    constraints = {"zone": ["a", "b"], "disk": {"not": "slow"}, "gpu": True}
    made = ask.post("/sworms", {"name": "rooms", "distribution_strategy": strategy, "constraints": constraints})
    assert (made.status, made.body["distribution_strategy"], made.body["constraints"]) == (201, strategy, constraints)
    assert written(definitions.definition_of(Sworm.objects.get()).constraints) == constraints
    assert ask.patch("/sworms/rooms", {"constraints": {}}, If_Match="*").body["constraints"] == {}


def test_redistribution_may_be_active(ask: Asking) -> None:
    assert ask.post("/sworms", {"name": "rooms", "redistribution": "active"}).body["redistribution"] == "active"


def test_a_strategy_of_ones_own_must_be_allowed(ask: Asking) -> None:
    body = {"name": "rooms", "distribution_strategy": "chat:near", "allowed_modules": ["games"]}
    answer = ask.post("/sworms", body)
    assert (answer.status, answer.fields) == (422, ["distribution_strategy"])
    assert "module chat is not among allowed_modules: games" in answer.body["detail"]
    made = ask.post("/sworms", {**body, "allowed_modules": ["games", "chat"]})
    assert made.status == 201
    assert "nobody could say whether chat:near can be used" in made.body["advice"][0]["text"]


def test_a_strategy_of_ones_own_is_tried_by_every_node_before_it_is_written(
    ask: Asking, start_agent: Callable[..., Agent]
) -> None:
    refusal = "os:system cannot be used: module os is not among those this agent may run: examples"
    one = start_agent("n1")
    start_agent("n2", answers={"foresee": {"ok": False, "problem": "strategy_failed", "detail": refusal}})
    body = {"name": "rooms", "distribution_strategy": "os:system"}
    answer = ask.post("/sworms", body)
    assert (answer.status, answer.fields) == (422, ["distribution_strategy"])
    assert f"n2 cannot use it: {refusal}" in answer.body["detail"]
    assert not Sworm.objects.exists()
    assert ask.post("/sworms", {"name": "rooms"}).status == 201
    changed = ask.patch("/sworms/rooms", {"distribution_strategy": "os:system"}, If_Match="*")
    assert (changed.status, changed.fields) == (422, ["distribution_strategy"])
    Node.objects.filter(name="n2").update(sworms=["games"])
    changed = ask.patch("/sworms/rooms", {"distribution_strategy": "chat:near"}, If_Match="*")
    assert (changed.status, changed.body.get("advice")) == (200, None)
    assert one.seen[-1]["trial"] == {"distribution_strategy": "chat:near", "allowed_modules": []}
    tried = len(one.seen)
    assert ask.patch("/sworms/rooms", {"max_restarts": 9}, If_Match="*").status == 200
    assert len(one.seen) == tried


def test_a_bad_constraint_is_explained(ask: Asking) -> None:
    answer = ask.post("/sworms", {"name": "rooms", "constraints": {"zone": {"like": "a"}}})
    assert "zone: {'like': 'a'} has another key than" in answer.body["errors"][0]["detail"]


def test_several_wrong_fields_are_all_named(ask: Asking) -> None:
    answer = ask.post("/sworms", {"name": "rooms", "restart": "x", "isolation": "y"})
    assert sorted(answer.fields) == ["isolation", "restart"]


def test_a_change_names_the_revision_that_it_changes(ask: Asking, rooms: str) -> None:
    assert ask.patch("/sworms/rooms", {"handoff": True}).code == "precondition_required"
    changed = ask.patch("/sworms/rooms", {"handoff": True, "reason": "keep state"}, If_Match='"1"')
    assert (changed.status, changed.body["revision"], changed.body["handoff"]) == (200, 2, True)
    stale = ask.patch("/sworms/rooms", {"handoff": False}, If_Match='"1"')
    assert (stale.code, stale.response.headers["ETag"]) == ("precondition_failed", '"2"')
    assert ask.patch("/sworms/rooms", {"handoff": False}, If_Match="nonsense").code == "precondition_failed"
    assert ask.patch("/sworms/rooms", {"max_restarts": 9}, If_Match="*").body["max_restarts"] == 9
    entry = AuditEntry.objects.filter(action="sworm.change").earliest("id")
    assert (entry.reason, entry.detail) == ("keep state", {"revision": 2})
    assert (entry.before, entry.after) == ({"handoff": False}, {"handoff": True})


def test_put_resets_what_is_not_given(ask: Asking, rooms: str) -> None:
    ask.patch("/sworms/rooms", {"handoff": True, "max_restarts": 9}, If_Match='"1"')
    put = ask.put("/sworms/rooms", {"name": "rooms", "max_restarts": 5}, If_Match='"2"')
    assert (put.body["handoff"], put.body["max_restarts"], put.body["revision"]) == (False, 5, 3)
    assert ask.put("/sworms/rooms", {"name": "halls"}, If_Match='"3"').fields == ["name"]
    assert ask.put("/sworms/rooms", {"restart": "x"}, If_Match='"3"').fields == ["restart"]
    assert ask.put("/sworms/halls", {}, If_Match="*").code == "unknown_sworm"


def test_what_changes_nothing_raises_no_revision(ask: Asking, rooms: str) -> None:
    assert ask.patch("/sworms/rooms", {"handoff": False}, If_Match='"1"').body["revision"] == 1


def test_an_unchanged_definition_is_not_sent_again(ask: Asking, rooms: str) -> None:
    assert ask.get("/sworms/rooms", If_None_Match='"1"').status == 304


def test_deleting(ask: Asking, rooms: str) -> None:
    process = add_process("rooms", "lobby")
    assert ask.delete("/sworms/rooms").code == "precondition_required"
    assert ask.delete("/sworms/rooms", If_Match='"1"').code == "has_processes"
    process.delete()
    assert ask.delete("/sworms/rooms", If_Match='"1"').status == 204
    assert ask.get("/sworms/rooms").code == "unknown_sworm"
    assert ask.get("/sworms").body["items"] == []
    assert ask.delete("/sworms/rooms", If_Match='"2"').code == "unknown_sworm"
    assert Sworm.objects.get().deleted
    again = ask.post("/sworms", {"name": "rooms"})
    assert (again.status, again.body["revision"]) == (201, 3)


def test_nodes_tell_which_revision_they_run(ask: Asking, rooms: str) -> None:
    add_node("n1", definitions={"rooms": 1})
    add_node("n2", definitions={"other": 4})
    add_process("rooms", "lobby")
    found = ask.get("/sworms/rooms").body
    assert (found["nodes"], found["processes"]) == ({"n1": 1}, 1)


@pytest.mark.django_db(transaction=True)
def test_a_change_is_announced(ask: Asking, rooms: str) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(DEFINITIONS)
        pubsub.get_message(timeout=5)  # the confirmation
        ask.patch("/sworms/rooms", {"handoff": True}, If_Match='"1"')
        assert pubsub.get_message(timeout=5) is not None


def test_pages(ask: Asking) -> None:
    for name in ("c", "a", "b"):
        ask.post("/sworms", {"name": name})
    first = ask.get("/sworms?limit=2").body
    assert [item["name"] for item in first["items"]] == ["a", "b"]
    second = ask.get(f"/sworms?limit=2&cursor={first['next_cursor']}").body
    assert ([item["name"] for item in second["items"]], second["next_cursor"]) == (["c"], None)


def test_rights(rooms: str) -> None:
    reader, bound = asking("read"), asking(sworms=("games",))
    assert reader.get("/sworms/rooms").status == 200
    assert reader.post("/sworms", {"name": "x"}).code == "forbidden"
    assert reader.delete("/sworms/rooms").code == "forbidden"
    assert bound.get("/sworms/rooms").code == "forbidden"
    assert bound.get("/sworms").body["items"] == []
    assert bound.post("/sworms", {"name": "halls"}).code == "forbidden"
    assert bound.post("/sworms", {"name": "games"}).status == 201


def test_every_field_that_is_wrong_is_named(ask: Asking, rooms: str) -> None:
    body = {"handoff": "yes", "max_restarts": 2, "max_seconds": None, "allowed_modules": ["a", 5], "odd": 1}
    wrong = ask.patch("/sworms/rooms", body, If_Match='"1"')
    assert (wrong.status, sorted(wrong.fields)) == (422, ["allowed_modules[1]", "handoff", "max_seconds", "odd"])
    assert all(error["detail"] in wrong.body["detail"] for error in wrong.body["errors"])
    assert ask.post("/sworms", {"handoff": 1, "odd": 1}).fields == ["handoff", "name", "odd"]
