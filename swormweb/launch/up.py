"""`./sworm up`: starts whatever of a cluster is missing, waits until all of it is ready, and tells the world.

Law: what runs already is left alone; an agent that is being drained is waited for, and is missing then. When a part
fails, everything that *this* start began is ended again and the reason is raised; what ran before runs on. Parts start
as early as they can, since most of the time goes into their imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from swormweb.launch import files, fingerprint, health, parts
from swormweb.launch.cluster import Cluster
from swormweb.launch.down import stop
from swormweb.launch.errors import PartFailed
from swormweb.launch.helper import Helper, last_line
from swormweb.launch.interrupts import undisturbed
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
        environ = self.cluster.environment()
        collect = files.are_stale(self.cluster.caller)
        self._start_broker()
        with Helper(parts.PREPARE, {**environ, "SWORM_DATABASE_POOL": "0"}, self.cluster.log("prepare")) as prepare:
            if not collect:  # else its files do not exist yet
                self._start(parts.web(self.cluster.port(parts.WEB), environ))
            self._let_leave()
            with self._nursery() as nursery:
                self._start_database()
                self._start(parts.observer(environ, self.cluster.mesh_urls()))  # it waits for its tables by itself
                self._start_agents(nursery)
            sign_in_url = self._prepare(prepare, collect)
        self._start(parts.web(self.cluster.port(parts.WEB), environ))
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
            with undisturbed():
                self._begun(parts.VALKEY, broker.start_ready())

    def _start_database(self) -> None:
        server = self.cluster.postgres
        if server is None:
            return
        if self.cluster.runs(parts.POSTGRES) and server.is_stopping:  # it waits for its clients, who wait for it
            stop(self.cluster, [parts.POSTGRES], now=False, say=self.say)
        if self.cluster.runs(parts.POSTGRES):
            return
        self.say("starting postgres")
        server.initialize()
        with undisturbed():
            self._begun(parts.POSTGRES, server.start_ready())

    def _begun(self, name: str, process: Child) -> None:
        self.begun[name] = process
        self.cluster.record(name, process.pid)

    # ---------------------------------------------------------------------------------------------------- preparation

    def _must_migrate(self) -> bool:
        """Whether tables may be missing; of somebody else's server nothing is remembered."""
        return self.cluster.postgres is None or self.cluster.state.get("migrations") != fingerprint.migrations()

    def _prepare(self, helper: Helper, collect: bool) -> str:
        """Tables, static files, token; returns a new sign-in link."""
        migrate = self._must_migrate()
        if migrate:
            self.say("preparing the database")
        kept = self.cluster.state.get("token", "")
        told = json.loads(helper.ask({"url": self.cluster.url, "token": kept, "migrate": migrate, "collect": collect}))
        if collect:
            files.note(self.cluster.caller)
        self.cluster.state["token"] = told["token"]
        if self.cluster.postgres is not None:
            self.cluster.state["migrations"] = fingerprint.migrations()
        self.cluster.save()
        sign_in_url: str = told["sign_in_url"]
        return sign_in_url

    # ------------------------------------------------------------------------------------------------ our own programs

    def _start(self, part: Part) -> None:
        if part.name in self.begun or self.cluster.runs(part.name):
            return
        self.say(f"starting {part.name}")
        with undisturbed():
            self._begun(part.name, spawn(part.command, part.environ, self.cluster.log(part.name), parts.ROOT))

    def _let_leave(self) -> None:
        """Wait until agents that are being drained have ended, or stay after all."""
        port = self.cluster.port
        leaving = [name for name in self.cluster.agents if self.cluster.runs(name) and health.is_leaving(port(name))]
        if not leaving:
            return
        self.say(f"waiting until {', '.join(leaving)} has left: it is being drained")
        deadline = time.monotonic() + READY_PATIENCE
        while leaving := [name for name in leaving if self.cluster.runs(name) and not health.is_up(port(name))]:
            if time.monotonic() > deadline:
                raise PartFailed(f"{', '.join(leaving)} has not left within {READY_PATIENCE:.0f} s; wait for its drain")
            time.sleep(_LOOK_EVERY)

    def _missing_agents(self) -> list[str]:
        return [name for name in self.cluster.agents if not self.cluster.runs(name)]

    def _nursery(self) -> AbstractContextManager[Helper | None]:
        """What agents are forked from, beginning its imports; nothing when no agent is missing."""
        if not self._missing_agents():
            return nullcontext()
        part = parts.nursery(self.cluster.environment())
        return Helper(part.command, part.environ, self.cluster.log(part.name))

    def _start_agents(self, nursery: Helper | None) -> None:
        """Have the missing agents forked."""
        if nursery is None:
            return
        names = self._missing_agents()
        self.say(f"starting {', '.join(names)}")
        environ = self.cluster.environment()
        wanted = []
        for name in names:
            part = parts.agent(name, self.cluster.port(name), environ, self.cluster.mesh_urls(but=name))
            rotate(self.cluster.log(name))
            wanted.append({"command": part.command, "log": str(self.cluster.log(name))})
        with undisturbed():
            for name, pid in zip(names, nursery.ask(wanted).split(), strict=True):
                self._begun(name, Adopted(int(pid)))

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
        gone = [name for name in self.cluster.agents if not self.cluster.runs(name)]
        if gone:
            raise PartFailed(f"{', '.join(gone)} ended meanwhile; another `./sworm up` starts it")

    def _reason(self, name: str) -> str:
        if name == parts.WEB:
            return health.web_reason(self.cluster.port(name))
        others = [other for other in self.cluster.agents if other != name]
        return health.agent_reason(self.cluster.port(name), others)


def demo(cluster: Cluster, description: dict[str, Any], say: Say) -> None:
    """Start the demo processes; one that fails is said and harms nothing."""
    command = (sys.executable, "-m", "swormweb.launch.demo")
    environ = parts.for_agent(cluster.environment())
    done = subprocess.run(
        command, env=environ, cwd=parts.ROOT, input=json.dumps(description), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        say(f"the demo processes did not start: {last_line(done.stderr)}")
