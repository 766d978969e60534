"""Agents in network namespaces of their own, on one bridge: a cable can be pulled, and nothing else notices.

Law: whatever is started here is ended. The broker is reached over a Unix socket, so that commands come through while
cables are pulled. Namespaces need root and `ip` (the package iproute2); where they cannot be had, the tests fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis

from bench.cables import Cable, cables
from supervisor.client import Answer, Client
from supervisor.core.spec import Definition
from swormweb.launch.valkey import binary
from tests.supervisor.processes import LIMIT, ROOT, environment, until

PORT = 7001


class Land:
    """One namespace with one agent."""

    def __init__(self, name: str, cable: Cable) -> None:
        self.name, self.cable, self.address = name, cable, cable.address
        self.pull, self.plug = cable.pull, cable.plug
        self.process: subprocess.Popen[bytes] | None = None
        self.incarnation = 0

    def start(self, redis_url: str, join: str, folder: Path, **more: str) -> None:
        """Start its agent."""
        flags = ("agent", "--name", self.name, "--listen", f"{self.address}:{PORT}")
        with (folder / f"{self.name}.log").open("ab") as out:
            self.process = subprocess.Popen(
                self.cable.within(sys.executable, str(ROOT / "manage.py"), *flags),
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

    def end(self) -> None:
        """Kill the agent."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Lands:
    """Some lands, and a client that asks their agents."""

    def __init__(self, made: list[Cable], folder: Path, definition: Definition, **more: str) -> None:
        self.folder, self.definition, self.more = folder, definition, more
        self.lands = {f"n{number}": Land(f"n{number}", cable) for number, cable in enumerate(made, 1)}
        self.socket = folder / "broker.sock"
        self.redis_url = f"unix://{self.socket}"
        self.server: subprocess.Popen[bytes] | None = None
        self.client: Client | None = None

    def open(self) -> None:
        """Start the agents, wait until they are together."""
        self.server = subprocess.Popen(
            [str(binary()), "--port", "0", "--unixsocket", str(self.socket), "--save", ""],
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        until(self.socket.exists, "the broker listens")
        self.client = Client(self.redis_url)
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

    def cut(self, one: str, other: str) -> None:
        """The cable between two lands is cut; each reaches everybody else."""
        self.lands[one].cable.lose(self.lands[other].cable)
        self.lands[other].cable.lose(self.lands[one].cable)

    def splice(self, one: str, other: str) -> None:
        """It is whole again."""
        self.lands[one].cable.find(self.lands[other].cable)
        self.lands[other].cable.find(self.lands[one].cable)

    def relay(self, at: str, peer: str) -> tuple[str, str | None]:
        """The state of a peer as an agent sees it, and through whom it is reached."""
        peers = {told["name"]: told for told in self.lands[at].ready().get("members", [])}
        return (peers[peer]["state"], peers[peer]["relay"]) if peer in peers else ("", None)

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
        """End everything."""
        for land in self.lands.values():
            land.end()
        if self.client is not None:
            self.client.close()
        if self.server is not None:
            self.server.kill()
            self.server.wait()


@contextmanager
def lands(size: int, folder: Path, definition: Definition, **more: str) -> Iterator[Lands]:
    """Agents `n1` … in as many namespaces, together."""
    with cables(size) as made:
        found = Lands(made, folder, definition, **more)
        try:
            found.open()
            yield found
        finally:
            found.close()
