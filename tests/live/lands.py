"""Agents in network namespaces of their own, on one bridge: a cable can be pulled, and nothing else notices.

Law: whatever is made here is named by this process's id and taken away again. A pulled cable is silent: no link is
closed, no address vanishes. The broker is reached over a Unix socket, so that commands come through while cables are
pulled. Namespaces need root and `ip` (the package iproute2); where they cannot be had, the tests fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import redis

from supervisor.client import Answer, Client
from supervisor.core.spec import Definition
from swormweb.launch.valkey import binary
from tests.supervisor.processes import LIMIT, ROOT, environment, until

PORT = 7001

_numbers = count()  #: of the bridges of this process


def ip(*words: str) -> None:
    """Run `ip`; a failure shows what it said."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}(network namespaces need root and iproute2)"


class Land:
    """One namespace with one agent."""

    def __init__(self, number: int, bridge: str, net: str) -> None:
        self.name, self.bridge = f"n{number}", bridge
        self.space, self.address = f"{bridge}-{number}", f"{net}.{number}"
        self.port = f"{bridge}p{number}"  # of the bridge
        self.process: subprocess.Popen[bytes] | None = None
        self.incarnation = 0

    def build(self) -> None:
        """Make the namespace and its cable."""
        ip("netns", "add", self.space)
        ip("link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            ip("-n", self.space, "link", "set", link, "up")
        ip("link", "set", self.port, "master", self.bridge, "up")

    def pull(self) -> None:
        """Nothing gets through any more."""
        ip("link", "set", self.port, "nomaster")

    def plug(self) -> None:
        """It does again."""
        ip("link", "set", self.port, "master", self.bridge)

    def start(self, redis_url: str, join: str, folder: Path, **more: str) -> None:
        """Start its agent."""
        flags = ("agent", "--name", self.name, "--listen", f"{self.address}:{PORT}")
        with (folder / f"{self.name}.log").open("ab") as out:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.space, sys.executable, str(ROOT / "manage.py"), *flags],
                env={**environment(redis_url, join), **more}, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out,
            )  # fmt: skip

    def ready(self) -> dict[str, Any]:
        """What /readyz says; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:{PORT}/readyz", timeout=5) as answer:
                return dict(json.loads(answer.read()))
        except OSError:
            return {}

    def demolish(self) -> None:
        """Kill the agent and take the namespace away."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for words in (("link", "del", self.port), ("netns", "del", self.space)):
            with suppress(AssertionError):
                ip(*words)


class Lands:
    """Some lands, and a client that asks their agents."""

    def __init__(self, size: int, folder: Path, definition: Definition, **more: str) -> None:
        self.folder, self.definition, self.more = folder, definition, more
        number = next(_numbers)
        self.bridge, self.net = f"sw{os.getpid() % 100_000}{chr(97 + number % 26)}", f"10.213.{os.getpid() % 250}"
        self.lands = {f"n{number}": Land(number, self.bridge, self.net) for number in range(1, size + 1)}
        self.socket = folder / "broker.sock"
        self.redis_url = f"unix://{self.socket}"
        self.server: subprocess.Popen[bytes] | None = None
        self.client: Client | None = None

    def open(self) -> None:
        """Build everything, start the agents, wait until they are together."""
        self.server = subprocess.Popen(
            [str(binary()), "--port", "0", "--unixsocket", str(self.socket), "--save", ""],
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        until(self.socket.exists, "the broker listens")
        self.client = Client(self.redis_url)
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.net}.254/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for land in self.lands.values():
            land.build()
        join = ",".join(f"ws://{land.address}:{PORT}" for land in self.lands.values())
        for land in self.lands.values():
            land.start(self.redis_url, join, self.folder, **self.more)
        self.together()
        for land in self.lands.values():
            land.incarnation = land.ready()["incarnation"]

    def together(self) -> None:
        """Wait until all agents are up, alive for each other, and agree."""

        def met() -> bool:
            told = [land.ready() for land in self.lands.values()]
            return all(
                one.get("status") == "up" and one["ready"]
                and sum(peer["state"] == "alive" for peer in one["peers"]) == len(told) - 1
                for one in told
            )  # fmt: skip

        until(met, "all agents together")

    def ask(self, at: str, op: str, deadline: float = LIMIT, **fields: Any) -> Answer:
        """Ask one agent."""
        fields.setdefault("sworm", self.definition.name)
        assert self.client is not None
        land, until_at = self.lands[at], time.time() + deadline
        return self.client.ask(at, land.incarnation, op, deadline=until_at, definition=self.definition, **fields)

    def register(self, at: str, names: list[str]) -> list[dict[str, Any]]:
        """Register counters at one agent; returns the results."""
        items = [{"name": name, "target": "examples.counters:Counter", "args": [0]} for name in names]
        answer = self.ask(at, "register_batch", items=items)
        assert answer.ok, answer
        found: list[dict[str, Any]] = answer.result
        return found

    def pids(self, at: str) -> dict[str, str]:
        """Name -> pid of what runs, as one agent knows."""
        items = self.ask(at, "list").result["items"]
        return {item["name"]: item["pid"] for item in items if item["state"] == "running"}

    def processes(self, at: str) -> int:
        """How many processes an agent's supervisor has."""
        return int(self.ask(at, "ping").result["processes"])

    def reports(self) -> list[dict[str, Any]]:
        """Everything that was reported and waits for an observer."""
        with redis.Redis.from_url(self.redis_url) as broker:
            ids: Any = broker.lrange("sworm:observer", 0, -1)
            bodies: list[Any] = [broker.hget("sworm:observer.msgs", batch) for batch in ids]
        return [report for body in bodies for report in msgspec.msgpack.decode(body)["args"][0]["reports"]]

    def close(self) -> None:
        """Take everything away."""
        for land in self.lands.values():
            land.demolish()
        with suppress(AssertionError):
            ip("link", "del", self.bridge)
        if self.client is not None:
            self.client.close()
        if self.server is not None:
            self.server.kill()
            self.server.wait()


@contextmanager
def lands(size: int, folder: Path, definition: Definition, **more: str) -> Iterator[Lands]:
    """Agents `n1` … in as many namespaces, together."""
    made = Lands(size, folder, definition, **more)
    try:
        made.open()
        yield made
    finally:
        made.close()
