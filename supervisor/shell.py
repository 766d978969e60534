"""One incarnation of a node at work: the core, its two loops, and the ways between them.

Law: the node's loop carries the control lane, the timers and the commands; the workers' loop carries users' code and
the call lane. Either may enter the node's step, which stands under the runner's lock. What a step wants done is
sorted here by the loop that it belongs to, in the order of the steps: workers and the replies to them go through the
workers' mailbox, replies to commands through the node's. Nothing that users wrote ever runs under the lock or on the
node's loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from registry.core.directory import JOINING, LEFT
from registry.core.events import Detour, Report
from registry.core.ids import Origin, incarnation_of, node_of, origin_of
from registry.core.messages import KINDS
from registry.mesh.codec import Codec
from registry.mesh.protocol import Answer, Hello, Identity, Options, Refusal
from registry.mesh.websocket import WebSocketMesh
from registry.runner import Hooks, Runner
from registry.steady import SteadyClock
from supervisor.backend import use_backend
from supervisor.calls import Router
from supervisor.config import AgentConfig
from supervisor.core.events import DrainAsked, DrainCancelled, Drained, Reply
from supervisor.core.node import MemberConfig, Node, NodeConfig
from supervisor.local import LocalBackend
from supervisor.mailbox import Mailbox
from supervisor.side import Side

logger = logging.getLogger(__name__)

#: Seconds between two looks at the workers' loop.
WATCH = 1.0

#: Seconds that workers get to end when the whole node ends without moving them.
STOP_PATIENCE = 10.0

#: Seconds for links and sockets to end.
CLOSE_PATIENCE = 2.0


class Ended(Exception):
    """Why this incarnation is over."""


class Superseded(Ended):
    """Another incarnation of this name is known to the cluster; `last` is its number."""

    def __init__(self, last: int, *, was_up: bool) -> None:
        super().__init__(f"a newer incarnation of this node is known: {last}")
        self.last = last
        self.was_up = was_up


class Pages(Protocol):
    """Answers HTTP on the mesh port."""

    def __call__(self, path: str) -> Answer | None:
        """The page at a path, or None."""


class _Unborn:
    """Stands for the core until the mesh's address is known, within one turn of the loop."""

    def step(self, event: Any, now: float) -> list[Any]:
        raise RuntimeError("the mesh spoke before the node was there")


