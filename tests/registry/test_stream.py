"""What leaves the observer after a commit, and what happens when nobody takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import redis

from registry import stream
from registry.projection import STREAM_COLUMNS, Batch, Mirror
from registry.readmodel import Written
from registry.stream import GROUP, Broker, frame_of, stamp
from tests.registry.rows import entry, replica
from tests.turns import until

N1 = "n1.1"


def rows(count: int = 1) -> Batch:
    names = {f"name-{number}": entry(number) for number in range(count)}
    return Mirror().compare_all({"s": replica("s", {N1: names})})


class Layer:
    """A channel layer that remembers, or that takes its time."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.gate: asyncio.Event | None = None

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        assert group == GROUP
        if self.gate is not None:
            await self.gate.wait()
        self.frames.append(message["frame"])


class Client:
    """A Redis client that remembers, or that is away."""

    def __init__(self) -> None:
        self.published: list[Any] = []
        self.away = False
        self.attempts = 0

    def publish(self, channel: str, message: bytes) -> None:
        self.attempts += 1
        if self.away:
            raise redis.ConnectionError("away")
        self.published.append((channel, msgspec.msgpack.decode(message)))


def scenario(body: Callable[[Broker, Layer, Client, list[float]], Awaitable[None]], **options: int) -> None:
    async def run() -> None:
        layer, client, now = Layer(), Client(), [0.0]
        broker = Broker(client, layer, asyncio.get_running_loop(), lambda: now[0], **options)  # type: ignore[arg-type]
        await body(broker, layer, client, now)

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_commit_is_announced_and_its_rows_are_sent_without_a_gap() -> None:
    async def body(broker: Broker, layer: Layer, client: Client, now: list[float]) -> None:
        broker.committed(Written(5, 5), rows(), {"s": {N1: 3}}, 1.0)
        await until(lambda: len(layer.frames) == 1)
        broker.committed(Written(8, 9), rows(), {}, 1.0)
        await until(lambda: len(layer.frames) == 2)
        broker.beat(12)
        await until(lambda: len(layer.frames) == 3)
        assert [(frame["rev_from"], frame["rev_to"]) for frame in layer.frames] == [(4, 5), (5, 8), (8, 12)]
        assert client.published[0] == ("sworm:observed", {"revision": 5, "versions": {"s": {N1: 3}}})
        assert layer.frames[2]["upserts"]["rows"] == []

    scenario(body)


def test_a_commit_without_rows_sends_no_frame() -> None:
    async def body(broker: Broker, layer: Layer, client: Client, now: list[float]) -> None:
        broker.committed(Written(5, 7), Batch(), {"s": {N1: 3}}, 1.0)
        broker.committed(Written(8, 8), rows(), {}, 1.0)
        await until(lambda: len(layer.frames) == 1)
        assert len(client.published) == 2

    scenario(body)


def test_a_frame_that_nobody_takes_shows_as_a_gap() -> None:
    async def body(broker: Broker, layer: Layer, client: Client, now: list[float]) -> None:
        layer.gate = asyncio.Event()
        for revision in (1, 2, 3):
            broker.committed(Written(revision, revision), rows(), {}, 1.0)
        layer.gate.set()
        await until(lambda: all(one.done() for one in broker._under_way))
        broker.committed(Written(4, 4), rows(), {}, 1.0)
        await until(lambda: len(layer.frames) == 3)
        assert [(frame["rev_from"], frame["rev_to"]) for frame in layer.frames] == [(0, 1), (1, 2), (3, 4)]

    scenario(body, max_under_way=2)


def test_a_broker_that_is_away_costs_one_attempt_a_second() -> None:
    async def body(broker: Broker, layer: Layer, client: Client, now: list[float]) -> None:
        client.away = True
        for _ in range(10):
            broker.committed(Written(1, 1), Batch(), {"s": {N1: 3}}, 1.0)
        assert client.attempts == 1
        client.away, now[0] = False, stream.PAUSE + 0.1
        broker.committed(Written(2, 2), Batch(), {"s": {N1: 4}}, 1.0)
        assert client.published[0][1]["revision"] == 2

    scenario(body)


def test_many_rows_make_a_frame_that_only_says_so() -> None:
    assert set(frame_of(rows(stream.MAX_ROWS + 1), 3, 4, 1.0)) == {"rev_from", "rev_to"}
    frame = frame_of(rows(2), 3, 4, 1.0)
    assert frame["upserts"]["columns"] == list(STREAM_COLUMNS)
    assert [row[-1] for row in frame["upserts"]["rows"]] == [4, 4]


def test_times_are_rfc_3339_in_utc() -> None:
    assert stamp(1_763_906_329_123) == "2025-11-23T13:58:49.123Z"
