"""The public verbs in a Django process, against a scripted agent on its real queue and a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.conf import settings

django.setup()  # when pytest is given this folder, this file is read before pytest-django has done so

from registry import observed  # noqa: E402
from registry.models import Sworm as Row  # noqa: E402
from supervisor import (  # noqa: E402
    AlreadyStarted,
    CallTimeout,
    NoAnswer,
    NoNode,
    NotRegistered,
    StartError,
    Sworm,
    WorkerCrashed,
)
from supervisor.backend import use_backend  # noqa: E402
from supervisor.errors import UnknownSworm  # noqa: E402
from tests.supervisor.agents import Agent, add_node, add_process, observer_writes  # noqa: E402

Play = Callable[..., Agent]


class Lobbies(Sworm):
    handoff = True
    allowed_modules = ("chat",)


@pytest.fixture(autouse=True)
def _django_process(transactional_db: None) -> Iterator[None]:
    observed._Term.looked_at = 0.0
    before = use_backend(None)  # back to what the app installed
    yield
    use_backend(before)


@pytest.fixture(scope="module")
def _agent(redis_url: str) -> Iterator[Agent]:
    made = Agent("b1", settings.REDIS_URL)
    yield made
    made.stop()


@pytest.fixture
def play(_agent: Agent) -> Play:
    """Let the agent be up and follow a script."""

    def start(**script: Any) -> Agent:
        observer_writes()
        _agent.reborn(**script)
        add_node("b1", _agent.incarnation)
        return _agent

    return start


def test_what_was_registered_is_found_called_and_gone_again(play: Play) -> None:
    agent = play()
    pid = Lobbies.sync.register_name("lobby", "chat:Room", [b"\x00", 2], {"size": 3}, meta={"owner": "me"})
    assert Lobbies.sync.whereis_name("lobby") == pid
    assert Lobbies.sync.registered() == [("lobby", pid)]
    assert Lobbies.sync.call("lobby", {"say": b"\xff"}) == {"say": b"\xff"}
    Lobbies.sync.unregister_name("lobby")
    assert Lobbies.sync.whereis_name("lobby") is None
    registered = agent.seen[0]
    assert (registered["args"], registered["kwargs"], registered["meta"]) == (
        [b"\x00", 2],
        {"size": 3},
        {"owner": "me"},
    )


def test_a_sworm_without_a_row_gets_the_class_s_own_definition_once(play: Play) -> None:
    agent = play()
    Lobbies.sync.register_name("a", "chat:Room")
    row = Row.objects.get(name="lobbies")
    assert (row.handoff, row.allowed_modules, row.revision) == (True, ["chat"], 1)
    Row.objects.filter(name="lobbies").update(handoff=False, revision=2)
    Lobbies.sync.register_name("b", "chat:Room")
    assert [command["definition"]["revision"] for command in agent.seen] == [1, 2]
    assert agent.seen[1]["definition"]["handoff"] is False  # the row wins


def test_a_name_that_runs_is_already_started(play: Play) -> None:
    play()
    pid = Lobbies.sync.register_name("a", "chat:Room")
    with pytest.raises(AlreadyStarted) as raised:
        Lobbies.sync.register_name("a", "chat:Room")
    assert raised.value.pid == pid
    assert Lobbies.sync.whereis_or_register_name("a", "chat:Room") == pid


@pytest.mark.parametrize(
    ("problem", "kind"),
    [("start_failed", StartError), ("call_timeout", CallTimeout), ("worker_crashed", WorkerCrashed),
     ("not_registered", NotRegistered), ("no_node", NoNode), ("stopping", NoAnswer)],
)  # fmt: skip
def test_a_refusal_is_raised_as_its_error(play: Play, problem: str, kind: type[Exception]) -> None:
    play(answers={"register": {"ok": False, "problem": problem, "detail": "because"}})
    with pytest.raises(kind, match="because"):
        Lobbies.sync.register_name("a", "chat:Room")


def test_no_node_is_said_at_once() -> None:
    observer_writes()
    with pytest.raises(NoNode):
        Lobbies.sync.register_name("a", "chat:Room")


def test_a_silent_agent_is_no_answer(play: Play) -> None:
    play(silent={"register"})
    with pytest.raises(NoAnswer):
        Lobbies.sync.register_name("a", "chat:Room", timeout=0.3)


def test_a_cast_returns_at_once_and_an_unknown_name_is_told(play: Play) -> None:
    agent = play(silent={"cast"})
    Lobbies.sync.register_name("a", "chat:Room")
    Lobbies.sync.cast("a", {"op": "ring"})
    with pytest.raises(NotRegistered):
        Lobbies.sync.cast("b", {"op": "ring"})
    Lobbies.sync.call("a", 1)  # comes after the cast on the same queue
    assert [command["op"] for command in agent.seen] == ["register", "cast", "call"]


def test_a_sworm_that_nobody_defined_is_unknown(play: Play) -> None:
    play()
    with pytest.raises(UnknownSworm):
        Lobbies.sync.call("a", 1)


def test_verbs_are_awaited_on_an_event_loop_and_reads_work_there_too(play: Play) -> None:
    play()

    async def main() -> None:
        pid = await Lobbies.register_name("a", "chat:Room")
        assert Lobbies.whereis_name("a") == pid
        assert Lobbies.registered() == [("a", pid)]
        assert await Lobbies.call("a", [1]) == [1]
        Lobbies.cast("a", 1)

    asyncio.run(main())


def test_the_blocking_twin_refuses_to_block_an_event_loop(play: Play) -> None:
    play()

    async def main() -> None:
        with pytest.raises(RuntimeError):
            Lobbies.sync.call("a", 1)

    asyncio.run(main())


def test_handoff_and_restart_ask_for_just_that(play: Play) -> None:
    moved = {"ok": True, "result": None}
    agent = play(answers={"handoff": moved})
    Lobbies.sync.register_name("a", "chat:Room")
    add_process("lobbies", "a", "b1")
    Lobbies.sync.restart_name("a")
    Lobbies.sync.handoff_name("a", "n2")
    assert [(command["op"], command.get("to")) for command in agent.seen[1:]] == [("restart", None), ("handoff", "n2")]


def test_names_and_groups_through_the_broker_are_read_from_the_read_model(play: Play) -> None:
    agent = play(answers={})
    pid = Lobbies.sync.register_name("lobby", "chat:Room")
    assert Lobbies.sync.register_name("foyer", pid=pid) is True
    assert Lobbies.sync.register_name("foyer", pid=pid) is False
    assert Lobbies.sync.whereis_name("foyer") == pid
    with pytest.raises(NotRegistered):
        Lobbies.sync.register_name("cellar", pid="n9.1.1")
    for _ in range(2):
        Lobbies.sync.join("all", pid)
        Lobbies.sync.join("all", name="lobby")
        assert Lobbies.sync.members("all") == [pid]
    assert Lobbies.sync.multi_call("all", {"say": b"\xff"}) == {"lobby": {"say": b"\xff"}}
    Lobbies.sync.publish("all", 1)
    Lobbies.sync.leave("all", name="lobby")
    assert Lobbies.sync.members("all") == []
    for verb in (Lobbies.sync.join, Lobbies.sync.leave):
        with pytest.raises(NotRegistered):
            verb("all", name="nobody")
        with pytest.raises(NotRegistered):
            verb("all", "no pid")
        with pytest.raises(ValueError, match="pid of its own"):
            verb("all")
    assert {command["op"] for command in agent.seen} >= {"give_name", "join", "leave", "multi_call"}


def test_the_error_of_a_member_is_its_place_in_the_answer(play: Play) -> None:
    rows = [["a", 1, None], ["b", None, ["worker_crashed", "no"]]]
    play(answers={"multi_call": {"ok": True, "result": rows}})
    Lobbies.sync.register_name("a", "chat:Room")
    replies = Lobbies.sync.multi_call("all", 1)
    assert replies["a"] == 1
    assert isinstance(replies["b"], WorkerCrashed)