class Shell:
    """One incarnation. Made on the node's loop; `start` it, then wait for `ended`."""

    node: Node
    mesh: WebSocketMesh

    def __init__(self, config: AgentConfig, incarnation: int, report: Callable[[Report], None]) -> None:
        self.config = config
        self.origin: Origin = origin_of(config.name, incarnation)
        self.clock = SteadyClock()
        self.side = Side(self.clock.peek)
        self.left_behind: tuple[tuple[str, str], ...] = ()
        self.told_to_end = False  #: by a signal: no operator's word is above that
        self.leaving = False  #: a drain that ends in leaving was asked for
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._stopping = False  # workers are being ended for good: the core's wishes for them mean nothing any more
        self._expected: dict[str, Callable[[Reply], None]] = {}
        self._replies: Mailbox[Reply | Drained] = Mailbox(self._loop, self._take)
        self._backend: LocalBackend | None = None
        self._timers: list[asyncio.TimerHandle] = []
        hooks = Hooks(effect=self._effect, report=report, stepped=self._stepped, refused=self._refused)
        self.runner = Runner(_Unborn(), self.clock, hooks, after_sends=(Reply,))

    # ----------------------------------------------------------------------------------------------- beginning, end

    async def start(self, pages: Pages) -> None:
        """Listen, join, run. Raises `OSError` when an address cannot be had."""
        config = self.config
        self.side.start()
        call_url = await self.side.run(
            self.side.open(
                self.origin, config.cluster_key, config.host, config.allowed_modules,
                self._worker_event, self._on_workers_loop, self._admit,
            )
        )  # fmt: skip
        options = Options(admit=self._admit, http=pages)
        self.mesh = WebSocketMesh(Identity(self.origin), config.cluster_key, Codec(KINDS), self.runner, options)
        url = await self.mesh.listen(config.host, config.port)
        self.node = Node(self.origin, self._node_config(url, call_url), self.clock())
        self.runner.core = self.node
        self.side.view.node = self.node
        self._backend = await self.side.run(self._make_backend())
        use_backend(self._backend)
        await self.side.run(self.side.join(self.runner))
        self.runner.start(self.mesh, config.join)
        self._watch()

    def _node_config(self, url: str, call_url: str) -> NodeConfig:
        config = self.config
        member = MemberConfig(
            config.timing,
            url,
            call_url,
            config.sworms,
            config.labels,
            config.capacity,
            os_pid=os.getpid(),
            quorum_hosts=config.quorum_hosts,
        )
        return NodeConfig(member)

    async def _make_backend(self) -> LocalBackend:
        return LocalBackend(self.node, self.runner, self.side.router, self.clock)

    def drain(self, seconds: float, leave: bool) -> None:
        """Hand every process over; `ended` is done once that, and leaving, is told to the others."""
        self.leaving = self.leaving or leave
        self.enter(DrainAsked(self.clock() + seconds, leave))

    def cancel_drain(self) -> bool:
        """End an operator's drain, if there is one; who had no answer asks again. False: it is too late, or the agent
        itself was told to end.
        """
        if self.told_to_end:
            return False
        self.enter(DrainCancelled())
        self.leaving = self.leaving and self._is_draining()
        return not self._is_draining()

    def _is_draining(self) -> bool:
        return self.node.context.draining

    async def stop_workers(self, reason: str) -> None:
        """End every worker where it is, and obey no further wish for workers."""
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_PATIENCE + 1.0):  # the loop may be blocked
                await self.side.run(self.side.workers.stop_all(reason, STOP_PATIENCE))

    async def close(self) -> None:
        """Take down whatever stands; safe at any stage, and bounded."""
        self._stopping = True
        for timer in self._timers:
            timer.cancel()
        self.runner.stop()
        lanes: list[Coroutine[Any, Any, None]] = []
        if hasattr(self, "mesh"):
            lanes.append(self.mesh.close())
        if hasattr(self.side, "mesh"):
            lanes.append(self.side.run(self.side.close()))
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_PATIENCE):
                await asyncio.gather(*lanes)
        self.side.stop()

    # ------------------------------------------------------------------------------------------------------- reading

    @property
    def incarnation(self) -> int:
        """The number of this incarnation."""
        return incarnation_of(self.origin)

    @property
    def born(self) -> bool:
        """Whether the node is there."""
        return hasattr(self, "node")

    # -------------------------------------------------------------------------------------------- for commands (Owner)

    def enter(self, event: Any) -> None:
        """Step the node with an event."""
        self.runner.enter(event)

    def expect(self, request: str, then: Callable[[Reply], None]) -> None:
        """Call `then` on the node's loop with the reply to this request."""
        self._expected[request] = then

    def on_workers(self, coroutine: Callable[[Router], Coroutine[Any, Any, Any]]) -> Coroutine[Any, Any, Any]:
        """Run `coroutine(router)` on the workers' loop; awaited on the node's."""
        return self.side.run(coroutine(self.side.router))

    def report(self, report: Report) -> None:
        """Tell people."""
        self._report(report)

    # ------------------------------------------------------------------------------------------ effects, by their loop

    def _effect(self, effect: Any) -> None:
        """Any thread, mostly under the runner's lock: sort an effect to its loop."""
        kind = type(effect)
        if kind is Drained or (kind is Reply and effect.request in self._expected):
            self._replies.put(effect)
        else:
            self.side.mailbox.put(effect)

    def _stepped(self) -> None:
        """After a step, on the thread that made it and without the lock: do at once what belongs to this very loop."""
        self.side.mailbox.drain()
        self._replies.drain()

    def _take(self, effect: Reply | Drained) -> None:
        """On the node's loop."""
        if isinstance(effect, Reply):
            then = self._expected.pop(effect.request, None)
            if then is not None:
                then(effect)
            return
        self.left_behind = effect.left_behind
        if self.leaving and not self.ended.done():
            self.ended.set_result(None)

    def _on_workers_loop(self, effect: Any) -> None:
        """On the workers' loop."""
        if isinstance(effect, Reply):
            if self._backend is not None:
                self._backend.replied(effect)
        elif isinstance(effect, Detour):
            self.side.ways.detour(effect.origin, effect.relay)
        elif not self._stopping:
            self.side.workers.carry_out(effect)

    def _worker_event(self, event: Any) -> None:
        """On the workers' loop: something happened to a worker."""
        if not self._stopping:
            self.runner.enter(event)

    # ------------------------------------------------------------------------------------------------------- the mesh

    def _admit(self, hello: Hello) -> Refusal | None:
        """Whether a peer's incarnation may link; asked on either loop."""
        if not self.born:
            return None
        with self.runner.lock:
            last = self.node.member.admit(hello.origin)
        if last is None:
            return None
        name = node_of(hello.origin)
        return Refusal(f"incarnation {last} of {name} is known here; a new one must be higher", last)

    def _refused(self, last: int) -> None:
        """A peer knows an incarnation of ours that is not over: this one is."""
        if last < self.incarnation or self.ended.done():
            return
        status = self.node.member.record.status if self.born else JOINING
        if status == LEFT and last == self.incarnation:
            return  # the others know that this node has left, before it is done with leaving
        was_up = status != JOINING
        self.ended.set_exception(Superseded(last, was_up=was_up))

    def _watch(self) -> None:
        self.side.watch()
        self._timers = [self._loop.call_later(WATCH, self._watch)]
