"""Probes against real endpoints on the loopback address: what they measure, remember and hand over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from examples.probes import KEPT, Probe, Probes, Statistics
from supervisor import NotHandled

pytestmark = pytest.mark.asyncio


class Owner:
    """Stands for what runs the worker: a coroutine beside the messages is a task, or is thrown away."""

    def __init__(self, runs: bool = False) -> None:
        self.runs = runs
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        if self.runs:
            self.tasks.append(asyncio.get_running_loop().create_task(coroutine))
        else:
            coroutine.close()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def probe(url: str, owner: Owner | None = None, every: float = 2.0) -> Probe:
    worker = Probe()
    worker._owner = owner or Owner()  # type: ignore[assignment]
    worker.init(url, every)
    return worker


class Endpoint:
    """Where it is, and what it heard."""

    def __init__(self) -> None:
        self.address = ""
        self.heard: list[bytes] = []
        self.visited = asyncio.Event()


@asynccontextmanager
async def serve(answer: bytes, after: int = 0) -> AsyncIterator[Endpoint]:
    """An endpoint that says this after a line; gone, with all its connections, when the block ends."""
    talks: list[asyncio.Task[None]] = []
    endpoint = Endpoint()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        endpoint.heard.append(await reader.readline())
        writer.write(answer)
        writer.close()
        await writer.wait_closed()
        if len(endpoint.heard) == after:
            endpoint.visited.set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.get_running_loop().create_task(talk(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        endpoint.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield endpoint
        await asyncio.gather(*talks, return_exceptions=True)


async def test_a_page_that_answers_200_is_measured() -> None:
    async with serve(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        worker = probe(f"http://{endpoint.address}/healthz")
        await worker.measure()
        await worker.measure()
    told = worker.handle_call({"op": "get"})
    assert endpoint.heard == [b"GET /healthz HTTP/1.1\r\n"] * 2
    assert (told["count"], told["failures"], told["problem"]) == (2, 0, "")
    assert min(told["last_ms"], told["mean_ms"], told["p99_ms"]) > 0


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"nonsense\r\n", b""])
async def test_any_other_answer_is_a_failure_with_its_words(answer: bytes) -> None:
    async with serve(answer) as endpoint:
        worker = probe(f"http://{endpoint.address}/")
        await worker.measure()
    told = worker.handle_call({"op": "get"})
    assert (told["count"], told["failures"], told["last_ms"]) == (1, 1, None)
    assert "answered" in told["problem"]


async def test_a_tcp_endpoint_is_connected_to_and_sent_nothing() -> None:
    async with serve(b"") as endpoint:
        worker = probe(f"tcp://{endpoint.address}")
        await worker.measure()
    assert endpoint.heard == [b""]
    assert worker.handle_call({"op": "get"})["failures"] == 0


async def test_a_closed_port_is_a_failure_and_the_next_success_clears_the_problem() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        worker = probe(f"tcp://127.0.0.1:{free.getsockname()[1]}")
    await worker.measure()
    assert worker.handle_call({"op": "get"})["problem"]
    async with serve(b"") as endpoint:
        worker.url = f"tcp://{endpoint.address}"
        await worker.measure()
    assert worker.handle_call({"op": "get"})["problem"] == ""


async def test_it_measures_at_intervals_beside_its_messages() -> None:
    async with serve(b"HTTP/1.1 200 OK\r\n\r\n", after=3) as endpoint, asyncio.timeout(30):
        owner = Owner(runs=True)
        worker = probe(f"http://{endpoint.address}/", owner, every=0.001)
        await endpoint.visited.wait()
        await owner.end()
    assert worker.handle_call({"op": "get"})["count"] >= 2


async def test_its_figures_move_with_it() -> None:
    async with serve(b"") as endpoint:
        old = probe(f"tcp://{endpoint.address}")
        await old.measure()
        new = probe(f"tcp://{endpoint.address}")
        new.end_handoff(old.begin_handoff())
        assert new.handle_call({"op": "get"}) == old.handle_call({"op": "get"})
        await new.measure()
    assert new.handle_call({"op": "get"})["count"] == 2


async def test_of_two_the_one_that_saw_more_is_believed() -> None:
    worker = probe("tcp://127.0.0.1:1")
    worker.statistics.succeeded(1.0)
    worker.resolve_conflict(Statistics().state())
    assert worker.statistics.count == 1
    worker.resolve_conflict(Statistics(9, 2, 70.0, [10.0] * 7).state())
    assert worker.statistics.summary()["mean_ms"] == 10.0


async def test_it_refuses_what_it_does_not_know() -> None:
    with pytest.raises(NotHandled):
        probe("tcp://127.0.0.1:1").handle_call({"op": "reset"})


async def test_the_percentile_is_of_the_latest_and_the_state_stays_small() -> None:
    statistics = Statistics()
    for latency in range(2 * KEPT):
        statistics.succeeded(float(latency))
    told = statistics.summary()
    assert told["count"] == 2 * KEPT
    assert told["p99_ms"] == KEPT + (KEPT - 1) * 99 // 100
    assert len(statistics.state()[3]) == KEPT


async def test_its_pool_hands_off_and_never_ends() -> None:
    assert (Probes.name, Probes.handoff, Probes.restart) == ("probes", True, "permanent")
