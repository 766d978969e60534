"""The broker's contract, kept by both twins; then what only the real one can show: doorbell, outage, threads."""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import DecodeError

from supervisor.broker import (
    IDLE_POLL,
    NAMESPACE,
    DoorbellBroker,
    GiveBack,
    MemoryBroker,
    MessagePackEncoder,
    embedded_worker,
)

AnyBroker = DoorbellBroker | MemoryBroker


def send(broker: dramatiq.Broker, payload: Any, *, actor: str = "act", queue_name: str = "work") -> None:
    broker.enqueue(dramatiq.Message(queue_name=queue_name, actor_name=actor, args=(payload,), kwargs={}, options={}))


class Consumed:
    """What a worker handed to its actor, in order."""

    def __init__(self, broker: dramatiq.Broker, act: Callable[[Any], None] | None = None) -> None:
        self.got: queue.Queue[Any] = queue.Queue()
        self._act = act
        dramatiq.actor(broker=broker, actor_name="act", queue_name="work")(self._handle)
        self.worker = embedded_worker(broker, "work", look_up_ms=50)

    def _handle(self, payload: Any) -> None:
        self.got.put(payload)
        if self._act is not None:
            self._act(payload)

    def next(self, timeout: float = 20) -> Any:
        return self.got.get(timeout=timeout)


@pytest.fixture(params=["memory", "valkey"])
def broker(request: pytest.FixtureRequest) -> Iterator[AnyBroker]:
    made: AnyBroker
    made = MemoryBroker() if request.param == "memory" else DoorbellBroker(request.getfixturevalue("broker_url"))
    yield made
    made.close()


@pytest.fixture
def consume(broker: AnyBroker) -> Iterator[Callable[..., Consumed]]:
    started: list[Consumed] = []

    def start(act: Callable[[Any], None] | None = None) -> Consumed:
        started.append(Consumed(broker, act))
        return started[-1]

    yield start
    for consumed in started:
        consumed.worker.stop(timeout=5_000)


# ------------------------------------------------------------------------------------------------------------ contract


def test_a_message_arrives_with_its_bytes(broker: AnyBroker, consume: Callable[..., Consumed]) -> None:
    consumed = consume()
    send(broker, {"state": b"\x00\xff", "n": 2**60, "list": [1, None, "ä"]})
    assert consumed.next() == {"state": b"\x00\xff", "n": 2**60, "list": [1, None, "ä"]}


def test_messages_arrive_once_and_in_order(broker: AnyBroker, consume: Callable[..., Consumed]) -> None:
    for number in range(150):
        send(broker, number)
    consumed = consume()
    for number in range(150, 300):
        send(broker, number)
    assert [consumed.next() for _ in range(300)] == list(range(300))
    assert consumed.got.empty()


def test_messages_sent_before_anyone_consumes_wait(broker: AnyBroker, consume: Callable[..., Consumed]) -> None:
    send(broker, "early")
    assert consume().next() == "early"


def test_an_actor_that_raises_does_not_stop_the_next_message(
    broker: AnyBroker, consume: Callable[..., Consumed]
) -> None:
    def act(payload: Any) -> None:
        if payload == "bad":
            raise ValueError(payload)

    consumed = consume(act)
    send(broker, "bad")
    send(broker, "good")
    assert [consumed.next(), consumed.next()] == ["bad", "good"]


def test_a_message_for_an_unknown_actor_does_not_stop_the_next(
    broker: AnyBroker, consume: Callable[..., Consumed]
) -> None:
    consumed = consume()
    send(broker, "lost", actor="nobody")
    send(broker, "found")
    assert consumed.next() == "found"


def test_a_message_given_back_comes_again(broker: AnyBroker, consume: Callable[..., Consumed]) -> None:
    seen: list[Any] = []

    def act(payload: Any) -> None:
        seen.append(payload)
        if len(seen) == 1:
            raise GiveBack("not now")

    consumed = consume(act)
    send(broker, "again")
    assert [consumed.next(), consumed.next()] == ["again", "again"]


def test_a_queue_has_no_delay_queue(broker: AnyBroker) -> None:
    message: dramatiq.Message[Any] = dramatiq.Message(
        queue_name="work", actor_name="act", args=(), kwargs={}, options={}
    )
    with pytest.raises(ValueError, match="no delay queue"):
        broker.enqueue(message, delay=10)


def test_a_value_that_messagepack_cannot_carry_is_refused_at_the_sender(broker: AnyBroker) -> None:
    with pytest.raises(TypeError):
        send(broker, object())


def test_the_encoder_refuses_what_is_not_messagepack() -> None:
    with pytest.raises(DecodeError, match="not a MessagePack message"):
        MessagePackEncoder().decode(b"\xc1")


# -------------------------------------------------------------------------------------------------- only the real one


@pytest.fixture
def doorbell(broker_url: str) -> Iterator[DoorbellBroker]:
    made = DoorbellBroker(broker_url)
    yield made
    made.close()


