"""…/{name}/call, cast, restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from registry.models import AuditEntry
from supervisor import verbs
from tests.asking import Asking, asking
from tests.supervisor.agents import Agent

PATH = "/sworms/rooms/processes"


@pytest.fixture
def lobby(ask: Asking, rooms: str, agent: Agent) -> str:
    """A process that runs."""
    assert ask.post(PATH, {"name": "lobby", "target": "chat:Room"}).status == 201
    return f"{PATH}/lobby"


@pytest.mark.parametrize("message", [None, 1, "text", [1, {"a": None}], {"op": "increment", "by": 1}, 1.5, True])
def test_a_call_brings_the_reply(ask: Asking, lobby: str, message: Any) -> None:
    answer = ask.post(f"{lobby}/call", {"message": message})
    assert (answer.status, answer.body) == (200, {"reply": message})


@pytest.mark.parametrize(
    ("problem", "status", "code"),
    [
        ("call_timeout", 504, "call_timeout"),
        ("worker_crashed", 502, "worker_crashed"),
        ("not_registered", 404, "unknown_process"),
        ("no_answer", 504, "call_timeout"),
    ],
)
def test_a_call_that_brings_none(ask: Asking, lobby: str, agent: Agent, problem: str, status: int, code: str) -> None:
    agent.answers["call"] = {"ok": False, "problem": problem, "detail": "why"}
    answer = ask.post(f"{lobby}/call", {"message": 1})
    assert (answer.status, answer.code, answer.body["detail"]) == (status, code, "why")


@pytest.mark.parametrize("reply", [b"bytes", [b""], {"a": {"b": [b"x"]}}, float("nan"), [float("inf")]])
def test_a_reply_that_json_cannot_say(ask: Asking, lobby: str, agent: Agent, reply: Any) -> None:
    agent.answers["call"] = {"ok": True, "result": reply}
    answer = ask.post(f"{lobby}/call", {"message": 1})
    assert (answer.status, answer.code) == (502, "not_json")


def test_a_call_waits_no_longer_than_asked(
    ask: Asking, lobby: str, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "SLACK", 0.1)
    agent.silent.add("call")
    assert ask.post(f"{lobby}/call", {"message": 1, "timeout_ms": 50}).code == "call_timeout"
    assert agent.ops().count("call") == 1


def test_the_host_is_asked(ask: Asking, rooms: str, start_agent: Callable[..., Agent]) -> None:
    agents = {name: start_agent(name) for name in ("n1", "n2")}
    host = ask.post(PATH, {"name": "lobby", "target": "chat:Room"}).body["node"]
    for _ in range(5):
        assert ask.post(f"{PATH}/lobby/call", {"message": 1}).status == 200
    assert agents[host].ops().count("call") == 5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"), ({"message": 1, "timeout_ms": 0}, "timeout_ms"), ({"message": 2**70}, "message"),
        ({"message": 1, "timeout_ms": "5"}, "timeout_ms"), ({"message": 1, "to": "n1"}, "to"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be(ask: Asking, lobby: str, body: Any, field: str) -> None:
    answer = ask.post(f"{lobby}/call", body)
    assert (answer.status, answer.fields) == (422, [field])


def test_a_cast_is_accepted(ask: Asking, lobby: str, agent: Agent) -> None:
    answer = ask.post(f"{lobby}/cast", {"message": {"say": "hello"}})
    assert (answer.status, answer.body) == (202, {"accepted": True})
    assert agent.seen[-1]["message"] == {"say": "hello"}
    assert ask.post(f"{PATH}/nobody/cast", {"message": 1}).code == "unknown_process"


def test_a_restart_is_seen_afterwards(ask: Asking, lobby: str, agent: Agent) -> None:
    before = ask.get(lobby).body
    assert ask.post(f"{lobby}/restart", {"reason": "stuck"}).status == 202
    after = ask.get(lobby).body
    assert after["epoch"] > before["epoch"]
    assert AuditEntry.objects.get(action="process.restart").reason == "stuck"
    assert ask.post(f"{lobby}/restart").status == 202
    assert ask.post(f"{PATH}/nobody/restart").code == "unknown_process"


def test_calling_and_writing_are_two_rights(lobby: str) -> None:
    caller, writer = asking("read", "process:call"), asking("read", "process:write")
    assert caller.post(f"{lobby}/call", {"message": 1}).status == 200
    assert caller.post(f"{lobby}/restart").code == "forbidden"
    assert writer.post(f"{lobby}/call", {"message": 1}).code == "forbidden"
    assert writer.post(f"{lobby}/handoff").code == "forbidden"
