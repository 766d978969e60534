"""`./sworm up`: starts whatever of a cluster is missing, waits until all of it is ready, and tells the world.

Law: what runs already is left alone. When a part fails, everything that *this* start began is ended again and the
reason is raised; what ran before runs on. Parts start as early as they can, since most of the time goes into their
imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

from swormweb.launch import files, fingerprint, health, parts
from swormweb.launch.cluster import Cluster
from swormweb.launch.down import stop
from swormweb.launch.errors import PartFailed
from swormweb.launch.parts import Part
from swormweb.launch.process import Adopted, Child, adopt_orphans, rotate, spawn

#: How long all parts together may take to become ready, in seconds. A cold machine that compiles everything needs 20.
READY_PATIENCE = 90.0

#: Pause between two looks at whether the parts are ready, in seconds.
_LOOK_EVERY = 0.05

Say = Callable[[str], None]


class Start:
    """One start: what it has begun, so that it can be taken back."""

    def __init__(self, cluster: Cluster, say: Say) -> None:
        self.cluster = cluster
        self.say = say
        self.begun: dict[str, Child] = {}

    def run(self, agents: int | None, port: int | None) -> dict[str, Any]:
        """Bring the cluster up; returns what `cluster.json` says. Raises `LaunchError` with nothing left begun."""
        adopt_orphans()
        with self.cluster.folder.lock():
            self.cluster.reload()
            self.cluster.plan(agents, port)
            self.cluster.check_environment()
            self.cluster.state.pop("stopping", None)
            self.cluster.enlist()
            try:
                return self._bring_up()
            except BaseException:
                self._take_back()
                raise

    def _bring_up(self) -> dict[str, Any]:
        self._start_broker()
        fresh_tables, fresh_files = self._stale_migrations(), files.are_stale(self.cluster.caller)
        nursery = self._warm_nursery()
        try:
            if not fresh_files:
                self._start_web()
            self._start_database()
            self._start_agents(nursery)
        finally:
            _dismiss(nursery)
        if not fresh_tables:
            self._start_observer()
        sign_in_url = self._prepare(fresh_tables, fresh_files)
        self._start_web()
        self._start_observer()
        self._wait_ready()
        description = self.cluster.description(sign_in_url)
        self.cluster.folder.write_cluster(description)
        return description

    def _take_back(self) -> None:
        if self.begun:
            stop(self.cluster, list(self.begun), now=True, say=self.say)
        if not any(process.alive for process in self.cluster.recorded().values()):
            self.cluster.folder.remove_cluster()

    # -------------------------------------------------------------------------------------------------------- servers

    def _start_broker(self) -> None:
        broker = self.cluster.valkey
        if broker is not None and not self.cluster.runs(parts.VALKEY):
            self.say("starting valkey")
            self._begun(parts.VALKEY, broker.start_ready())

    def _start_database(self) -> None:
        server = self.cluster.postgres
        if server is None or self.cluster.runs(parts.POSTGRES):
            return
        self.say("starting postgres")
        server.initialize()
        self._begun(parts.POSTGRES, server.start_ready())

    def _begun(self, name: str, process: Child) -> None:
        self.begun[name] = process
        self.cluster.record(name, process.pid)

    # ---------------------------------------------------------------------------------------------------- preparation

    def _stale_migrations(self) -> bool:
        return bool(self.cluster.postgres is None or self.cluster.state.get("migrations") != fingerprint.migrations())

    def _prepare(self, migrate: bool, collect: bool) -> str:
        """Tables, static files, token; returns a new sign-in link."""
        if migrate:
            self.say("preparing the database")
        request = {
            "url": self.cluster.url,
            "token": self.cluster.state.get("token", ""),
            "migrate": migrate,
            "collect": collect,
        }
        told = self._run_prepare(request)
        if collect:
            files.note(self.cluster.caller)
        self.cluster.state |= {"token": told["token"], "migrations": fingerprint.migrations()}
        self.cluster.save()
        return told["sign_in_url"]

    def _run_prepare(self, request: dict[str, Any]) -> dict[str, str]:
        command = (sys.executable, "-m", "swormweb.launch.prepare")
        environ = {**self.cluster.environment(), "SWORM_DATABASE_POOL": "0"}
        done = subprocess.run(
            command, env=environ, cwd=parts.ROOT, input=json.dumps(request), capture_output=True, text=True, check=False
        )
        with self._own_log("prepare") as log:
            log.write(done.stderr.encode())
        if done.returncode != 0:
            raise PartFailed(f"preparing the database failed: {last_line(done.stderr)} ({log.name})")
        told: dict[str, str] = json.loads(done.stdout)
        return told

    # ------------------------------------------------------------------------------------------------ our own programs

    def _own_log(self, name: str) -> BinaryIO:
        """The log of a helper, to be added to."""
        path = self.cluster.log(name)
        path.touch(mode=0o600)
        return path.open("ab")

    def _start(self, part: Part) -> None:
        if part.name in self.begun or self.cluster.runs(part.name):
            return
        self.say(f"starting {part.name}")
        self._begun(part.name, spawn(part.command, part.environ, self.cluster.log(part.name), parts.ROOT))

    def _warm_nursery(self) -> subprocess.Popen[bytes] | None:
        """Begin the imports of the agents that are missing; None when none is."""
        if all(self.cluster.runs(name) for name in self.cluster.agents):
            return None
        part = parts.nursery(self.cluster.environment())
        with self._own_log(part.name) as log:
            pipe = subprocess.PIPE
            return subprocess.Popen(part.command, env=part.environ, cwd=parts.ROOT, stdin=pipe, stdout=pipe, stderr=log)

    def _start_agents(self, nursery: subprocess.Popen[bytes] | None) -> None:
        """Have the missing agents forked."""
        if nursery is None:
            return
        environ = self.cluster.environment()
        names = [name for name in self.cluster.agents if not self.cluster.runs(name)]
        self.say(f"starting {', '.join(names)}")
        wanted = []
        for name in names:
            part = parts.agent(name, self.cluster.port(name), environ, self.cluster.mesh_urls(but=name))
            rotate(self.cluster.log(name))
            wanted.append({"command": part.command, "log": str(self.cluster.log(name))})
        told, _ = nursery.communicate(json.dumps(wanted).encode())
        for name, pid in zip(names, told.split(), strict=False):
            self._begun(name, Adopted(int(pid)))
        if nursery.returncode != 0:
            log = self.cluster.log("agents")
            raise PartFailed(f"the agents did not start: {last_line(log.read_text())} ({log})")

    def _start_web(self) -> None:
        self._start(parts.web(self.cluster.port(parts.WEB), self.cluster.environment()))

    def _start_observer(self) -> None:
        self._start(parts.observer(self.cluster.environment(), self.cluster.mesh_urls()))

    # ------------------------------------------------------------------------------------------------------- readiness

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_PATIENCE
        self._wait_reasons({name: partial(self._reason, name) for name in [*self.cluster.agents, parts.WEB]}, deadline)
        incarnations = {name: health.incarnation(self.cluster.port(name)) for name in self.cluster.agents}
        port, token = self.cluster.port(parts.WEB), self.cluster.state["token"]
        self._wait_reasons({"the map": partial(health.map_reason, port, token, incarnations)}, deadline)

    def _wait_reasons(self, looks: dict[str, Callable[[], str]], deadline: float) -> None:
        """Wait until every look finds no reason any more."""
        while looks:
            self._refuse_ended()
            reasons = {name: look() for name, look in looks.items()}
            looks = {name: look for name, look in looks.items() if reasons[name]}
            if looks and time.monotonic() > deadline:
                why = "; ".join(f"{name} {reasons[name]}" for name in looks)
                raise PartFailed(f"not ready after {READY_PATIENCE:.0f} s: {why}; see {self.cluster.folder.logs}")
            if looks:
                time.sleep(_LOOK_EVERY)

    def _refuse_ended(self) -> None:
        for name, process in self.begun.items():
            if process.poll() is not None:
                log = self.cluster.log(name)
                reason = last_line(log.read_text(errors="replace"))
                raise PartFailed(f"{name} ended with status {process.returncode}: {reason} ({log})")

    def _reason(self, name: str) -> str:
        if name == parts.WEB:
            return health.web_reason(self.cluster.port(name))
        others = [other for other in self.cluster.agents if other != name]
        return health.agent_reason(self.cluster.port(name), others)


def _dismiss(nursery: subprocess.Popen[bytes] | None) -> None:
    """Let a nursery go that was not needed after all: at the end of its input it ends without a child."""
    if nursery is not None and nursery.returncode is None:
        nursery.communicate()


def last_line(text: str) -> str:
    """The last thing that a program said, which is mostly why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def demo(cluster: Cluster, description: dict[str, Any], say: Say) -> None:
    """Start the demo processes; one that fails is said and harms nothing."""
    command = (sys.executable, "-m", "swormweb.launch.demo")
    environ = parts.for_agent(cluster.environment())
    done = subprocess.run(
        command, env=environ, cwd=parts.ROOT, input=json.dumps(description), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        say(f"the demo processes did not start: {last_line(done.stderr)}")