def test_an_idle_consumer_is_woken_by_the_bell(doorbell: DoorbellBroker, broker_url: str) -> None:
    consumed = Consumed(doorbell)
    sender = DoorbellBroker(broker_url)
    send(sender, "first")
    consumed.next()
    began = time.monotonic()
    send(sender, "second")
    consumed.next()
    assert time.monotonic() - began < IDLE_POLL / 2  # it did not wait for its poll
    consumed.worker.stop(timeout=5_000)
    sender.close()


def test_a_full_consumer_looks_again_when_one_is_done(doorbell: DoorbellBroker) -> None:
    """More messages than the prefetch: the next look must come from the acknowledgement, not from the poll."""
    began = time.monotonic()
    for number in range(200):
        send(doorbell, number)
    consumed = Consumed(doorbell)
    assert [consumed.next() for _ in range(200)] == list(range(200))
    assert time.monotonic() - began < IDLE_POLL
    consumed.worker.stop(timeout=5_000)


def test_one_thread_for_the_consumer_one_for_its_bell_one_for_the_actor(doorbell: DoorbellBroker) -> None:
    before = set(threading.enumerate())
    consumed = Consumed(doorbell)
    send(doorbell, 1)
    consumed.next()
    mine = set(threading.enumerate()) - before
    assert len(mine) == 3
    assert all(thread.daemon for thread in mine)
    consumed.worker.stop(timeout=5_000)


def test_an_unreadable_message_is_dropped(doorbell: DoorbellBroker, broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as client:
        client.hset(f"{NAMESPACE}:work.msgs", "x", b"\xc1 not a message")
        client.rpush(f"{NAMESPACE}:work", "x")
    consumed = Consumed(doorbell)
    send(doorbell, "readable")
    assert consumed.next() == "readable"
    consumed.worker.stop(timeout=5_000)


@pytest.mark.parametrize(
    "odd",
    [{"options": None}, {"options": {}}, {"args": None}, {"args": ()}, {"kwargs": {"a": 1}}, {"actor_name": "another"}],
)
def test_a_message_that_is_none_of_ours_is_dropped_with_a_word(
    doorbell: DoorbellBroker, broker_url: str, odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    message = {
        "queue_name": "work", "actor_name": "act", "args": (1,), "kwargs": {}, "options": {"redis_message_id": "x"},
        "message_id": "x", "message_timestamp": 0,
    }  # fmt: skip
    with redis.Redis.from_url(broker_url) as client:
        client.hset(f"{NAMESPACE}:work.msgs", "x", MessagePackEncoder().encode(message | odd))
        client.rpush(f"{NAMESPACE}:work", "x")
    consumed = Consumed(doorbell)
    send(doorbell, "ours")
    assert consumed.next() == "ours"
    consumed.worker.stop(timeout=5_000)
    assert re.search("dropped an? (unreadable )?message on queue work", caplog.text)
    assert "Traceback" not in caplog.text


def test_a_processed_message_leaves_nothing_behind(doorbell: DoorbellBroker, broker_url: str) -> None:
    consumed = Consumed(doorbell)
    send(doorbell, 1)
    consumed.next()
    doorbell.join("work", timeout=20_000, interval=5)
    consumed.worker.stop(timeout=5_000)
    with redis.Redis.from_url(broker_url) as client:
        assert client.keys(f"{NAMESPACE}:work*") == []


def test_stopping_ends_the_consumer_promptly(doorbell: DoorbellBroker) -> None:
    consumed = Consumed(doorbell)
    began = time.monotonic()
    consumed.worker.stop(timeout=20_000)
    assert time.monotonic() - began < IDLE_POLL
    assert not any(thread.is_alive() for thread in consumed.worker.consumers.values())


def test_the_consumer_survives_an_outage_and_says_so_once(mortal_valkey: Any, caplog: pytest.LogCaptureFixture) -> None:
    broker = DoorbellBroker(mortal_valkey.url)
    hold, held = threading.Event(), threading.Event()

    def act(payload: Any) -> None:
        if payload == "held":
            held.set()
            hold.wait(20)

    consumed = Consumed(broker, act)
    with caplog.at_level(logging.INFO):
        send(broker, "held")
        assert held.wait(20)
        mortal_valkey.stop()
        with pytest.raises(redis.ConnectionError):
            send(broker, "into the void")
        hold.set()  # its acknowledgement falls into the outage
        mortal_valkey.start()
        send(broker, "after")
        assert [consumed.next(), consumed.next()] == ["held", "after"]
        broker.join("work", timeout=20_000, interval=5)  # the held one was acknowledged after all
    mine = [record for record in caplog.records if record.name == "supervisor.broker"]
    assert len(mine) == 2 * broker.outage.count
    assert broker.outage.count <= 2  # a thread may meet the old connection's end just after another met the new server
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    consumed.worker.stop(timeout=5_000)
    broker.close()
