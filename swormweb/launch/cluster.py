"""One cluster in one folder: its ports, its keys, its environment, and which of its processes run.

Law: everything here is read from and written to the folder's state, so that any launcher can go on where another ended.
Whoever changes it holds the folder's lock.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swormweb import environ
from swormweb.launch import parts, ports
from swormweb.launch.errors import LaunchError
from swormweb.launch.folder import Folder
from swormweb.launch.postgres import Postgres
from swormweb.launch.process import Running
from swormweb.launch.valkey import Valkey

DEFAULT_AGENTS = 3
DEFAULT_PORT = 8000

#: More nodes on one machine help nobody and take its memory.
MOST_AGENTS = 64


class Cluster:
    """What a launcher knows of the cluster in a folder."""

    def __init__(self, folder: Folder, caller: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.caller = dict(os.environ if caller is None else caller)
        self.state: dict[str, Any] = folder.read_state()

    def reload(self) -> None:
        """See what other launchers did meanwhile."""
        self.state = self.folder.read_state()

    def save(self) -> None:
        """Tell other launchers."""
        self.folder.write_state(self.state)

    # ------------------------------------------------------------------------------------------------------ planning

    def plan(self, agents: int | None, port: int | None) -> None:
        """Decide how many agents, which ports and which keys, keeping what was decided earlier."""
        self._plan_agents(agents)
        for name in ("secret_key", "cluster_key", "postgres_password", "valkey_password"):
            self.state.setdefault(name, secrets.token_hex(32))
        self._plan_web(port)
        wanted = [*self.agents, *(name for name, own in self._embedded().items() if own)]
        used: dict[str, int] = self.state["ports"]
        for name in wanted:
            if name not in used:
                used[name] = ports.choose(set(used.values()))
        self.save()

    def _plan_agents(self, agents: int | None) -> None:
        count = agents if agents is not None else self.state.get("agents", DEFAULT_AGENTS)
        if not 1 <= count <= MOST_AGENTS:
            raise LaunchError(f"--agents is {count}; it must be from 1 to {MOST_AGENTS}")
        self.state["agents"] = count

    def _plan_web(self, port: int | None) -> None:
        used: dict[str, int] = self.state.setdefault("ports", {})
        wanted = port if port is not None else used.get(parts.WEB, DEFAULT_PORT)
        if self.runs(parts.WEB):
            if wanted != used[parts.WEB]:
                raise LaunchError(f"this cluster's web runs on port {used[parts.WEB]} already; `down` ends it first")
            return
        if not ports.is_free(wanted):
            raise LaunchError(
                f"port {wanted} of {ports.HOST} is taken by another program; give another one with --port"
            )
        used[parts.WEB] = wanted

    def _embedded(self) -> dict[str, bool]:
        """Which servers are ours to start."""
        return {
            parts.POSTGRES: not self.caller.get("DATABASE_URL"),
            parts.VALKEY: not self.caller.get("REDIS_URL"),
        }

    @property
    def is_planned(self) -> bool:
        """Whether ports and keys are known; a first start that was refused early left none."""
        return parts.WEB in self.state.get("ports", {})

    # ---------------------------------------------------------------------------------------------- what it is made of

    @property
    def agents(self) -> list[str]:
        """Names of the agents that `up` starts."""
        return [f"n{number}" for number in range(1, self.state["agents"] + 1)]

    def port(self, name: str) -> int:
        """The port that a part listens on."""
        port: int = self.state["ports"][name]
        return port

    def log(self, name: str) -> Path:
        """Where a part's output goes."""
        return self.folder.logs / f"{name}.log"

    @property
    def url(self) -> str:
        """Where people find the cluster."""
        return f"http://{ports.HOST}:{self.port(parts.WEB)}"

    @property
    def postgres(self) -> Postgres | None:
        """The embedded database server, unless another one is used."""
        if not self._embedded()[parts.POSTGRES]:
            return None
        folder = self.folder.path / parts.POSTGRES
        return Postgres(folder, self.port(parts.POSTGRES), self.state["postgres_password"], self.log(parts.POSTGRES))

    @property
    def valkey(self) -> Valkey | None:
        """The embedded broker, unless another one is used."""
        if not self._embedded()[parts.VALKEY]:
            return None
        folder = self.folder.path / parts.VALKEY
        return Valkey(folder, self.port(parts.VALKEY), self.state["valkey_password"], self.log(parts.VALKEY))

    @property
    def database_url(self) -> str:
        """The database, ours or not."""
        own = self.postgres
        return own.url if own else self.caller["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """The broker, ours or not."""
        own = self.valkey
        return own.url if own else self.caller["REDIS_URL"]

    def environment(self) -> dict[str, str]:
        """What the parts of the control plane get; agents get less (`parts.for_agent`)."""
        own = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "SWORM_SECRET_KEY": self.caller.get("SWORM_SECRET_KEY") or self.state["secret_key"],
            "SWORM_CLUSTER_KEY": self.caller.get("SWORM_CLUSTER_KEY") or self.state["cluster_key"],
            "SWORM_URL": self.url,
            "SWORM_JOIN": ",".join(self.mesh_urls()),
        }
        return {**parts.caller_environment(self.caller, Path.cwd()), **own}

    def mesh_urls(self, but: str = "") -> list[str]:
        """Where the agents are found, all or all but one, and whatever else the caller wants to join."""
        elsewhere = [url for url in self.caller.get("SWORM_JOIN", "").split(",") if url]
        return [parts.mesh_url(self.port(name)) for name in self.agents if name != but] + elsewhere

    def check_environment(self) -> None:
        """Refuse a bad setting before anything is started."""
        try:
            environ.read(self.environment())
        except environ.BadSetting as error:
            raise LaunchError(str(error)) from None

    # ------------------------------------------------------------------------------------------------------ what runs

    def running(self, name: str) -> Running | None:
        """The process of a part, as last recorded, when it lives."""
        kept = self.state.get("parts", {}).get(name)
        process = Running(kept["pid"], kept["created"]) if kept else None
        return process if process and process.alive else None

    def runs(self, name: str) -> bool:
        """Whether a part lives."""
        return self.running(name) is not None

    def recorded(self) -> dict[str, Running]:
        """Every part that was started and not ended by a launcher, living or not."""
        kept: dict[str, dict[str, Any]] = self.state.get("parts", {})
        return {name: Running(entry["pid"], entry["created"]) for name, entry in kept.items()}

    def record(self, name: str, pid: int) -> Running:
        """Remember the process of a part."""
        process = Running.of(pid)
        self.state.setdefault("parts", {})[name] = {"pid": process.pid, "created": process.created}
        self.save()
        return process

    def forget(self, name: str) -> None:
        """A part was ended on purpose."""
        self.state.get("parts", {}).pop(name, None)
        self.save()

    # ------------------------------------------------------------------------------------------------------ launchers

    def launchers(self) -> list[Running]:
        """The other launchers that watch over parts of this cluster."""
        kept = [Running(entry["pid"], entry["created"]) for entry in self.state.get("launchers", [])]
        return [process for process in kept if process.alive and process.pid != os.getpid()]

    def enlist(self) -> None:
        """Remember this launcher, and forget those that are gone."""
        known = [*self.launchers(), Running.of(os.getpid())]
        self.state["launchers"] = [{"pid": process.pid, "created": process.created} for process in known]
        self.save()

    # ------------------------------------------------------------------------------------------------- to the world

    def description(self, sign_in_url: str) -> dict[str, Any]:
        """What `cluster.json` says."""
        pids = {name: process.pid for name, process in self.recorded().items() if process.alive}
        agents = [name for name in self.state["ports"] if name in pids and name not in _SERVICES]
        return {
            "url": self.url,
            "sign_in_url": sign_in_url,
            "token": self.state["token"],
            "agents": [
                {"name": name, "os_pid": pids[name], "mesh_url": parts.mesh_url(self.port(name))} for name in agents
            ],
            "services": {name: pids.get(name) for name in _SERVICES},
            "database_url": self.database_url,
            "redis_url": self.redis_url,
        }


_SERVICES = (parts.WEB, parts.OBSERVER, parts.POSTGRES, parts.VALKEY)
