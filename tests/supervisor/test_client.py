"""The client against a real broker, with agents played by small consumers that answer as they are told."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import redis

from supervisor import tasks
from supervisor.broker import DoorbellBroker, embedded_worker
from supervisor.client import Answer, BrokerUnavailable, Client
from supervisor.core.spec import Definition
from supervisor.errors import NoAnswer

Play = Callable[[dict[str, Any]], dict[str, Any] | None]


class PlayedAgent:
    """Consumes one node's queue; `play` says what to answer, None: nothing."""

    def __init__(self, url: str, node: str, play: Play) -> None:
        self.node, self._play = node, play
        self.commands: list[dict[str, Any]] = []
        self.broker = DoorbellBroker(url)
        tasks.declare_command(self.broker, node, self._handle)
        self.worker = embedded_worker(self.broker, tasks.node_queue(node), look_up_ms=50)

    def _handle(self, command: dict[str, Any]) -> None:
        self.commands.append(command)
        fields = self._play(command)
        if fields is not None:
            self.answer(command, fields)

    def answer(self, command: dict[str, Any], fields: dict[str, Any]) -> None:
        data = msgspec.msgpack.encode({"id": command["id"], "node": self.node, **fields})
        with suppress(redis.RedisError):  # the server may end between taking the answer and saying so
            self.broker.client.lpush(command["answer_to"], data)

    def close(self) -> None:
        self.worker.stop(timeout=5_000)
        self.broker.close()


Agents = Callable[[str, Play], PlayedAgent]


@pytest.fixture
def agents(broker_url: str) -> Iterator[Agents]:
    started: list[PlayedAgent] = []

    def start(node: str, play: Play) -> PlayedAgent:
        started.append(PlayedAgent(broker_url, node, play))
        return started[-1]

    yield start
    for agent in started:
        agent.close()


@pytest.fixture
def client(broker_url: str) -> Iterator[Client]:
    made = Client(broker_url)
    yield made
    made.close()


def echo(command: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "result": command.get("value")}


def silent(command: dict[str, Any]) -> None:
    return None


def elsewhere(command: dict[str, Any]) -> dict[str, Any]:
    return {"ok": False, "problem": "other_incarnation", "detail": "I am another one"}


def soon(seconds: float = 20) -> float:
    return time.time() + seconds


def test_an_answer_comes_back_with_its_bytes(client: Client, agents: Agents) -> None:
    agents("n1", echo)
    answer = client.ask("n1", 7, "get", deadline=soon(), value={"state": b"\x00\xff"})
    assert answer == Answer(True, {"state": b"\x00\xff"}, node="n1")


def test_a_command_says_all_that_an_agent_must_know(client: Client, agents: Agents) -> None:
    agent = agents("n1", echo)
    deadline = soon()
    client.ask("n1", 7, "define", deadline=deadline, definition=Definition("rooms", 3), sworm="rooms")
    (command,) = agent.commands
    assert command["definition"] == {**Definition("rooms", 3)._asdict(), "allowed_modules": [], "constraints": []}
    assert (command["v"], command["op"], command["incarnation"], command["deadline"]) == (1, "define", 7, deadline)
    assert command["sworm"] == "rooms"
    assert command["answer_to"].startswith("sworm:answers:")
    assert len(command["id"]) == 32


def test_silence_is_no_answer_at_the_deadline(client: Client, agents: Agents) -> None:
    agents("n1", silent)
    began = time.time()
    with pytest.raises(NoAnswer, match="n1 did not answer in time"):
        client.ask("n1", 7, "get", deadline=began + 0.2)
    assert time.time() - began >= 0.2


def test_an_answer_after_the_deadline_is_forgotten(client: Client, agents: Agents) -> None:
    agent = agents("n1", silent)
    with pytest.raises(NoAnswer):
        client.ask("n1", 7, "get", deadline=soon(0.1))
    agent.answer(agent.commands[0], {"ok": True, "result": "late"})
    agents("n2", echo)
    assert client.ask("n2", 7, "get", deadline=soon(), value="in time").result == "in time"


def test_an_unreadable_answer_harms_nobody_else(client: Client, agents: Agents) -> None:
    def play(command: dict[str, Any]) -> dict[str, Any]:
        agent.broker.client.lpush(command["answer_to"], b"\xc1", b"\x01", msgspec.msgpack.encode({"id": command["id"]}))
        return echo(command)

    agent = agents("n1", play)
    assert client.ask("n1", 7, "get", deadline=soon(), value=1).ok


def readers() -> int:
    """Threads that read answers; others of this process come and go as they like."""
    return sum(thread.name == "answers" for thread in threading.enumerate())


def test_many_threads_share_one_client(client: Client, agents: Agents) -> None:
    agents("n1", echo)
    agents("n2", echo)
    before = readers()
    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda n: client.ask(f"n{n % 2 + 1}", 7, "get", deadline=soon(), value=n).result, range(200))
        assert list(answers) == list(range(200))
    assert readers() <= before + 1  # one reader, whoever asks


def test_an_event_loop_waits_for_many_without_threads(client: Client, agents: Agents) -> None:
    agents("n1", echo)

    async def main() -> list[Any]:
        asking = [client.ask_async("n1", 7, "get", deadline=soon(), value=n) for n in range(100)]
        return [answer.result for answer in await asyncio.gather(*asking)]

    assert asyncio.run(main()) == list(range(100))


