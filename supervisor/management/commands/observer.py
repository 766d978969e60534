"""`manage.py observer`: the control plane's member of the mesh, and the consumer of agents' reports.

Law: composition only. Reports are consumed, and operations carried out, by the observer that writes, not by a standby,
so that one history has one writer. SIGTERM or SIGINT ends it cleanly with status 0; a second one at once; losing the
term ends it with status 1.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

import dramatiq
import uvloop
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections

from registry.core.membership import PRESETS
from registry.core.messages import KINDS
from registry.management.command import SwormCommand
from registry.mesh.codec import Codec
from registry.mesh.protocol import Handler, Identity, Mesh, Options
from registry.mesh.websocket import WebSocketMesh
from registry.observer import Observer, ObserverConfig
from registry.retention import Keeping
from registry.writing import NotRecorded
from supervisor import operations
from supervisor.broker import DoorbellBroker, embedded_worker
from supervisor.config import LISTEN, BadFlag, need_cluster_key, parse_join, parse_listen, parse_name
from supervisor.engine import Engine
from supervisor.operations import Term
from supervisor.tasks import OBSERVER_QUEUE, ReportActor, declare_report

#: Milliseconds until an idle consumer of reports notices that it is to end.
LOOK_UP_MS = 100

#: Milliseconds that it gets to end.
STOP_MS = 2_000

#: libpq's limits: seconds to connect, and milliseconds without an acknowledgement until a connection is given up.
CONNECTION = {"connect_timeout": 5, "tcp_user_timeout": 10_000}


class Reports:
    """The consumer of agents' reports; started once this observer writes."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._lock = threading.Lock()
        self._broker: DoorbellBroker | None = None
        self._actor: ReportActor | None = None
        self._worker: dramatiq.Worker | None = None

    def start(self, observer: Observer) -> None:
        """Begin to consume; harmless when it consumes already."""
        with self._lock:
            if self._worker is None:
                self._broker = DoorbellBroker(self._redis_url)
                self._actor = declare_report(self._broker, observer.record, transient=(NotRecorded,))
                self._worker = embedded_worker(self._broker, OBSERVER_QUEUE, look_up_ms=LOOK_UP_MS)

    def stop(self) -> None:
        """End; a batch in hand goes back to its queue."""
        with self._lock:
            if self._worker is None or self._actor is None or self._broker is None:
                return
            self._actor.stop()
            self._worker.stop(timeout=STOP_MS)
            self._broker.close()


class Command(SwormCommand):
    """Observes the cluster."""

    help = "Observe the cluster: hold its replicas, and write what they show into the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where it stands in the mesh."""
        parser.add_argument("--join", action="append", metavar="URL", help="mesh URL of a node; default: SWORM_JOIN")
        parser.add_argument("--name", default="observer", help="its name in the mesh; two observers need two names")
        parser.add_argument("--listen", default=LISTEN, metavar="HOST:PORT", help="default: a free port on 127.0.0.1")

    def handle(self, *args: Any, **options: Any) -> None:
        """Observe until told to end."""
        try:
            key = need_cluster_key(settings.SWORM_CLUSTER_KEY)
            config = _config(options)
        except BadFlag as error:
            raise CommandError(str(error), returncode=2) from error
        _use_plain_connections()
        sys.exit(0 if _run(config, key) else 1)


def _use_plain_connections() -> None:
    """One thread writes, over one connection: a pool would only hide for seconds that the database is back."""
    options = connections.settings["default"].setdefault("OPTIONS", {})
    options.pop("pool", None)
    options.update({name: value for name, value in CONNECTION.items() if name not in options})


def _config(options: dict[str, Any]) -> ObserverConfig:
    if not settings.REDIS_URL or not settings.DATABASES:
        raise CommandError("an observer needs DATABASE_URL and REDIS_URL", returncode=2)
    host, port = parse_listen(options["listen"])
    return ObserverConfig(
        timing=PRESETS[settings.SWORM_MESH_PRESET],
        redis_url=settings.REDIS_URL,
        name=parse_name(options["name"]),
        host=host,
        port=port,
        join=parse_join(options["join"]) if options["join"] else settings.SWORM_JOIN,
        keeping=Keeping(
            event_days=settings.ENVIRONMENT.event_days,
            map_days=settings.ENVIRONMENT.map_days,
            idempotency_hours=settings.ENVIRONMENT.idempotency_hours,
            snapshot_hours=settings.ENVIRONMENT.snapshot_hours,
            snapshot_seconds=settings.ENVIRONMENT.snapshot_seconds,
            more=operations.sweeps(settings.ENVIRONMENT.operation_days),
        ),
    )


def _run(config: ObserverConfig, key: bytes) -> bool:
    codec = Codec(KINDS)
    reports = Reports(config.redis_url)

    def make_mesh(identity: Identity, handler: Handler, limits: Options) -> Mesh:
        return WebSocketMesh(identity, key, codec, handler, limits)

    def began() -> None:
        reports.start(observer)
        engine.wake()

    def wrote() -> None:
        engine.wrote()

    observer = Observer(config, make_mesh, get_channel_layer(), began=began, wrote=wrote)
    engine = Engine(lambda: _term(observer), observer.note)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _asked_to_end, loop, observer, reports)
        engine.start()
        try:
            return runner.run(observer.run())
        finally:
            engine.stop()
            reports.stop()


def _term(observer: Observer) -> Term | None:
    held = observer.term
    return None if held is None else Term(*held)


def _asked_to_end(loop: asyncio.AbstractEventLoop, observer: Observer, reports: Reports) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_end, args=(observer, reports), daemon=True).start()


def _end(observer: Observer, reports: Reports) -> None:
    reports.stop()  # first: a batch in hand is still written
    observer.stop()
