"""/groups: members, joining and leaving, messages to all."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest

from registry.api import answers
from registry.models import AuditEntry
from registry.scopes import READ
from tests.asking import Asking, asking
from tests.supervisor.agents import Agent

PATH = "/sworms/rooms/groups"


@pytest.fixture
def three(ask: Asking, rooms: str, agent: Agent) -> None:
    """Three processes that run."""
    for name in ("attic", "lobby", "a/b"):
        assert ask.post("/sworms/rooms/processes", {"name": name, "target": "chat:Room"}).status == 201


def join(ask: Asking, group: str, name: str) -> int:
    return ask.put(f"{PATH}/{quote(group, safe='')}/members/{quote(name, safe='')}").status


@pytest.mark.usefixtures("three")
def test_who_joined_is_a_member_and_who_left_is_none(ask: Asking) -> None:
    assert [join(ask, "public", name) for name in ("lobby", "attic", "lobby")] == [204] * 3
    assert join(ask, "a/group", "a/b") == 204
    listed = ask.get(PATH).body
    assert [(item["name"], item["size"], item["members"]) for item in listed["items"]] == [
        ("a/group", 1, ["a/b"]),
        ("public", 2, ["attic", "lobby"]),
    ]
    msgspec.convert(listed["items"], list[answers.Group])
    one = ask.get(f"{PATH}/public").body
    assert (one["name"], one["members"]) == ("public", ["attic", "lobby"])
    assert [item["groups"] for item in one["items"]] == [["public"]] * 2
    msgspec.convert(one, answers.GroupMembers)
    assert ask.get("/sworms/rooms/processes/lobby").body["groups"] == ["public"]
    of_group = ask.get("/sworms/rooms/processes?group=public").body["items"]
    assert [item["name"] for item in of_group] == ["attic", "lobby"]
    for _ in range(2):
        assert ask.delete(f"{PATH}/public/members/lobby").status == 204
        assert ask.get(f"{PATH}/public").body["members"] == ["attic"]
    assert ask.delete(f"{PATH}/public/members/attic").status == 204
    assert ask.get(f"{PATH}/public").body["items"] == []
    assert [item["name"] for item in ask.get(PATH).body["items"]] == ["a/group"]


@pytest.mark.usefixtures("three")
def test_the_list_names_the_first_members_of_a_large_group(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.api.groups.NAMED", 2)
    assert [join(ask, "public", name) for name in ("lobby", "attic", "a/b")] == [204] * 3
    (item,) = ask.get(PATH).body["items"]
    assert (item["size"], item["members"]) == (3, ["a/b", "attic"])


@pytest.mark.usefixtures("three")
def test_groups_come_in_pages(ask: Asking) -> None:
    for number in range(5):
        join(ask, f"g{number}", "lobby")
    found, cursor = [], ""
    for _ in range(3):
        page = ask.get(f"{PATH}?limit=2{cursor}").body
        found += [item["name"] for item in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert (found, page["next_cursor"]) == ([f"g{number}" for number in range(5)], None)
    for number in range(3):
        join(ask, "all", ["attic", "lobby", "a/b"][number])
    first = ask.get(f"{PATH}/all?limit=2").body
    second = ask.get(f"{PATH}/all?limit=2&cursor={first['next_cursor']}").body
    assert (first["members"] + second["members"], second["next_cursor"]) == (["a/b", "attic", "lobby"], None)


@pytest.mark.usefixtures("three")
def test_what_does_not_run_joins_nothing(ask: Asking) -> None:
    for method in (ask.put, ask.delete):
        answer = method(f"{PATH}/public/members/nobody")
        assert (answer.status, answer.code) == (404, "unknown_process")
        assert method(f"{PATH}/public/members/a%00b").code == "unknown_process"
        assert method(f"/sworms/nothing/groups/g/members/{'a'}").code == "unknown_sworm"
    assert ask.put(f"{PATH}/{'g' * 256}/members/lobby").fields == ["group"]
    assert ask.get(PATH).body["items"] == []
    assert ask.get("/sworms/nothing/groups").code == "unknown_sworm"
    assert ask.get("/sworms/nothing/groups/g").code == "unknown_sworm"
    assert ask.get(f"{PATH}?colour=red").fields == ["colour"]


@pytest.mark.usefixtures("three")
def test_a_message_to_all(ask: Asking, agent: Agent) -> None:
    for name in ("attic", "lobby"):
        join(ask, "public", name)
    published = ask.post(f"{PATH}/public/publish", {"message": {"say": 1}})
    assert (published.status, published.body) == (202, {"accepted": True})
    assert (agent.seen[-1]["op"], agent.seen[-1]["group"], agent.seen[-1]["message"]) == (
        "publish",
        "public",
        {"say": 1},
    )
    called = ask.post(f"{PATH}/public/multi_call", {"message": 5}).body
    assert called == {"replies": [{"name": "attic", "reply": 5}, {"name": "lobby", "reply": 5}]}
    msgspec.convert(called, answers.Replies)
    assert ask.post(f"{PATH}/empty/multi_call", {"message": 5}).body == {"replies": []}
    assert ask.post(f"{PATH}/public/multi_call", {}).fields == ["message"]
    assert ask.post(f"{PATH}/public/publish", {"message": 2**70}).fields == ["message"]


@pytest.mark.usefixtures("three")
def test_each_member_answers_for_itself(ask: Asking, agent: Agent) -> None:
    agent.answers["multi_call"] = {
        "ok": True,
        "result": [["a", 1, None], ["b", None, ["worker_crashed", "no"]], ["c", b"\x00", None], ["d", None, None],
                   ["e", None, ["not_registered", "gone"]]],
    }  # fmt: skip
    replies = ask.post(f"{PATH}/public/multi_call", {"message": 5}).body["replies"]
    assert [reply["name"] for reply in replies] == list("abcde")
    assert (replies[0]["reply"], replies[3]["reply"]) == (1, None)
    assert [replies[at]["problem"]["code"] for at in (1, 2, 4)] == ["worker_crashed", "not_json", "unknown_process"]


@pytest.mark.usefixtures("three")
def test_a_silent_agent_is_no_answer_and_asked_once(ask: Asking, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.group_verbs.SLACK", 0.1)
    agent.silent.add("multi_call")
    answer = ask.post(f"{PATH}/public/multi_call", {"message": 1, "timeout_ms": 50})
    assert (answer.status, answer.code) == (504, "no_answer")
    assert agent.ops().count("multi_call") == 1


@pytest.mark.usefixtures("three")
def test_what_changes_is_in_the_audit(ask: Asking) -> None:
    ask.put(f"{PATH}/public/members/lobby", Sworm_Reason="because")
    ask.delete(f"{PATH}/public/members/lobby")
    ask.post(f"{PATH}/public/publish", {"message": 1, "reason": "loud"})
    ask.post(f"{PATH}/public/multi_call", {"message": 1})
    rows = AuditEntry.objects.filter(action__startswith="group.").order_by("id")
    assert list(rows.values_list("action", "target", "reason")) == [
        ("group.join", "rooms/lobby", "because"), ("group.leave", "rooms/lobby", ""),
        ("group.publish", "rooms/public", "loud"), ("group.call", "rooms/public", ""),
    ]  # fmt: skip


@pytest.mark.usefixtures("three")
def test_rights() -> None:
    reader = asking(READ)
    assert reader.get(PATH).status == reader.get(f"{PATH}/public").status == 200
    assert reader.put(f"{PATH}/public/members/lobby").status == 403
    assert reader.delete(f"{PATH}/public/members/lobby").status == 403
    assert reader.post(f"{PATH}/public/publish", {"message": 1}).status == 403
    assert reader.post(f"{PATH}/public/multi_call", {"message": 1}).status == 403


def test_no_node_is_said_at_once(ask: Asking, rooms: str, start_agent: Callable[..., Agent]) -> None:
    assert ask.put(f"{PATH}/public/members/lobby").code == "no_node"
