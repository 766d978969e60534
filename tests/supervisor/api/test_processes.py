"""/sworms/{sworm}/processes: registering, reading, stopping."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction

from registry.api import answers
from registry.models import AuditEntry, ObservedVersion, Process
from supervisor import commands
from tests.asking import Asking, asking, in_path
from tests.supervisor.agents import Agent, add_node, add_process, observer_writes

ROOM = {"target": "chat:Room"}
PATH = "/sworms/rooms/processes"


def test_a_registration_answers_with_the_item_that_get_shows(ask: Asking, rooms: str, agent: Agent) -> None:
    body = {"name": "lobby", "target": "chat:Room", "args": [1, "a"], "kwargs": {"b": None}, "meta": {"c": 2}}
    made = ask.post(PATH, body)
    assert made.status == 201
    assert made.body["pid"] == f"{agent.origin}.1"
    assert (made.body["args"], made.body["kwargs"], made.body["meta"]) == ([1, "a"], {"b": None}, {"c": 2})
    assert ask.get(f"{PATH}/lobby").body == made.body
    assert ask.get(PATH).body["items"] == [made.body]
    msgspec.convert(made.body, answers.Process)


def test_the_command_carries_the_definition_and_the_deadline(ask: Asking, rooms: str, agent: Agent) -> None:
    ask.post(PATH, {"name": "lobby", **ROOM})
    command = agent.seen[0]
    assert command["definition"]["name"] == "rooms"
    assert command["definition"]["revision"] == 1
    assert command["incarnation"] == agent.incarnation
    assert command["isolation"] is None


def test_a_second_registration_is_told_who_runs(ask: Asking, rooms: str, agent: Agent) -> None:
    first = ask.post(PATH, {"name": "lobby", **ROOM})
    second = ask.post(PATH, {"name": "lobby", "target": "chat:Other"})
    assert second.status == 409
    assert second.code == "already_started"
    assert second.body["process"] == first.body


def test_of_many_at_once_one_registers(ask: Asking, rooms: str, agent: Agent) -> None:
    def register(number: int) -> Any:
        try:
            return Asking(ask.token).post(PATH, {"name": "lobby", "target": "chat:Room", "args": [number]})
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(register, range(8)))
    assert sorted(answer.status for answer in found) == [201, *[409] * 7]
    pids = {answer.body.get("pid") or answer.body["process"]["pid"] for answer in found}
    assert pids == {f"{agent.origin}.1"}


@pytest.mark.parametrize("name", ["a/call", "a%2Fb", "déjà vu", "?#&", "call", "x" * 255, "..", "%", "a b/../c"])
def test_a_name_may_be_any_text(ask: Asking, rooms: str, agent: Agent, name: str) -> None:
    assert ask.post(PATH, {"name": name, **ROOM}).status == 201
    found = ask.get(f"{PATH}/{in_path(name)}")
    assert (found.status, found.body["name"]) == (200, name)
    assert ask.post(f"{PATH}/{in_path(name)}/call", {"message": 1}).body == {"reply": 1}
    assert ask.delete(f"{PATH}/{in_path(name)}").status == 204


@pytest.mark.parametrize("name", ["", "x" * 256, "x" * 10_000, "a\nb", "\x00", 7, None])
def test_a_name_that_cannot_be_is_refused(ask: Asking, rooms: str, agent: Agent, name: Any) -> None:
    answer = ask.post(PATH, {"name": name, **ROOM})
    assert (answer.status, answer.code, answer.fields) == (422, "invalid", ["name"])
    assert agent.seen == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a"}, "target"),
        ({"name": "a", "target": 1}, "target"),
        ({"name": "a", "target": "chat:Room", "args": {}}, "args"),
        ({"name": "a", "target": "chat:Room", "kwargs": []}, "kwargs"),
        ({"name": "a", "target": "chat:Room", "meta": 1}, "meta"),
        ({"name": "a", "target": "chat:Room", "isolation": "vm"}, "isolation"),
        ({"name": "a", "target": "chat:Room", "args": [2**70]}, "args"),
        ({"name": "a", "target": "chat:Room", "colour": 1}, "colour"),
        ({"name": "a", "target": "chat:Room", "reason": "a\x00b"}, "reason"),
        ([], "body"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(
    ask: Asking, rooms: str, agent: Agent, body: Any, field: str
) -> None:
    answer = ask.post(PATH, body)
    assert (answer.status, answer.code, answer.fields) == (422, "invalid", [field])


@pytest.mark.parametrize(
    "target", ["chat", "chat:", ":Room", "chat:Room.start", "chat..x:Room", "chat:1", "../x:y", ""]
)
def test_a_target_is_a_module_and_one_identifier(ask: Asking, rooms: str, agent: Agent, target: str) -> None:
    answer = ask.post(PATH, {"name": "a", "target": target})
    assert (answer.status, answer.code, answer.fields) == (422, "target_not_found", ["target"])


@pytest.mark.parametrize(
    ("raw", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"", "application/json", 400, "malformed"),
        (b"\xff\xfe", "application/json", 400, "malformed"),
        (b'{"name": NaN}', "application/json", 400, "malformed"),
        (b'{"colour": 1, ', "application/json", 400, "malformed"),
        (b"[" * 5000, "application/json", 400, "malformed"),
        (b'{"name":"a","target":"chat:Room","args":' + b"[" * 5000 + b"]" * 5000 + b"}", "", 400, "malformed"),
        (b"name=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"name": "' + b"x" * 1024 * 1024 + b'"}', "application/json", 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_read(
    ask: Asking, rooms: str, agent: Agent, raw: bytes, kind: str, status: int, code: str
) -> None:
    answer = ask("POST", PATH, raw=raw, kind=kind)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    ("problem", "status", "code"),
    [
        ("target_not_allowed", 422, "target_not_allowed"),
        ("target_not_found", 422, "target_not_found"),
        ("start_failed", 422, "start_failed"),
        ("no_quorum", 503, "no_quorum"),
        ("no_node", 503, "no_node"),
        ("no_answer", 504, "no_answer"),
        ("stopping", 503, "no_node"),
        ("unknown_sworm", 404, "unknown_sworm"),
        ("something_new", 502, "refused"),
    ],
)
def test_an_agents_refusal_is_the_answer(
    ask: Asking, rooms: str, agent: Agent, problem: str, status: int, code: str
) -> None:
    agent.answers["register"] = {"ok": False, "problem": problem, "detail": "ValueError: no such room"}
    answer = ask.post(PATH, {"name": "lobby", **ROOM})
    assert (answer.status, answer.code) == (status, code)
    assert "ValueError: no such room" in answer.body["detail"]
    assert ask.get(f"{PATH}/lobby").status == 404
    assert not AuditEntry.objects.filter(action="process.register").exists()


@pytest.mark.parametrize("batch", [False, True])
def test_a_refusal_is_told_once_nothing_of_it_is_shown_any_more(
    ask: Asking, rooms: str, agent: Agent, batch: bool
) -> None:
    def fail(command: dict[str, Any]) -> dict[str, Any]:
        add_process("rooms", "lobby", state="starting")
        threading.Timer(0.2, over).start()
        stands = {"origin": agent.origin, "version": 2}
        failed = {"ok": False, "problem": "start_failed", "detail": "ValueError: no such room", "result": stands}
        return {"ok": True, "result": [failed]} if batch else failed

    def over() -> None:
        with transaction.atomic():
            Process.objects.filter(sworm="rooms", name="lobby").delete()
            ObservedVersion.objects.create(sworm="rooms", origin=agent.origin, version=2)
        connection.close()

    agent.answers = {"register": fail, "register_batch": fail}
    item = {"name": "lobby", **ROOM}
    if batch:
        answer = ask.post(f"{PATH}:batch", {"items": [item]})
        assert answer.body["results"][0]["problem"]["code"] == "start_failed"
    else:
        assert ask.post(PATH, item).code == "start_failed"
    assert ask.get(f"{PATH}/lobby").status == 404


def test_without_a_node_there_is_nobody_to_ask(ask: Asking, rooms: str) -> None:
    observer_writes()
    assert ask.post(PATH, {"name": "lobby", **ROOM}).code == "no_node"


def test_only_nodes_that_host_the_sworm_are_asked(ask: Asking, rooms: str, start_agent: Callable[..., Agent]) -> None:
    other, host = start_agent("n1"), start_agent("n2")
    add_node("n1", other.incarnation, sworms=["games"])
    add_node("n2", host.incarnation, sworms=["rooms"])
    for number in range(5):
        assert ask.post(PATH, {"name": f"r{number}", **ROOM}).status == 201
    assert other.seen == []
    assert len(host.seen) == 5


def test_a_silent_node_is_passed_over_with_the_same_claim(
    ask: Asking, rooms: str, start_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "STARTING", 2.0)
    silent, other = start_agent("n1", silent={"register"}), start_agent("n2")
    add_node("n2", other.incarnation, cordoned=True)  # asked last
    assert ask.post(PATH, {"name": "lobby", **ROOM}).status == 201
    assert silent.seen[0]["claim"] == other.seen[0]["claim"]


def test_no_answer_at_all_is_a_504(ask: Asking, rooms: str, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "STARTING", 0.3)
    agent.silent.add("register")
    assert ask.post(PATH, {"name": "lobby", **ROOM}).code == "no_answer"


def test_while_no_observer_writes_agents_answer_and_it_says_so(ask: Asking, rooms: str, agent: Agent) -> None:
    observer_writes(seconds_ago=60)
    agent.observed = False
    made = ask.post(PATH, {"name": "lobby", **ROOM})
    assert (made.status, made.body["observed"]) == (201, False)
    found = ask.get(f"{PATH}/lobby")
    assert (found.status, found.body["observed"], found.body["pid"]) == (200, False, made.body["pid"])
    assert ask.get(f"{PATH}/nobody").code == "unknown_process"
    assert ask.post(f"{PATH}/lobby/call", {"message": 1}).body == {"reply": 1}


def test_while_no_observer_writes_a_dead_node_is_not_asked(
    ask: Asking, rooms: str, start_agent: Callable[..., Agent]
) -> None:
    dead, alive = start_agent("n1", silent={"ping", "register"}), start_agent("n2", observed=False)
    observer_writes(seconds_ago=60)
    assert ask.post(PATH, {"name": "lobby", **ROOM}).status == 201
    assert dead.ops() == ["ping"]
    assert alive.ops() == ["ping", "register"]


def test_put_registers_or_finds(ask: Asking, rooms: str, agent: Agent) -> None:
    first = ask.put(f"{PATH}/lobby", ROOM)
    second = ask.put(f"{PATH}/lobby", ROOM)
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body
    assert ask.put(f"{PATH}/{'x' * 300}", ROOM).status == 422


def test_delete_ends_the_name(ask: Asking, rooms: str, agent: Agent) -> None:
    ask.post(PATH, {"name": "lobby", **ROOM})
    assert ask.delete(f"{PATH}/lobby", Sworm_Reason="tidying").status == 204
    assert ask.get(f"{PATH}/lobby").code == "unknown_process"
    assert ask.delete(f"{PATH}/lobby").code == "unknown_process"
    entry = AuditEntry.objects.get(action="process.unregister")
    assert (entry.actor, entry.target, entry.reason) == ("token:test", "rooms/lobby", "tidying")


def test_a_deletion_takes_its_reason_from_its_body_too_and_ignores_nothing(
    ask: Asking, rooms: str, agent: Agent
) -> None:
    ask.post(PATH, {"name": "lobby", **ROOM})
    refused = ask("DELETE", f"{PATH}/lobby", {"because": "tidying"})
    assert (refused.status, refused.fields) == (422, ["because"])
    assert ask.get(f"{PATH}/lobby").status == 200
    assert ask("DELETE", f"{PATH}/lobby", {"reason": "tidying"}).status == 204
    assert AuditEntry.objects.get(action="process.unregister").reason == "tidying"


def test_a_reason_that_cannot_be_kept_is_refused_before_anything_is_done(ask: Asking, rooms: str, agent: Agent) -> None:
    refused = ask.post(PATH, {"name": "lobby", **ROOM}, Sworm_Reason="x" * 1001)
    assert (refused.status, refused.fields) == (422, ["Sworm-Reason"])
    assert agent.seen == []
    assert ask.post(PATH, {"name": "lobby", **ROOM}, Sworm_Reason="für Ä".encode().decode("latin-1")).status == 201
    assert AuditEntry.objects.get(action="process.register").reason == "für Ä"


def test_an_unknown_sworm(ask: Asking, agent: Agent) -> None:
    for method, path, body in [
        ("GET", "", None), ("POST", "", {"name": "a", **ROOM}), ("POST", ":batch", {"items": []}),
        ("GET", "/a", None), ("PUT", "/a", ROOM), ("DELETE", "/a", None), ("POST", "/a/call", {"message": 1}),
    ]:  # fmt: skip
        assert ask(method, f"/sworms/nowhere/processes{path}", body).code == "unknown_sworm"
    assert ask.get("/sworms/No%00way/processes").code == "unknown_sworm"


def test_the_list_filters_and_pages(ask: Asking, rooms: str) -> None:
    observer_writes()
    for number in range(25):
        add_process("rooms", f"r{number:02}", node=f"n{number % 2}", state="failed" if number == 3 else "running")
    add_process("other", "r99")
    names: list[str] = []
    cursor = ""
    while True:
        found = ask.get(f"{PATH}?limit=10{cursor}").body
        names += [item["name"] for item in found["items"]]
        if found["next_cursor"] is None:
            break
        cursor = f"&cursor={found['next_cursor']}"
    assert names == [f"r{number:02}" for number in range(25)]
    assert [item["name"] for item in ask.get(f"{PATH}?state=failed").body["items"]] == ["r03"]
    assert len(ask.get(f"{PATH}?node=n1").body["items"]) == 12
    assert len(ask.get(f"{PATH}?name_prefix=r1").body["items"]) == 10
    assert [item["name"] for item in ask.get(f"{PATH}?q=R24").body["items"]] == ["r24"]
    assert ask.get(f"{PATH}?name_prefix=%25").body["items"] == []
    assert found["revision"] > 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("state=happy", "state"),
        ("cursor=nonsense", "cursor"), ("colour=red", "colour"), ("node=a&node=b", "node"), ("q=%00", "q"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_is_refused(ask: Asking, rooms: str, query: str, field: str) -> None:
    answer = ask.get(f"{PATH}?{query}")
    assert (answer.status, answer.fields) == (422, [field])


def test_other_methods_are_not_allowed(ask: Asking, rooms: str) -> None:
    answer = ask.delete(PATH)
    assert answer.code == "method_not_allowed"
    assert answer.response.headers["Allow"] == "GET, HEAD, POST"


def test_rights_come_before_everything_else(rooms: str) -> None:
    reader = asking("read")
    assert reader("POST", PATH, raw=b"{").code == "forbidden"
    assert reader("POST", "/sworms/nowhere/processes", raw=b"{").code == "forbidden"
    assert Asking(None)("POST", "/sworms/nowhere/processes", raw=b"{").code == "unauthorized"
    bound = asking(sworms=("games",))
    assert bound.get(PATH).code == "forbidden"
    assert bound.get("/sworms/games/processes").code == "unknown_sworm"
