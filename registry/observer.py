"""The observer: a member of the mesh that holds every replica, runs nothing, and has what it sees written.

Law: composition only. The mesh's loop belongs to the member; all that touches a database is on the writer's thread.
An observer that is refused as an old incarnation begins again as a newer one; one whose term was taken ends. Nothing in
the cluster depends on an observer: agents neither wait for it nor ask it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import redis
import redis.asyncio

from registry import reports
from registry.bell import DEFINITIONS
from registry.core.directory import LEFT
from registry.core.events import Report, Ticked
from registry.core.ids import Origin, incarnation_of
from registry.core.member import Member, MemberConfig, next_origin
from registry.core.membership import Timing
from registry.mesh.protocol import OBSERVER, Handler, Hello, Identity, Mesh, Options, Refusal
from registry.readmodel import EventRow, ReadModel
from registry.retention import Keeping
from registry.runner import Hooks, Runner
from registry.steady import SteadyClock
from registry.stream import TIMEOUT, Broker, Layer
from registry.watch import Watch
from registry.writing import NotRecorded, Owner, Writer

logger = logging.getLogger(__name__)

#: Seconds between two attempts to listen to the bell of the definitions.
RECONNECT = 1.0

#: Reports of the own member that the agents make too: one history needs them once.
SEEN_BY_AGENTS = frozenset({"peer_up", "peer_down", "suspect", "dead", "refuted", "ended"})

#: Makes a mesh for an identity and a handler.
MakeMesh = Callable[[Identity, Handler, Options], Mesh]


@dataclass(frozen=True, slots=True)
class ObserverConfig:
    """How an observer starts."""

    timing: Timing
    redis_url: str
    name: str = "observer"
    host: str = "127.0.0.1"
    port: int = 0  #: 0: a free one
    join: tuple[str, ...] = ()
    keeping: Keeping = field(default_factory=Keeping)


class _Nobody:
    """The core before there is one: the mesh must listen first, since the member says where."""

    def step(self, event: Any, now: float) -> list[Any]:
        """Nothing happens to nobody."""
        return []


class Observer:
    """One observer process. `run` is its life; `record` may be called from any thread meanwhile."""

    def __init__(
        self,
        config: ObserverConfig,
        make_mesh: MakeMesh,
        layer: Layer,
        began: Callable[[], None] = lambda: None,
        clock: Callable[[], float] | None = None,
        wrote: Callable[[], None] = lambda: None,
    ) -> None:
        """`began` is called, on the writer's thread, when this observer becomes the one that writes; `wrote` after each
        commit of rows.
        """
        self._config = config
        self._make_mesh = make_mesh
        self._layer = layer
        self._began = began
        self._wrote = wrote
        self._clock = clock or SteadyClock()
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Future[int | None] | None = None
        self._stopped = threading.Event()
        self.lost = False  #: whether another observer took over

    # --------------------------------------------------------------------------------------------------- any thread

    def stop(self) -> None:
        """End cleanly."""
        self._stopped.set()
        self._end(None)

    def record(self, batch: Mapping[str, Any]) -> None:
        """Write a batch of agents' reports and return once it is committed; raises `NotRecorded` to be tried again."""
        writer = self._writer
        if writer is None:
            raise NotRecorded("the observer is starting")
        writer.record(batch)

    @property
    def term(self) -> tuple[str, int] | None:
        """The holder and number of the term, while this observer writes."""
        writer = self._writer
        return None if writer is None else writer.term

    def note(self, event: EventRow) -> None:
        """Something for the history."""
        if self._writer is not None:
            self._writer.note(event)

    def _end(self, again_above: int | None) -> None:
        """End this incarnation; `again_above`: to begin again, with a higher one than this."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(self._resolve, again_above)

    def _resolve(self, again_above: int | None) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(again_above)

    # ------------------------------------------------------------------------------------------------------- its life

    async def run(self) -> bool:
        """Observe until `stop` (True) or until another observer has taken over (False)."""
        self._loop = asyncio.get_running_loop()
        last: int | None = 0
        client = redis.Redis.from_url(self._config.redis_url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        with client:
            while last is not None and not self._stopped.is_set():
                last = await self._incarnation(next_origin(self._config.name, self._clock(), last), client)
        return not self.lost

    async def _incarnation(self, origin: Origin, client: redis.Redis) -> int | None:
        self._over = asyncio.get_running_loop().create_future()
        runner = Runner(_Nobody(), self._clock, self._hooks(origin))
        mesh = self._make_mesh(Identity(origin, role=OBSERVER), runner, Options(admit=_admit(runner)))
        url = await mesh.listen(self._config.host, self._config.port)
        runner.core = member = self._member(origin, url)
        writer = self._writer = Writer(
            Watch(member, runner.lock),
            ReadModel(origin),
            Broker(client, self._layer, asyncio.get_running_loop()),
            Owner(self._began, self._lose, lambda: runner.enter(Ticked()), self._wrote),
            self._config.keeping,
        )
        thread = threading.Thread(target=writer.run, name="writer")
        listener = asyncio.create_task(self._listen(writer))
        runner.start(mesh, self._config.join)
        thread.start()
        logger.info("%s observes, reached at %s", origin, url)
        try:
            return await self._over
        finally:
            listener.cancel()
            writer.stop()  # first: what it would see of the others once the links are gone is not true
            await asyncio.to_thread(thread.join)
            await _leave(member, runner, mesh)

    def _member(self, origin: Origin, url: str) -> Member:
        config = MemberConfig(self._config.timing, url=url, sworms=(), observing=True, os_pid=os.getpid())
        return Member(origin, config, self._clock())

    def _hooks(self, origin: Origin) -> Hooks:
        return Hooks(report=self._note, stepped=self._wake, refused=lambda last: self._refused(origin, last))

    def _wake(self) -> None:
        if self._writer is not None:
            self._writer.wake()

    def _note(self, report: Report) -> None:
        if self._writer is None or report.kind in SEEN_BY_AGENTS:
            return
        told = {"at": self._clock(), **asdict(report)}
        for event in reports.read({"node": self._config.name, "reports": [told]}).events:
            self._writer.note(event)

    def _refused(self, origin: Origin, last: int) -> None:
        logger.warning("%s is known as ended; beginning again", origin)
        self._end(max(last, incarnation_of(origin)))

    def _lose(self) -> None:
        self.lost = True
        self._end(None)

    async def _listen(self, writer: Writer) -> None:
        """Pass on that definitions changed; what is lost while the broker is away, the writer finds by itself."""
        while True:
            with suppress(redis.RedisError, OSError):
                client = redis.asyncio.Redis.from_url(self._config.redis_url)
                async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(DEFINITIONS)
                    while True:
                        if await pubsub.get_message(timeout=5.0) is not None:
                            writer.look_at_definitions()
            await asyncio.sleep(RECONNECT)


def _admit(runner: Runner) -> Callable[[Hello], Refusal | None]:
    def admit(hello: Hello) -> Refusal | None:
        member = runner.core
        if not isinstance(member, Member):
            return Refusal("it is starting")
        with runner.lock:
            last = member.admit(hello.origin)
        return None if last is None else Refusal("a newer incarnation of this node is known", last)

    return admit


async def _leave(member: Member, runner: Runner, mesh: Mesh) -> None:
    """Say goodbye, so that nobody has to find out."""
    with runner.lock:
        member.set_status(LEFT)
    runner.enter(Ticked())
    runner.stop()
    await asyncio.sleep(0)  # what was sent leaves at the end of the turn
    await mesh.close()
