"""Agents as operating-system processes of their own, on one broker, joined to each other."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from supervisor.client import Answer, Client
from supervisor.core.spec import Definition

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "the key of these tests' clusters, long enough"
ROOMS = Definition("rooms", 1, handoff=True)

#: Seconds after which a condition counts as never met; the machine may be busy.
LIMIT = 60.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll a condition; raises `TimeoutError` naming it."""
    end = time.monotonic() + LIMIT
    while not (met := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {LIMIT:g} s")
        time.sleep(0.02)
    return met


def environment(redis_url: str, join: str = "") -> dict[str, str]:
    """What `up` gives an agent."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("SWORM_", "DATABASE_", "REDIS_"))}
    return {
        **keep, "SWORM_CLUSTER_KEY": KEY, "SWORM_MESH_PRESET": "local", "REDIS_URL": redis_url, "SWORM_JOIN": join,
        "SWORM_ALLOWED_MODULES": "examples,tests.supervisor.jobs,tests.parity.workers", "PYTHONWARNINGS": "default",
    }  # fmt: skip


def command(*flags: str, program: str = "manage.py") -> list[str]:
    """The command line of an agent."""
    return [sys.executable, str(ROOT / program), "agent", *flags]


class AgentProcess:
    """One agent, and its log."""

    def __init__(
        self, name: str, port: int, redis_url: str, join: str, log: Path, *flags: str, program: str = "manage.py"
    ) -> None:
        self.name, self.port, self.log = name, port, log
        with log.open("ab") as out:
            environ = {**environment(redis_url, join), "CUT_FILE": str(log.parent / "cut.json")}
            flags = ("--name", name, "--listen", f"127.0.0.1:{port}", *flags)
            self.process = subprocess.Popen(
                command(*flags, program=program),
                env=environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def page(self, path: str) -> str:
        """A page of its mesh port; empty while there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return ""

    def ready(self) -> dict[str, Any]:
        """What /readyz says; empty while it does not answer 200."""
        page = self.page("/readyz")
        return dict(json.loads(page)) if page else {}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(LIMIT)

    def children(self) -> list[psutil.Process]:
        """The processes that it started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        """Kill it if it is there."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Cluster:
    """Some agents, and a client that asks them."""

    program = "manage.py"

    def __init__(self, redis_url: str, folder: Path, names: tuple[str, ...]) -> None:
        self.redis_url, self.folder = redis_url, folder
        self.ports = {name: free_port() for name in names}
        self.agents = {name: self.launch(name) for name in names}
        self.client = Client(redis_url or "redis://127.0.0.1:1/0")

    def launch(self, name: str, *flags: str) -> AgentProcess:
        """Start an agent of this name."""
        join = ",".join(f"ws://127.0.0.1:{port}" for port in self.ports.values())
        log = self.folder / f"{name}.log"
        return AgentProcess(name, self.ports[name], self.redis_url, join, log, *flags, program=self.program)

    def restart(self, name: str) -> None:
        """Start an agent of this name anew."""
        self.agents[name] = self.launch(name)

    def together(self, *names: str) -> None:
        """Wait until these agents, and no others, are up and see each other."""
        wanted = set(names or self.agents)

        def met() -> bool:
            for name in wanted:
                told = self.agents[name].ready()
                peers = {peer["name"] for peer in told.get("peers", [])}
                if told.get("status") != "up" or not told["ready"] or peers != wanted - {name}:
                    return False
            return True

        until(met, f"{sorted(wanted)} together")

    def ask(self, op: str, *, at: str = "", deadline: float = LIMIT, **fields: Any) -> Answer:
        """Ask one agent, or any that lives."""
        names = [at] if at else [name for name, agent in self.agents.items() if agent.process.poll() is None]
        nodes = [(name, self.agents[name].ready()["incarnation"]) for name in names]
        fields.setdefault("sworm", "rooms")
        definition = fields.pop("definition", ROOMS)
        return self.client.ask_any(nodes, op, deadline=time.time() + deadline, definition=definition, **fields)

    def register(self, count: int, target: str = "examples.counters:Counter") -> list[str]:
        """Register so many names, each with its number as argument."""
        items = [{"name": f"r{n}", "target": target, "args": [n]} for n in range(count)]
        answer = self.ask("register_batch", items=items)
        assert all(result["ok"] for result in answer.result), answer
        return [item["name"] for item in items]  # type: ignore[misc]

    def value(self, name: str, at: str = "") -> Any:
        """What a counter says."""
        answer = self.ask("call", at=at, name=name, message={"op": "get"}, timeout_ms=20_000)
        assert answer.ok, answer
        return answer.result

    def places(self, at: str) -> dict[str, str]:
        """Name -> the node that runs it, as one agent knows; only those that run."""
        items = self.ask("list", at=at).result["items"]
        return {item["name"]: item["node"] for item in items if item["state"] == "running"}

    def close(self) -> None:
        """Kill whatever is left."""
        for agent in self.agents.values():
            agent.end()
        self.client.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