def test_an_event_loop_meets_silence_at_the_deadline(client: Client, agents: Agents) -> None:
    agents("n1", silent)
    with pytest.raises(NoAnswer):
        asyncio.run(client.ask_async("n1", 7, "get", deadline=soon(0.1)))


Ask = Callable[..., Answer]


@pytest.fixture(params=["thread", "loop"])
def ask_any(request: pytest.FixtureRequest, client: Client) -> Ask:
    def ask(*args: Any, **kwargs: Any) -> Answer:
        if request.param == "thread":
            return client.ask_any(*args, **kwargs)
        return asyncio.run(client.ask_any_async(*args, **kwargs))

    return ask


def test_the_next_node_is_asked_with_the_same_claim_when_one_is_silent(ask_any: Ask, agents: Agents) -> None:
    first, second = agents("n1", silent), agents("n2", echo)
    answer = ask_any([("n1", 1), ("n2", 2)], "register", deadline=soon(1), value="v")
    assert (answer.node, answer.result) == ("n2", "v")
    assert first.commands[0]["claim"] == second.commands[0]["claim"]
    assert (first.commands[0]["incarnation"], second.commands[0]["incarnation"]) == (1, 2)


def test_a_late_answer_of_the_first_node_counts(ask_any: Ask, agents: Agents) -> None:
    first = agents("n1", silent)

    def play(command: dict[str, Any]) -> None:
        first.answer(first.commands[0], {"ok": True, "result": "late but good"})

    agents("n2", play)
    assert ask_any([("n1", 1), ("n2", 2)], "register", deadline=soon(2)).result == "late but good"


def test_a_node_that_did_not_begin_passes_the_turn_at_once(ask_any: Ask, agents: Agents) -> None:
    agents("n1", elsewhere)
    agents("n2", echo)
    began = time.monotonic()
    assert ask_any([("n1", 1), ("n2", 2)], "call", deadline=soon(20), value=1).ok
    assert time.monotonic() - began < 5


def test_a_call_is_not_sent_to_a_second_node_while_the_first_may_run_it(ask_any: Ask, agents: Agents) -> None:
    agents("n1", silent)
    second = agents("n2", echo)
    with pytest.raises(NoAnswer):
        ask_any([("n1", 1), ("n2", 2)], "call", deadline=soon(0.3))
    assert second.commands == []


class Busy(Client):
    """A client whose thread comes back from sending only when the answer is there already."""

    def _send(self, attempt: Any) -> None:
        super()._send(attempt)
        attempt.future.result(10)


@pytest.mark.parametrize("on_loop", [False, True])
def test_an_answer_that_comes_before_the_wait_begins_is_the_answer(
    broker_url: str, agents: Agents, on_loop: bool
) -> None:
    agents("n1", echo)
    second = agents("n2", echo)
    client = Busy(broker_url)
    nodes = [("n1", 1), ("n2", 2)]
    for number in range(3):
        if on_loop:
            answer = asyncio.run(client.ask_any_async(nodes, "call", deadline=soon(), value=number))
        else:
            answer = client.ask_any(nodes, "call", deadline=soon(), value=number)
        assert (answer.node, answer.result) == ("n1", number)
    client.close()
    assert second.commands == []


def test_all_refusing_to_begin_gives_the_last_refusal(ask_any: Ask, agents: Agents) -> None:
    agents("n1", elsewhere)
    agents("n2", elsewhere)
    answer = ask_any([("n1", 1), ("n2", 2)], "register", deadline=soon(20))
    assert (answer.ok, answer.problem, answer.node) == (False, "other_incarnation", "n2")


def test_a_refusal_of_the_last_node_leaves_the_first_its_time(ask_any: Ask, agents: Agents) -> None:
    first = agents("n1", silent)

    def play(command: dict[str, Any]) -> dict[str, Any]:
        threading.Timer(0.05, first.answer, (first.commands[0], {"ok": True, "result": 1})).start()
        return elsewhere(command)

    agents("n2", play)
    assert ask_any([("n1", 1), ("n2", 2)], "register", deadline=soon(2)).node == "n1"


def test_no_node_to_ask_is_no_answer(ask_any: Ask) -> None:
    with pytest.raises(NoAnswer, match="no node"):
        ask_any([], "register", deadline=soon())


def test_without_a_broker_the_caller_is_told_at_once(mortal_valkey: Any) -> None:
    mortal_valkey.stop()
    client = Client(mortal_valkey.url)
    with pytest.raises(BrokerUnavailable):
        client.ask("n1", 7, "get", deadline=soon())
    client.close()


def test_answers_come_again_after_an_outage(mortal_valkey: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(mortal_valkey.url)
    agent = PlayedAgent(mortal_valkey.url, "n1", echo)
    with caplog.at_level(logging.INFO):
        assert client.ask("n1", 7, "get", deadline=soon(), value=1).result == 1
        mortal_valkey.stop()
        with pytest.raises(BrokerUnavailable):
            client.ask("n1", 7, "get", deadline=soon())
        mortal_valkey.start()
        assert client.ask("n1", 7, "get", deadline=soon(), value=2).result == 2
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    agent.close()
    client.close()
