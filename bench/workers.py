"""What runs inside the agents: the processes that are registered, and the driver that registers and calls them.

Law: public API only, as any user's worker. A driver does one job at a time and answers with figures; it looks at names
from a thread of its own where waiting on the loop would cost what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from supervisor import NotHandled, NotRegistered, Sworm, SwormError, Worker

ECHO = "bench.workers:Echo"
BALLAST = "bench.workers:Ballast"
WITNESS = "bench.workers:Witness"

#: Pause of a thread that waits for names, in seconds: what it adds to a time.
GLANCE = 0.0002

#: Pause between two looks at one of a hundred names, in seconds: what it adds to a time.
WATCH = 0.005

#: How many calls at once when it is seen whether every name answers.
ASKERS = 50

_pools: dict[str, type[Sworm]] = {}


def pool(name: str) -> type[Sworm]:
    """The class of a sworm of this name."""
    if name not in _pools:
        _pools[name] = type("Measured", (Sworm,), {"name": name})
    return _pools[name]


class Echo(Worker):
    """The smallest process: it answers a call with what it was sent."""

    def handle_call(self, message: Any) -> Any:
        """The message itself."""
        return message


class Witness(Worker):
    """It tells who it is: a process of a name, not the name."""

    def handle_call(self, message: Any) -> Any:
        """The pid."""
        return self.pid


class Ballast(Worker):
    """A counter that carries weight: the state is `size` bytes that only this name can have."""

    def init(self, size: int) -> None:
        """`size` in bytes."""
        self.weight = self.name.encode().ljust(size, b".")
        self.moved = 0

    def handle_call(self, message: Any) -> Any:
        """How often it moved, when its weight is still whole; -1 otherwise."""
        return self.moved if self.weight.startswith(self.name.encode()) and self.weight.endswith(b".") else -1

    def begin_handoff(self) -> Any:
        """All of it."""
        return [self.weight, self.moved]

    def end_handoff(self, state: Any) -> None:
        """All of it."""
        self.weight, self.moved = state[0], state[1] + 1


Job = Callable[..., Awaitable[Any]]


class Driver(Worker):
    """Does what the benchmark asks: `{"job": name, …arguments}`."""

    async def handle_call(self, message: Any) -> Any:
        """Do one job; the reply is its figures."""
        job = JOBS.get(message.pop("job"))
        if job is None:
            raise NotHandled
        return await job(**message)


async def register(sworm: str, target: str, names: list[str], callers: int, args: list[Any]) -> dict[str, Any]:
    """Register names by so many callers; when it began (seconds since 1970), and when each was done after that."""
    wanted, todo = pool(sworm), iter(names)
    done: list[float] = []

    async def caller(todo: Iterator[str]) -> None:
        for name in todo:
            await wanted.register_name(name, target, args, timeout=60)
            done.append(time.perf_counter())

    at, begun = time.time(), time.perf_counter()
    await asyncio.gather(*(caller(todo) for _ in range(callers)))
    return {"at": at, "done": [moment - begun for moment in done]}


async def register_slowly(sworm: str, names: list[str], pause: float) -> list[Any]:
    """Register one name after the other; for each when it was asked for, and the pid."""
    told = []
    for name in names:
        at = time.time()
        told.append([at, await pool(sworm).register_name(name, ECHO, timeout=60)])
        await asyncio.sleep(pause)
    return told


async def register_at(sworm: str, names: list[str], rate: float) -> list[float]:
    """Register names at a steady rate a second; when each was asked for, seconds since 1970."""
    told, loop, tasks = [], asyncio.get_running_loop(), []
    begun = loop.time()
    for number, name in enumerate(names):
        await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
        told.append(time.time())
        tasks.append(asyncio.create_task(pool(sworm).register_name(name, ECHO, timeout=60)))
    await asyncio.gather(*tasks)
    return told


async def see(sworm: str, names: list[str], limit: float) -> list[float]:
    """When each of these names was first seen here, in this order; fewer when `limit` seconds have passed."""
    return await asyncio.to_thread(_see, pool(sworm), names, time.time() + limit)


def _see(wanted: type[Sworm], names: list[str], until: float) -> list[float]:
    seen: list[float] = []
    for name in names:
        while wanted.whereis_name(name) is None:
            if time.time() > until:
                return seen
            time.sleep(GLANCE)
        seen.append(time.time())
    return seen


async def look_up(sworm: str, names: list[str], count: int) -> float:
    """Seconds for so many lookups."""
    whereis = pool(sworm).whereis_name
    rounds = range(max(1, count // len(names)))
    begun = time.perf_counter()
    for _ in rounds:
        for name in names:
            whereis(name)
    return (time.perf_counter() - begun) / (len(rounds) * len(names)) * count


async def list_all(sworm: str, rounds: int) -> list[float]:
    """Seconds for `registered()`, each time."""
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        pool(sworm).registered()
        took.append(time.perf_counter() - begun)
        await asyncio.sleep(0)
    return took


async def where(sworm: str) -> dict[str, str]:
    """Every name and its pid, as known here."""
    return dict(pool(sworm).registered())


async def call(sworm: str, names: list[str], callers: int, count: int) -> dict[str, Any]:
    """Call so often, by so many callers: seconds for all, and for each."""
    wanted, each, took = pool(sworm), count // callers, list[float]()

    async def caller(number: int) -> None:
        for index in range(each):
            begun = time.perf_counter()
            await wanted.call(names[(number + index) % len(names)], index)
            took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return {"seconds": time.perf_counter() - begun, "count": each * callers, "took": took}


async def gone(sworm: str, before: dict[str, str], limit: float) -> float:
    """When none of these names was seen under its old pid any more."""
    await asyncio.to_thread(_gone, pool(sworm), before, time.time() + limit)
    return time.time()


def _gone(wanted: type[Sworm], before: dict[str, str], until: float) -> None:
    for name, pid in before.items():
        while (now := wanted.whereis_name(name)) is None or now == pid:
            if time.time() > until:
                return
            time.sleep(GLANCE)


async def answer(sworm: str, names: list[str], limit: float) -> dict[str, Any]:
    """Call every name until it answers; when the last one did, the replies, and the names that never did."""
    wanted, until, todo = pool(sworm), time.time() + limit, iter(names)
    replies: dict[str, Any] = {}

    async def caller(todo: Iterator[str]) -> None:
        for name in todo:
            while name not in replies and time.time() < until:
                try:
                    replies[name] = await wanted.call(name, "there", timeout=1)
                except NotRegistered:
                    await asyncio.sleep(0.002)
                except SwormError:
                    await asyncio.sleep(0)

    await asyncio.gather(*(caller(todo) for _ in range(ASKERS)))
    return {"at": time.time(), "replies": replies, "lost": [name for name in names if name not in replies]}


async def watch(sworm: str, names: list[str], seconds: float) -> dict[str, dict[str, list[float]]]:
    """Call and look up every name again and again: by name and pid, when it answered and was seen here last."""
    wanted, until = pool(sworm), time.time() + seconds
    told: dict[str, dict[str, list[float]]] = {name: {} for name in names}

    async def caller(name: str) -> None:
        while time.time() < until:
            pid = wanted.whereis_name(name)
            if pid is not None:
                told[name].setdefault(pid, [0.0, 0.0])[1] = time.time()
            try:
                pid = await wanted.call(name, "who", timeout=1)
                told[name].setdefault(pid, [0.0, 0.0])[0] = time.time()
            except SwormError:
                pass
            await asyncio.sleep(WATCH)

    await asyncio.gather(*(caller(name) for name in names))
    return told


JOBS: dict[str, Job] = {
    job.__name__: job
    for job in (register, register_slowly, register_at, see, look_up, list_all, where, call, gone, answer, watch)
}
