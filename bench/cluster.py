"""Agents as the benchmarks hold them: real processes on the real mesh, told what to do through the broker.

Law: started and stopped only by their own process ids; nothing is left behind, whatever is raised. Times are those of
the preset `local`, since all nodes share one machine.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from bench.workers import Driver
from supervisor.client import Client
from supervisor.core.spec import Definition
from swormweb.launch import health, parts, ports
from swormweb.launch.process import spawn
from swormweb.launch.valkey import Valkey

#: Seconds for anything that takes well below one on a quiet machine.
PATIENCE = 120.0

DRIVER = f"{Driver.__module__}:{Driver.__name__}"

#: Names tried for a driver until one belongs on the node meant: each lands on one of the nodes by its hash.
_TRIES = 500


class Trouble(Exception):
    """A benchmark could not be carried out; the message says why."""


class Cluster:
    """Some agents. `drive` one to do a job of `bench.workers`."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._folder = folder
        self._redis_url = redis_url
        self._client = Client(redis_url)
        self._threads = ThreadPoolExecutor(8)
        self._agents: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        self._incarnations: dict[str, int] = {}
        self._drivers: dict[str, str] = {}
        self._key = secrets.token_hex(32)

    def start(self, hosted: Mapping[str, str]) -> None:
        """Start nodes, given with the sworms that each hosts, and wait until all see each other."""
        for name in hosted:
            self._ports[name] = ports.choose(set(self._ports.values()))
        for name, sworms in hosted.items():
            self._agents[name] = self._spawn(name, sworms)
        for name in hosted:
            self._incarnations[name] = self._wait_ready(name)

    def _spawn(self, name: str, sworms: str) -> subprocess.Popen[bytes]:
        join = [self._mesh_url(other) for other in self._ports if other != name]
        environ = {
            **parts.for_agent(os.environ), "PYTHONPATH": str(parts.ROOT), "DJANGO_SETTINGS_MODULE": "swormweb.settings",
            "REDIS_URL": self._redis_url, "SWORM_CLUSTER_KEY": self._key, "SWORM_MESH_PRESET": "local",
            "SWORM_ALLOWED_MODULES": "bench", "SWORM_LOG_LEVEL": "WARNING",
        }  # fmt: skip
        joins = [word for url in join for word in ("--join", url)]
        listen = f"{self._host(name)}:{self._ports[name]}"
        command = parts.manage("agent", "--name", name, "--listen", listen, *joins, "--sworms", sworms)
        return spawn(self._within(name, command), environ, self._folder / f"{name}.log", parts.ROOT)

    def _host(self, name: str) -> str:
        """The address of a node."""
        return ports.HOST

    def _within(self, name: str, command: Sequence[str]) -> Sequence[str]:
        """The command line that runs this one where the node is."""
        return command

    def _mesh_url(self, name: str) -> str:
        return f"ws://{self._host(name)}:{self._ports[name]}"

    def _wait_ready(self, name: str) -> int:
        others, deadline = [other for other in self._ports if other != name], time.monotonic() + PATIENCE
        while reason := health.agent_reason(self._ports[name], others, self._host(name)):
            if self._agents[name].poll() is not None or time.monotonic() > deadline:
                log = (self._folder / f"{name}.log").read_text()[-2_000:]
                raise Trouble(f"{name} {reason}\n{log}")
            time.sleep(0.02)
        return health.incarnation(self._ports[name], self._host(name))

    # ------------------------------------------------------------------------------------------------------- commands

    def _ask(self, node: str, op: str, seconds: float, **fields: Any) -> Any:
        deadline = time.time() + seconds
        answer = self._client.ask(node, self._incarnations[node], op, deadline=deadline, **fields)
        if not answer.ok:
            raise Trouble(f"{node} could not {op}: {answer.problem} {answer.detail}")
        return answer.result

    def define(self, sworm: str, **settings: Any) -> str:
        """Have every node know a sworm; returns its name."""
        for node in self._agents:
            self._ask(node, "define", PATIENCE, definition=Definition(sworm, **settings))
        return sworm

    def driver(self, node: str) -> str:
        """The name of a driver on this node; one is started when there is none."""
        if node not in self._drivers:
            self.define(self._drivers_sworm(node))
            self._drivers[node] = next(self._drivers_on(node))
        return self._drivers[node]

    def _drivers_sworm(self, node: str) -> str:
        """The sworm of a node's driver."""
        return "drivers"

    def _drivers_on(self, node: str) -> Iterator[str]:
        for number in range(_TRIES):
            name = f"{node}-{number}"
            fields: dict[str, Any] = {
                "target": DRIVER,
                "args": [],
                "kwargs": {},
                "isolation": None,
                "meta": {},
                "claim": "",
            }
            told = self._ask(node, "register", PATIENCE, sworm=self._drivers_sworm(node), name=name, **fields)
            if told["node"] == node:
                yield name
        raise Trouble(f"no name of {_TRIES} belongs on {node}")

    def drive(self, node: str, job: str, **arguments: Any) -> Any:
        """Have the driver of a node do a job; returns its figures."""
        message = {"job": job, **arguments}
        milliseconds = int(PATIENCE * 1_000)
        name = self.driver(node)
        sworm = self._drivers_sworm(node)
        return self._ask(node, "call", PATIENCE, sworm=sworm, name=name, message=message, timeout_ms=milliseconds)

    def begin(self, node: str, job: str, **arguments: Any) -> Future[Any]:
        """`drive` without waiting."""
        self.driver(node)
        return self._threads.submit(self.drive, node, job, **arguments)

    def register(
        self, sworm: str, names: Sequence[str], target: str, callers: int, *args: Any, on: str = "n1"
    ) -> dict[str, Any]:
        """Register names by callers on a node; see `bench.workers.register`."""
        told: dict[str, Any] = self.drive(
            on, "register", sworm=sworm, target=target, names=list(names), callers=callers, args=list(args)
        )
        return told

    # ------------------------------------------------------------------------------------------------------ processes

    def processes(self, node: str) -> int:
        """How many processes its supervisor has, drivers included."""
        return int(self._ask(node, "ping", PATIENCE)["processes"])

    def process(self, node: str) -> psutil.Process:
        """The agent's process."""
        return psutil.Process(self._agents[node].pid)

    def cpu(self) -> float:
        """Seconds of CPU that all agents have used."""
        return sum(sum(self.process(node).cpu_times()[:2]) for node in self._agents)

    def memory(self, node: str) -> int:
        """Bytes that only this agent holds."""
        return int(self.process(node).memory_full_info().uss)

    def signal(self, node: str, number: int) -> tuple[float, Future[float]]:
        """Send a signal; returns when (seconds since 1970), and when the node has ended."""
        agent = self._agents[node]
        at = time.time()
        agent.send_signal(number)
        return at, self._threads.submit(_ended, agent)

    def stop(self) -> None:
        """End everything."""
        for agent in self._agents.values():
            if agent.poll() is None:
                agent.send_signal(signal.SIGKILL)
        for agent in self._agents.values():
            agent.wait()
        self._client.close()
        self._threads.shutdown()


def _ended(agent: subprocess.Popen[bytes]) -> float:
    agent.wait(PATIENCE)
    return time.time()


class Bench:
    """What a benchmark gets: clusters, one after the other, over one broker."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self._redis_url = redis_url
        self._numbers = count()

    @contextmanager
    def cluster(self, nodes: int = 3, **hosted: str) -> Iterator[Cluster]:
        """A running cluster of n1, n2 …; `hosted` says which sworms a node hosts (default: all)."""
        folder = self.folder / f"cluster-{next(self._numbers)}"
        folder.mkdir()
        cluster = Cluster(folder, self._redis_url)
        try:
            cluster.start({**{f"n{number}": "*" for number in range(1, nodes + 1)}, **hosted})
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def bench() -> Iterator[Bench]:
    """Make a folder and a broker, and take both away."""
    with tempfile.TemporaryDirectory(prefix="sworm-bench-") as name:
        folder = Path(name)
        valkey = Valkey(folder / "valkey", ports.choose(set()), secrets.token_hex(16), folder / "valkey.log", False)
        server = valkey.start_ready()
        try:
            yield Bench(folder, valkey.url)
        finally:
            server.terminate()
            server.wait()
