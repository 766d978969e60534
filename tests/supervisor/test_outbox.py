"""Answers leave at once, reports in batches; an absent broker costs memory up to a bound, and nobody's time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis

from registry.core.events import Report
from supervisor import outbox as module
from supervisor.broker import DoorbellBroker
from supervisor.outbox import MOST_REPORTS, Counts, Outbox, encoded


@pytest.fixture
def made() -> Iterator[Callable[[str], Outbox]]:
    opened: list[tuple[Outbox, DoorbellBroker]] = []

    def make(url: str) -> Outbox:
        broker = DoorbellBroker(url)
        outbox = Outbox(broker, "n1.17", Counts())
        opened.append((outbox, broker))
        outbox.start()
        return outbox

    yield make
    for outbox, broker in opened:
        outbox.close(20)
        broker.close()


def answers(url: str, count: int) -> list[dict[str, Any]]:
    """The next answers of the list "asker", in order."""
    with redis.Redis.from_url(url) as client:
        taken: list[Any] = [client.brpop(["asker"], timeout=20) for _ in range(count)]
    return [msgspec.msgpack.decode(data) for _, data in taken]


def batches(url: str) -> list[dict[str, Any]]:
    """The batches of reports that wait for the observer, in order."""
    with redis.Redis.from_url(url) as client:
        ids: Any = client.lrange("sworm:observer", 0, -1)
        bodies: list[Any] = [client.hget("sworm:observer.msgs", batch) for batch in ids]
    return [msgspec.msgpack.decode(body)["args"][0] for body in bodies]


def test_answers_arrive_in_order_and_expire(made: Callable[[str], Outbox], broker_url: str) -> None:
    outbox = made(broker_url)
    outbox.answer("kept", {"id": "x"})
    for number in range(500):
        outbox.answer("asker", {"id": str(number), "ok": True, "result": b"\xff"})
    got = answers(broker_url, 500)
    assert [answer["id"] for answer in got] == [str(number) for number in range(500)]
    with redis.Redis.from_url(broker_url) as client:
        assert 0 < client.ttl("kept") <= module.ANSWER_LIFE


def test_reports_are_batched_and_complete(made: Callable[[str], Outbox], broker_url: str) -> None:
    outbox = made(broker_url)
    before = time.time()
    for number in range(2 * MOST_REPORTS + 1):
        outbox.report(Report("started", "rooms", f"r{number}", f"n1.17.{number}", "n1", "", number))
    outbox.close(20)
    got = batches(broker_url)
    assert len(got) <= 5
    assert all(len(batch["reports"]) <= MOST_REPORTS for batch in got)
    reports = [report for batch in got for report in batch["reports"]]
    assert [report["epoch"] for report in reports] == list(range(2 * MOST_REPORTS + 1))
    assert {"v": 1, "node": "n1", "incarnation": 17}.items() <= got[0].items()
    first = reports[0]
    assert before <= first.pop("at") <= time.time()
    assert first == {
        "kind": "started", "sworm": "rooms", "name": "r0", "pid": "n1.17.0", "node": "n1", "detail": "", "epoch": 0
    }  # fmt: skip
    assert len({batch["id"] for batch in got}) == len(got)


def test_what_came_while_the_broker_was_away_arrives_afterwards(
    made: Callable[[str], Outbox], mortal_valkey: Any
) -> None:
    outbox = made(mortal_valkey.url)
    mortal_valkey.stop()
    outbox.report(Report("dead", node="n2"))
    outbox.answer("asker", {"id": "late"})
    mortal_valkey.start()
    assert answers(mortal_valkey.url, 1) == [{"id": "late"}]
    outbox.close(20)
    assert [report["kind"] for batch in batches(mortal_valkey.url) for report in batch["reports"]] == ["dead"]


def test_reports_beyond_the_bound_push_out_the_oldest_and_are_counted() -> None:
    outbox = Outbox(DoorbellBroker("redis://127.0.0.1:1/0"), "n1.17", Counts(), kept_reports=3)
    for number in range(5):
        outbox.report(Report("started", epoch=number))
    assert [report["epoch"] for report in outbox._reports] == [2, 3, 4]
    assert outbox.counts.reports_dropped == 2


def test_putting_things_in_never_waits_for_an_absent_broker(made: Callable[[str], Outbox]) -> None:
    outbox = made("redis://127.0.0.1:1/0")
    began = time.monotonic()
    for _ in range(1000):
        outbox.report(Report("started"))
        outbox.answer("asker", {"id": "x"})
    assert time.monotonic() - began < 1.0


def test_closing_does_not_wait_for_an_absent_broker(made: Callable[[str], Outbox]) -> None:
    outbox = made("redis://127.0.0.1:1/0")
    outbox.report(Report("started"))
    began = time.monotonic()
    outbox.close(20)
    assert time.monotonic() - began < 10


def test_an_answer_that_cannot_be_encoded_becomes_an_error() -> None:
    answer = msgspec.msgpack.decode(encoded({"id": "x", "node": "n1", "ok": True, "result": object()}))
    assert (answer["id"], answer["ok"], answer["problem"]) == ("x", False, "bad_value")
