"""The real web part for the browser's tests, and the hand that moves the cluster behind it.

Law: daphne runs as users run it, in a process of its own, on the test database and the test broker. What the observer
would do is done here by its means: rows in its transaction's order, then a frame to the channel layer. Nothing is faked
in between.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.utils import timezone

from registry import auth, scopes
from registry.models import (
    AuditEntry,
    Counter,
    Event,
    Membership,
    Node,
    ObserverTerm,
    Process,
    Removal,
    ReplicaSnapshot,
    Sworm,
)
from registry.projection import STREAM_COLUMNS
from registry.stream import FRAME, GROUP
from supervisor import operations
from supervisor.core.operation import DONE, OPEN, End, Rules
from supervisor.models import Operation
from supervisor.operations import Move, Term
from swormweb.launch import parts, ports

#: Seconds until the web part must answer.
START = 30.0

#: Seconds between two signs of life of the observer.
BEAT = 0.5

#: What the stage writes by, as its observer.
TERM = Term("observer.1", 1)

PASSWORD = "correct horse battery staple"


class Web:
    """The web part as a process."""

    def __init__(self, folder: Path, database: str, **more: str) -> None:
        """`database` is the name of the test database; `more`: of the environment."""
        self.folder = folder
        self.port = ports.choose(set())
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = {
            **parts.caller_environment(os.environ, Path.cwd()),
            "DATABASE_URL": urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}")),
            "SWORM_STATIC_ROOT": str(folder / "static"),
            **more,
        }

    def start(self) -> None:
        """Collect the static files as a release does, start daphne, wait until it answers."""
        collect = parts.manage("collectstatic", "--noinput", "--verbosity", "0")
        subprocess.run(collect, env=self._environ, check=True)
        part = parts.web(self.port, self._environ)
        with (self.folder / "web.log").open("wb") as log:
            self.process = subprocess.Popen(part.command, env=part.environ, cwd=parts.ROOT, stdout=log, stderr=log)
        self._await()

    def observer(self, *flags: str) -> subprocess.Popen[bytes]:
        """Start an observer beside it; whoever asks ends it."""
        with (self.folder / "observer.log").open("wb") as log:
            command = parts.manage(parts.OBSERVER, *flags)
            return subprocess.Popen(command, env=self._environ, cwd=parts.ROOT, stdout=log, stderr=log)

    def _await(self) -> None:
        limit = time.monotonic() + START
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError((self.folder / "web.log").read_text())

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Stage:
    """Sets the scene: users, nodes, processes; and lets things happen to them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._layer = RedisPubSubChannelLayer(**settings.CHANNEL_LAYERS["default"]["CONFIG"])
        self._beating: threading.Thread | None = None
        self._silent = threading.Event()
        self.revision = 0
        self._serial = 0

    def close(self) -> None:
        """End the loop that frames leave by."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()  # the layer hangs its own end on this, so it must happen in this thread

    # ------------------------------------------------------------------------------------------------------- people

    def user(self, role: str) -> User:
        """Somebody with a role; the name is the role's."""
        password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
        user = User.objects.create(username=role, password=password, is_staff=role == scopes.ADMIN)
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        return user

    def sign_in_path(self, role: str = scopes.OPERATOR) -> str:
        """A one-time link for somebody with a role."""
        return f"/signin/{auth.create_sign_in_link(self.user(role))}"

    # ------------------------------------------------------------------------------------------------------- operations

    def operation(self, kind: str, moves: Sequence[Move], **more: Any) -> Operation:
        """Somebody asked for something, and the observer took it up."""
        params = {"to": "n2", **more.pop("params", {})}
        target = {"sworm": "counters", **more}
        made = operations.begin(kind, moves, Rules(), "user:somebody", "a new disk", params=params, **target)
        assert operations.take_up(made, TERM)
        return made

    def step(self, operation: Operation, number: int, state: str, detail: str = "", end: End | None = None) -> None:
        """A process of an operation comes to a state; `end`: and with it the operation to its end."""
        operation.refresh_from_db()
        steps = {step.number: step for step in operations.stored_steps(operation)}
        ended_at = 0.0 if state in OPEN else time.time()
        steps[number] = replace(
            steps[number], state=state, detail=detail, attempts=1, asked_at=time.time(), ended_at=ended_at
        )
        done = sum(step.state == DONE for step in steps.values())
        assert operations.store(operation, TERM, [steps[number]], done, end)

    # ------------------------------------------------------------------------------------------------------ the cluster

    def begin(self, nodes: Sequence[str] = ("n1", "n2", "n3")) -> None:
        """An observer that writes, and empty nodes."""
        self.revision = 1
        Counter.objects.create(id=1, revision=1)
        ObserverTerm.objects.create(id=1, term=1, holder="observer.1", renewed_at=timezone.now())
        for name in nodes:
            Node.objects.create(**self._node(name, "alive"), revision=1)
        self._silent.clear()
        self._beating = threading.Thread(target=self._beat)
        self._beating.start()

    def _beat(self) -> None:
        """Show each second that the observer writes, as it does itself."""
        while not self._silent.wait(BEAT):
            ObserverTerm.objects.update(renewed_at=timezone.now())
            connection.close()
            self._frame(self.revision, self.revision)

    def record(self, name: str) -> None:
        """One row for each of the pages that are one table."""
        made: dict[str, Callable[[], Any]] = {
            "sworms": lambda: Sworm.objects.create(name="counters"),
            "nodes": lambda: None,
            "processes": lambda: self.fill({"n1": ["a"]}),
            "groups": self._record_group,
            "operations": lambda: Operation.objects.create(kind="handoff", state="succeeded", requested_by="user:x"),
            "events": lambda: self.event("crashed", "a", detail="x"),
            "replicas": lambda: self.replica("n1", "", {"n1.1": 7}),
            "audit": lambda: AuditEntry.objects.create(actor="user:x", action="node.cordon", target="n1", reason="why"),
        }
        made[name]()

    def _record_group(self) -> None:
        Sworm.objects.create(name="counters")
        self.fill({"n1": ["a"]})
        self.join("everybody", "a")

    def join(self, group: str, *names: str, sworm: str = "counters") -> None:
        """Processes that are there join a group."""
        for row in Process.objects.filter(sworm=sworm, name__in=names):
            Membership.objects.create(sworm=sworm, group=group, pid=row.pid, name=row.name, revision=self.revision)
            Process.objects.filter(pk=row.pk).update(groups=sorted({*row.groups, group}))

    def event(self, kind: str, name: str = "", node: str = "n1", *, sworm: str = "counters", **more: Any) -> Event:
        """Something happened; `pid`, `epoch` and `detail` as they are given."""
        values = {"pid": f"{node}.1.1" if name else "", "epoch": 1 if name else 0, "detail": "", **more}
        of = {"sworm": sworm, "name": name} if name else {}
        with transaction.atomic():  # as the observer writes: who sees the revision sees the row
            return Event.objects.create(revision=self._next(), at=timezone.now(), kind=kind, node=node, **of, **values)

    def replica(self, node: str, sworm: str, versions: dict[str, int], *, age: float = 0, **more: Any) -> None:
        """A snapshot of a node's replica, `age` seconds old."""
        digests = {origin: f"{origin}@{version}".encode().hex() for origin, version in versions.items()}
        values = {"size": 3, "digest": "ab" * 16, "behind": 0, "digests": digests, **more}
        at = timezone.now() - timedelta(seconds=age)
        ReplicaSnapshot.objects.create(node=node, sworm=sworm, versions=versions, observed_at=at, **values)

    def define(self, sworm: str) -> None:
        """A sworm that is defined."""
        Sworm.objects.create(name=sworm, handoff=True)

    def silence(self) -> None:
        """The observer writes no more."""
        self._silent.set()
        if self._beating is not None:
            self._beating.join()

    def _node(self, name: str, status: str) -> dict[str, Any]:
        return {
            "name": name, "incarnation": 1, "status": status, "cordoned": False, "url": f"ws://127.0.0.1:1/{name}",
            "labels": {}, "capacity": 1.0, "sworms": ["*"], "processes": 0, "last_seen": timezone.now(),
        }  # fmt: skip

    def _process(self, sworm: str, name: str, node: str, state: str) -> dict[str, Any]:
        self._serial += 1
        return {
            "sworm": sworm, "name": name, "pid": f"{node}.1.{self._serial}", "node": node, "epoch": self._serial,
            "state": state, "target": "examples.counters:Counter", "restarts": 0, "started_at": timezone.now(),
            "isolation": "task", "groups": [],
        }  # fmt: skip

    def fill(self, placed: dict[str, Sequence[str]], sworm: str = "counters", state: str = "running") -> None:
        """Processes that are there before anybody looks: {node: names}."""
        rows = [
            Process(**self._process(sworm, name, node, state), revision=self.revision)
            for node, names in placed.items()
            for name in names
        ]
        Process.objects.bulk_create(rows)

    def put(self, name: str, node: str, state: str = "running", sworm: str = "counters", *, frame: bool = True) -> None:
        """A process starts, moves or changes; `frame` False: the layer drops the news."""
        values = self._process(sworm, name, node, state)
        revision = self._next()
        Process.objects.update_or_create(sworm=sworm, name=name, defaults={**values, "revision": revision})
        self._send(frame, upserts=[{**values, "started_at": values["started_at"].isoformat(), "revision": revision}])

    def remove(self, name: str, sworm: str = "counters") -> None:
        """A process ends."""
        revision = self._next()
        Process.objects.filter(sworm=sworm, name=name).delete()
        Removal.objects.create(sworm=sworm, name=name, revision=revision)
        self._send(True, removed=[[sworm, name]])

    def node(self, name: str, status: str) -> None:
        """A node's status changes."""
        values, revision = self._node(name, status), self._next()
        Node.objects.update_or_create(name=name, defaults={**values, "revision": revision})
        self._send(True, nodes=[{**values, "last_seen": values["last_seen"].isoformat(), "revision": revision}])

    def _next(self) -> int:
        self.revision += 1
        Counter.objects.update(revision=self.revision)
        return self.revision

    def _send(self, sent: bool, **changes: Any) -> None:
        if sent:
            self._frame(self.revision - 1, self.revision, **changes)

    def _frame(self, rev_from: int, rev_to: int, **changes: Any) -> None:
        rows = [[item[column] for column in STREAM_COLUMNS] for item in changes.pop("upserts", [])]
        frame = {
            "rev_from": rev_from, "rev_to": rev_to, "nodes": changes.get("nodes", []),
            "upserts": {"columns": list(STREAM_COLUMNS), "rows": rows}, "removed": changes.get("removed", []),
        }  # fmt: skip
        self._do("group_send", GROUP, {"type": FRAME, "frame": frame})

    def _do(self, method: str, *arguments: Any) -> None:
        """Call the layer on its own loop: it binds itself to the one in which it is asked."""

        async def call() -> None:
            await getattr(self._layer, method)(*arguments)

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)
