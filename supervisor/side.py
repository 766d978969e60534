"""The workers' side of an agent: a thread of its own with a loop of its own, where users' code and the call lane live.

Law: whatever a worker does to this loop, the node's loop goes on. Everything in here but the first four methods
happens on the workers' loop. The node's effects arrive through one mailbox, in order; what happens to workers goes
straight into the node's step, on this thread.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

import uvloop

from registry.core.ids import Origin
from registry.core.membership import record_of
from registry.core.replica import Replica
from registry.mesh.codec import Codec
from registry.mesh.protocol import CALLS, Hello, Identity, Options, Refusal
from registry.mesh.websocket import WebSocketMesh
from registry.runner import Runner
from supervisor import lane
from supervisor.calls import Router
from supervisor.core.node import Node
from supervisor.mailbox import Mailbox
from supervisor.shortcut import Shortcut
from supervisor.ways import Ways
from supervisor.workers.executor import WorkerEvent, Workers

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Seconds for which the workers' loop may not turn before somebody is told whose code it is.
BLOCKED_AFTER = 1.0


class View:
    """What the router reads of the registry. Empty until the node is there."""

    def __init__(self) -> None:
        self.node: Node | None = None

    @property
    def replicas(self) -> Mapping[str, Replica]:
        """Sworm -> its replica."""
        return self.node.replicas if self.node is not None else {}

    def call_url(self, origin: Origin) -> str:
        """Where a node takes calls; empty when it is not known."""
        record = record_of(self.node.member.directory, origin) if self.node is not None else None
        return record.call_url if record is not None else ""


class Side:
    """The thread, its loop, and what lives on it once `open` has returned."""

    workers: Workers
    router: Router
    ways: Ways
    mesh: WebSocketMesh
    mailbox: Mailbox[Any]

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: the node's own, seconds since 1970."""
        self.clock = clock
        self.loop = uvloop.new_event_loop()
        self.view = View()
        self.blocked = False  #: the loop has not turned for `BLOCKED_AFTER`
        self._thread = threading.Thread(target=self._run, name="workers", daemon=True)
        self._pinged = self._ponged = time.monotonic()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """From another loop: run a coroutine on this one and wait for it; cancelled there when it is cancelled here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))

    def stop(self) -> None:
        """End the loop, if it still turns; its thread is a daemon and may be left behind."""
        self.loop.call_soon_threadsafe(self.loop.stop)

    def watch(self) -> None:
        """From the node's loop, every second: tell once when a worker blocks the loop, and when it is over."""
        now = time.monotonic()
        waiting = self._pinged > self._ponged
        if not waiting:
            self._set_blocked(False, now)
            self._pinged = now
            self.loop.call_soon_threadsafe(self._pong)
        elif now - self._pinged >= BLOCKED_AFTER:
            self._set_blocked(True, now)

    # ---------------------------------------------------------------------------------------------- on the own loop

    async def open(
        self,
        origin: Origin,
        key: bytes,
        host: str,
        allowed: Iterable[str],
        emit: Callable[[WorkerEvent], None],
        handle: Callable[[Any], None],
        admit: Callable[[Hello], Refusal | None],
    ) -> str:
        """Make everything and listen for calls; returns the URL of the call lane. Raises `OSError`."""
        self.workers = Workers(self.loop, emit, allowed, clock=self.clock)
        self.router = Router(origin, self.view, self.workers)
        self.mailbox = Mailbox(self.loop, handle)
        identity, options = Identity(origin, lane=CALLS), Options(admit=admit)
        self.ways = Ways(self.router, self.view)
        codec = Codec(lane.KINDS, lane.LANE_ENVELOPES)
        self.mesh = WebSocketMesh(identity, key, codec, self.ways, options)
        self.ways.attach(self.mesh)
        return await self.mesh.listen(host, 0)

    async def join(self, runner: Runner) -> None:
        """Let the registry's messages that are waited for use the call lane, both ways."""
        shortcut = Shortcut(self.loop, self.mesh, self.view, runner.received, self.router.linger)
        self.ways.onward = shortcut.received
        runner.open_path(shortcut)

    async def close(self) -> None:
        """End calls and links. Workers are ended with `workers.stop_all` before."""
        self.router.close()
        self.ways.close()
        await self.mesh.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def _pong(self) -> None:
        self._ponged = time.monotonic()

    # ------------------------------------------------------------------------------------------------------- blocking

    def _set_blocked(self, blocked: bool, now: float) -> None:
        if blocked == self.blocked:
            return
        self.blocked = blocked
        if not blocked:
            logger.warning("the workers' loop turns again")
            return
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001  # the one way to see another thread
        stack = "".join(traceback.format_stack(frame)[-8:]) if frame else "(its thread has ended)\n"
        logger.warning(
            "the workers' loop has been blocked for %.1f s; every worker of this node waits for this code:\n%s",
            now - self._pinged,
            stack,
        )
