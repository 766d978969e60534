"""A scripted agent: it consumes its real queue and answers as an agent does, and plays the observer beside it.

Law: everything between a view and the agent's answer is the real thing: dramatiq, the broker, the answers' list,
PostgreSQL.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dramatiq
import msgspec
import redis
from django.db import connection, transaction
from django.db.models import F

from registry.core.ids import origin_of, pid_of
from registry.jsonable import jsonable
from registry.models import Counter, Membership, Node, ObservedVersion, ObserverTerm, Process
from registry.stream import OBSERVED
from supervisor import tasks
from supervisor.broker import DoorbellBroker, embedded_worker

Answer = dict[str, Any]
Script = Answer | Callable[[dict[str, Any]], Answer]


def now() -> datetime:
    return datetime.now(UTC)


def observer_writes(seconds_ago: float = 0.0) -> None:
    """The observer renewed its term so many seconds ago."""
    renewed = datetime.fromtimestamp(time.time() - seconds_ago, UTC)
    ObserverTerm.objects.update_or_create(pk=1, defaults={"term": 1, "holder": "o.1", "renewed_at": renewed})


def next_revision() -> int:
    Counter.objects.get_or_create(pk=1)
    Counter.objects.filter(pk=1).update(revision=F("revision") + 1)
    return Counter.objects.get(pk=1).revision


def add_node(name: str, incarnation: int = 1, **more: Any) -> Node:
    """A row of a node, alive unless said otherwise."""
    values: dict[str, Any] = {
        "incarnation": incarnation, "status": "alive", "url": f"ws://{name}", "sworms": ["*"], "last_seen": now(),
        "revision": next_revision(),
    }  # fmt: skip
    return Node.objects.update_or_create(name=name, defaults=values | more)[0]


def add_process(sworm: str, name: str, node: str = "n1", **more: Any) -> Process:
    """A row of a process, running unless said otherwise."""
    epoch = more.pop("epoch", 1)
    values: dict[str, Any] = {
        "pid": f"{node}.1.{epoch}", "node": node, "epoch": epoch, "state": "running", "target": "chat:Room",
        "started_at": now(), "revision": next_revision(),
    }  # fmt: skip
    return Process.objects.update_or_create(sworm=sworm, name=name, defaults=values | more)[0]


class Agent:
    """One agent. `answers` maps an op to what it answers instead; `silent` ops get no answer.

    Starting and stopping takes long: one of a name serves all tests, each with a new incarnation of it.
    """

    def __init__(self, name: str, redis_url: str) -> None:
        self.name = name
        self.incarnation = 0
        self._lock = threading.Lock()
        self._redis = redis.Redis.from_url(redis_url)
        self._broker = DoorbellBroker(redis_url)
        tasks.declare_command(self._broker, name, self._command)
        self._worker: dramatiq.Worker = embedded_worker(self._broker, tasks.node_queue(name))
        self.reborn()

    def reborn(
        self, answers: dict[str, Script] | None = None, silent: set[str] | None = None, observed: bool = True
    ) -> None:
        """A new incarnation, which runs nothing and follows this script."""
        with self._lock:
            self.incarnation += 1
            self.origin = origin_of(self.name, self.incarnation)
            self.answers = answers or {}
            self.silent = silent or set()
            self.observed = observed
            self.seen: list[dict[str, Any]] = []
            self.running: dict[tuple[str, str], dict[str, Any]] = {}
            self._version = 0
            self._shown = 0
            self._serial = 0

    def stop(self) -> None:
        self._worker.stop(timeout=5_000)
        self._broker.close()
        self._redis.close()

    def ops(self) -> list[str]:
        return [command["op"] for command in self.seen]

    def _command(self, command: dict[str, Any]) -> None:
        try:
            with self._lock:
                self.seen.append(command)
                if command["op"] not in self.silent:
                    self._answer(command, self._obey(command))
        finally:
            connection.close()

    def _obey(self, command: dict[str, Any]) -> Answer:
        scripted = self.answers.get(command["op"])
        if callable(scripted):
            return scripted(command)
        return scripted or getattr(self, f"_{command['op']}")(command)

    def _answer(self, command: dict[str, Any], answer: Answer) -> None:
        packed = msgspec.msgpack.encode({"id": command["id"], "node": self.name, **answer})
        self._redis.lpush(command["answer_to"], packed)

    # ------------------------------------------------------------------------------------------------------- verbs

    def _ping(self, command: dict[str, Any]) -> Answer:
        return {"ok": True, "result": {}}

    def _register(self, command: dict[str, Any]) -> Answer:
        answer = self._start(command["sworm"], command)
        self._observe(command["sworm"])
        return answer

    def _register_batch(self, command: dict[str, Any]) -> Answer:
        results = [self._start(command["sworm"], item) for item in command["items"]]
        self._observe(command["sworm"])
        return {"ok": True, "result": results}

    def _start(self, sworm: str, item: dict[str, Any]) -> Answer:
        running = self.running.get((sworm, item["name"]))
        if running is not None:
            same = running["claim"] == item["claim"]
            return {"ok": same, "problem": "" if same else "already_started", "result": self._result(running)}
        if item["target"].startswith("os:"):
            return {"ok": False, "problem": "target_not_allowed", "detail": "os is not allowed here"}
        self._serial += 1
        self._version += 1
        running = {**item, "serial": self._serial, "epoch": self._serial, "groups": []}
        self.running[(sworm, item["name"])] = running
        return {"ok": True, "result": self._result(running)}

    def _result(self, running: dict[str, Any]) -> dict[str, Any]:
        pid = pid_of(self.origin, running["serial"])
        return {
            "pid": pid, "epoch": running["epoch"], "origin": self.origin, "version": self._version,
            "state": "running", "node": self.name,
        }  # fmt: skip

    def _unregister(self, command: dict[str, Any]) -> Answer:
        key = (command["sworm"], command["name"])
        if self.running.pop(key, None) is None:
            return {"ok": False, "problem": "not_registered", "detail": "not here"}
        self._version += 1
        self._observe(command["sworm"])
        return {"ok": True, "result": {"origin": self.origin, "version": self._version}}

    def _restart(self, command: dict[str, Any]) -> Answer:
        running = self.running.get((command["sworm"], command["name"]))
        if running is None:
            return {"ok": False, "problem": "not_registered", "detail": "not here"}
        self._serial += 1
        self._version += 1
        running.update(serial=self._serial, epoch=self._serial)
        self._observe(command["sworm"])
        return {"ok": True, "result": self._result(running)}

    def _call(self, command: dict[str, Any]) -> Answer:
        if (command["sworm"], command["name"]) not in self.running:
            return {"ok": False, "problem": "not_registered", "detail": "not here"}
        return {"ok": True, "result": command["message"]}

    _cast = _call

    def _foresee(self, command: dict[str, Any]) -> Answer:
        return {"ok": True, "result": [self.name for _ in command["names"]]}

    def _give_name(self, command: dict[str, Any]) -> Answer:
        key = (command["sworm"], command["name"])
        own = self._of(command)
        if own is None:
            return {"ok": False, "problem": "not_registered", "detail": "not here"}
        already = key in self.running
        if not already:
            self._version += 1
            self.running[key] = {**own, "name": command["name"], "groups": []}
            self._observe(command["sworm"])
        return {"ok": True, "result": {**self._result(self.running[key]), "already": already}}

    def _of(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """What runs under the name, or has the pid, of a command."""
        for (sworm, name), running in self.running.items():
            by_pid = pid_of(self.origin, running["serial"]) == command.get("pid")
            if sworm == command["sworm"] and (by_pid or name == command.get("name")):
                return running
        return None

    def _join(self, command: dict[str, Any]) -> Answer:
        running = self._of(command)
        if running is None:
            return {"ok": False, "problem": "not_registered", "detail": "not here"}
        self._version += 1
        groups = set(running["groups"]) - {command["group"]}
        running["groups"] = [*groups, *([command["group"]] if command["op"] == "join" else [])]
        self._observe(command["sworm"])
        return {"ok": True, "result": self._result(running)}

    _leave = _join

    def _publish(self, command: dict[str, Any]) -> Answer:
        return {"ok": True, "result": None}

    def _multi_call(self, command: dict[str, Any]) -> Answer:
        members = [name for (_, name), running in self.running.items() if command["group"] in running["groups"]]
        return {"ok": True, "result": [[name, command["message"], None] for name in members]}

    def _get(self, command: dict[str, Any]) -> Answer:
        running = self.running.get((command["sworm"], command["name"]))
        if running is None:
            return {"ok": False, "problem": "not_registered", "detail": "not here"}
        item = self._item(command["sworm"], running)
        return {"ok": True, "result": {**item, "started_at": time.time()}}

    def _item(self, sworm: str, running: dict[str, Any]) -> dict[str, Any]:
        return {
            "sworm": sworm, "name": running["name"], "pid": pid_of(self.origin, running["serial"]),
            "node": self.name, "epoch": running["epoch"], "state": "running", "target": running["target"],
            "args": running["args"], "kwargs": running["kwargs"], "isolation": running["isolation"] or "task",
            "groups": sorted(running["groups"]), "meta": running["meta"], "restarts": 0,
            "started_at": now().isoformat(),
        }  # fmt: skip

    # ---------------------------------------------------------------------------------------------------- observer

    def _observe(self, sworm: str) -> None:
        """Write the rows of everything that runs here, and say so."""
        if not self.observed or self._version == self._shown:
            return
        self._shown = self._version
        with transaction.atomic():
            revision = next_revision()
            mine = Process.objects.filter(sworm=sworm, node=self.name)
            items = [self._item(sworm, running) for key, running in self.running.items() if key[0] == sworm]
            mine.exclude(name__in=[item["name"] for item in items]).delete()
            Process.objects.bulk_create(
                [Process(**jsonable(item), revision=revision) for item in items],
                update_conflicts=True, unique_fields=["sworm", "name"],
                update_fields=["pid", "node", "epoch", "state", "groups", "revision"],
            )  # fmt: skip
            Membership.objects.filter(sworm=sworm).delete()
            Membership.objects.bulk_create(
                Membership(sworm=sworm, group=group, pid=item["pid"], name=item["name"], revision=revision)
                for item in items for group in item["groups"]
            )  # fmt: skip
            ObservedVersion.objects.update_or_create(
                sworm=sworm, origin=self.origin, defaults={"version": self._version}
            )
        versions = {sworm: {self.origin: self._version}}
        self._redis.publish(OBSERVED, msgspec.msgpack.encode({"revision": revision, "versions": versions}))
