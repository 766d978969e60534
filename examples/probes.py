"""Watches endpoints: a process for each, which measures it at intervals and remembers what it saw.

    await Probes.register_name("web", "examples.probes:Probe", ["http://127.0.0.1:8000/healthz"])
    await Probes.call("web", {"op": "get"})  # {"count": 12, "failures": 0, "p99_ms": 3.1, …}

`http://` asks for a page and wants status 200; `tcp://` opens a connection, sends nothing and closes it. When the node
of a probe shuts down, the probe moves with its figures.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from supervisor import NotHandled, Sworm, Worker

#: Latencies kept for the percentile: at a measurement every 2 s, those of the last half hour.
KEPT = 1_000

#: Seconds after which a measurement counts as failed.
PATIENCE = 5.0


class Probes(Sworm):
    """The pool. A probe ends only when somebody unregisters it."""

    handoff = True
    restart = "permanent"


class Statistics:
    """What a probe remembers; latencies in milliseconds."""

    def __init__(
        self, count: int = 0, failures: int = 0, total: float = 0.0, recent: list[float] | None = None
    ) -> None:
        self.count = count
        self.failures = failures
        self.total = total
        self.recent = deque(recent or [], KEPT)

    def succeeded(self, latency: float) -> None:
        """One measurement that went well."""
        self.count += 1
        self.total += latency
        self.recent.append(latency)

    def failed(self) -> None:
        """One that did not."""
        self.count += 1
        self.failures += 1

    def summary(self) -> dict[str, Any]:
        """The figures as people read them; None while there is nothing to tell."""
        good = self.count - self.failures
        ordered = sorted(self.recent)
        return {
            "count": self.count,
            "failures": self.failures,
            "last_ms": self.recent[-1] if good else None,
            "mean_ms": round(self.total / good, 3) if good else None,
            "p99_ms": ordered[(len(ordered) - 1) * 99 // 100] if ordered else None,
        }

    def state(self) -> list[Any]:
        """All of it, as it travels."""
        return [self.count, self.failures, self.total, list(self.recent)]


class Probe(Worker):
    """Measures `url` every `every` seconds."""

    def init(self, url: str, every: float = 2.0) -> None:
        """The arguments of `register_name` arrive here."""
        self.url = url
        self.every = every
        self.statistics = Statistics()
        self.problem = ""  #: why the last measurement failed
        self.spawn(self.measure_for_ever())

    async def measure_for_ever(self) -> None:
        """Runs beside the messages, and ends with the worker."""
        while True:
            await self.measure()
            await asyncio.sleep(self.every)

    async def measure(self) -> None:
        """Measure once."""
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                await reach(self.url)
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError
            self.problem = str(error) or f"no answer within {PATIENCE:g} s"
            self.statistics.failed()
        else:
            self.problem = ""
            self.statistics.succeeded(round((time.perf_counter() - begun) * 1_000, 3))

    def handle_call(self, message: Any) -> Any:
        """`{"op": "get"}` answers with the figures."""
        if message != {"op": "get"}:
            raise NotHandled(f"a probe cannot {message!r}")
        return {"url": self.url, "problem": self.problem, **self.statistics.summary()}

    def begin_handoff(self) -> list[Any]:
        """What moves to the next node."""
        return self.statistics.state()

    def end_handoff(self, state: list[Any]) -> None:
        """What moved here."""
        self.statistics = Statistics(*state)

    def resolve_conflict(self, state: list[Any]) -> None:
        """Of two that a network split made, the one that has seen more is believed."""
        if state[0] > self.statistics.count:
            self.statistics = Statistics(*state)


async def reach(url: str) -> None:
    """Reach an endpoint once. Raises `OSError` when it cannot be, `ValueError` when it answers something else."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        if address.scheme == "http":
            request = f"GET {address.path or '/'} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            status = (await reader.readline()).decode(errors="replace").strip()
            if status.split(" ")[1:2] != ["200"]:
                raise ValueError(f"answered {status!r}")
    finally:
        writer.close()
