"""The loop around a core: turns what the mesh says into events, and effects into what the mesh does.

Law: no decision is made here. One lock stands around `step`, so that the workers' thread may enter beside the mesh's
loop; effects are sorted under that lock in the order in which the steps came. What concerns the mesh is carried out on
its loop only, in order; what concerns workers is handed on at once; an effect of a kind named in `after_sends` waits
until the sends before it were handed to their links. Nothing here logs, and nothing here waits.

A `Path` may be given for the steps made on the workers' thread: what somebody waits for leaves from there at the end of
that loop's turn, and the mesh's loop is told of the rest a moment later. Should the workers' loop be held up before its
turn ends, the mesh's loop takes over what lies there at its next tick.

This is on the path of each registration: one event, one list, no task and no future for a step.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from registry.byway import Byway, Path
from registry.core.events import (
    Connect,
    Disconnect,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    Received,
    Report,
    Send,
    Ticked,
    Wake,
)
from registry.core.ids import Origin, node_of
from registry.joining import Joining
from registry.mesh.protocol import CLOCK_SKEW, DUPLICATE, REFUSED, SELF, Hello, Mesh, Message

_TICK = Ticked()

_here = threading.get_ident
_MESH = frozenset({Send, Connect, Disconnect})


class Core(Protocol):
    """What a runner drives: a `Member`, or a supervisor's `Node` around one."""

    def step(self, event: Any, now: float) -> list[Any]:
        """Take one event at `now`, seconds since 1970; returns the effects, in order."""


def _nothing(_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the owner of a runner does with what is not the mesh's. None may block or raise; each may call `enter`."""

    #: Any effect that the runner does not know, in step order, on the thread that made the step.
    effect: Callable[[Any], None] = _nothing
    #: A `Report`, likewise.
    report: Callable[[Report], None] = _nothing
    #: After one or more steps, once for the events of a call of `enter`; cheap, since it comes for each message.
    stepped: Callable[[], None] | None = None
    #: Our own incarnation is over for a peer, which knows this one: start the core anew with a higher one.
    refused: Callable[[int], None] = _nothing


class Runner:
    """Drives one core over one mesh. It is the mesh's `Handler`; made on any thread, started on the mesh's loop."""

    def __init__(
        self,
        core: Core,
        clock: Callable[[], float],
        hooks: Hooks | None = None,
        after_sends: Iterable[type[Any]] = (),
    ) -> None:
        """`clock` gives seconds since 1970. `after_sends`: kinds of effects that wait for the sends before them."""
        self.core = core
        self.lock = threading.RLock()  #: hold it to read several things of the core that must fit together
        self._clock = clock
        hooks = hooks or Hooks()
        self._effect, self._report, self._stepped, self._refused = (
            hooks.effect,
            hooks.report,
            hooks.stepped,
            hooks.refused,
        )
        self._after_sends = frozenset(after_sends)
        self._events: deque[Any] = deque()
        self._stepping = False
        self._outbox: deque[Any] = deque()  #: effects for the mesh's loop, in order
        self._posted = False  #: the mesh's loop was told of them
        self._wake_at = inf
        self._timer: asyncio.Handle | None = None
        self._timer_at = inf
        self._mesh: Mesh | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._byway: Byway | None = None
        self._joining: Joining | None = None
        self.joined = False  #: whether `Joined` was given to the core

    # ----------------------------------------------------------------------------------------------------- beginning

    def start(self, mesh: Mesh, join: Iterable[str] = ()) -> None:
        """Begin, on the mesh's loop, once the mesh listens: the first tick, then the dials to the URLs to join."""
        self._mesh = mesh
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._joining = Joining(mesh, (url for url in join if url != mesh.identity.url), self._tell_joined)
        self.enter(_TICK)
        self._joining.start()

    def open_path(self, path: Path) -> None:
        """On the path's thread: use it from now on for what is stepped there."""
        self._byway = Byway(path, self)

    def stop(self) -> None:
        """End, on the mesh's loop: no timer and no dial any more. Later events are still stepped, their sends lost."""
        if self._joining:
            self._joining.stop()
        if self._timer:
            self._timer.cancel()
        self._timer, self._timer_at = None, -inf  # no wish is earlier, so none arms it again

    def _tell_joined(self) -> None:
        self.joined = True
        self.enter(Joined())

    # ------------------------------------------------------------------------------------------------------ stepping

    def enter(self, event: Any) -> None:
        """Step the core with an event and see to its effects. From any thread; a call from within a hook is queued."""
        with self.lock:
            if self._stepping:
                self._events.append(event)
                return
            self._stepping = True
            try:
                byway = self._byway if self._byway and self._byway.is_here() else None
                outbox = byway.outbox if byway else self._outbox
                self._sort(self.core.step(event, self._clock()), outbox)
                while self._events:
                    self._sort(self.core.step(self._events.popleft(), self._clock()), outbox)
            finally:
                self._stepping = False
        if byway:
            byway.stepped()
        else:
            self._post()
        if self._stepped:
            self._stepped()

    def _post(self) -> None:
        """Any thread: have the mesh's loop see to what is there for it."""
        if self._posted or not self._loop or not (self._outbox or self._wake_at < self._timer_at):
            return
        self._posted = True
        post = self._loop.call_soon if _here() == self._thread else self._loop.call_soon_threadsafe
        with suppress(RuntimeError):  # that loop is closed: nobody needs this any more
            post(self._turn)

    def _turn(self) -> None:
        """Once for all events of a turn of the mesh's loop: a tick that is due already, then what they want sent.

        The tick comes first, so that what it flushes leaves in one frame with the rest: a frame to a peer that sleeps
        costs more than everything in it.
        """
        if self._wake_at <= self._clock() and self._timer_at > -inf:
            self._tick()
        self._posted = False
        self._flush()

    def _sort(self, effects: list[Any], outbox: deque[Any]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind in _MESH:
                outbox.append(effect)
            elif kind is Wake:
                if effect.at < self._wake_at:
                    self._wake_at = effect.at
            elif outbox and kind in self._after_sends:
                outbox.append(effect)
            elif kind is Report:
                self._report(effect)
            else:
                self._effect(effect)

    def _flush(self) -> None:
        """On the mesh's loop: carry out what is waiting for it, then see that the next tick comes in time."""
        mesh, outbox = self._mesh, self._outbox
        assert mesh is not None
        while outbox:
            effect = outbox.popleft()
            kind = type(effect)
            if kind is Send:
                mesh.send(effect.to, effect.message)
            elif kind is Connect:
                mesh.connect(effect.url, effect.origin)
            elif kind is Disconnect:
                mesh.disconnect(effect.origin, effect.reason)
            else:
                self._effect(effect)
        if self._wake_at < self._timer_at:
            self._arm()

    # --------------------------------------------------------------------------------------------------------- ticks

    def _arm(self) -> None:
        assert self._loop is not None
        if self._timer:
            self._timer.cancel()
        self._timer_at = at = self._wake_at
        wait = at - self._clock()
        self._timer = self._loop.call_later(wait, self._tick) if wait > 0 else self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        with self.lock:
            self._wake_at = self._timer_at = inf
            if self._byway:
                self._outbox.extend(self._byway.left_lying())
        if self._timer:
            self._timer.cancel()
        self._timer = None
        self.enter(_TICK)

    # ------------------------------------------------------------------------------------------------- for the byway

    def due_in(self) -> float:
        """Seconds until a tick is wished for that the mesh's timer does not see to; infinite: it sees to all."""
        return self._wake_at - self._clock() if self._wake_at < self._timer_at else inf

    def tick_here(self) -> None:
        """Make the tick that is due on the calling thread. The timer stays: a tick too many does no harm."""
        with self.lock:
            self._wake_at = inf
        self.enter(_TICK)

    def bring_home(self, effects: Iterable[Any]) -> None:
        """Have the mesh's loop carry out what is the mesh's, and see to its timer; hand on the rest here and now."""
        for effect in effects:
            if type(effect) in _MESH:
                self._outbox.append(effect)
            else:
                self._effect(effect)
        self._post()

    # -------------------------------------------------------------------------------------------------- mesh handler

    def received(self, origin: Origin, message: Message) -> None:
        """A message of a peer."""
        self.enter(Received(origin, message))  # type: ignore[arg-type]  # the table of this mesh has none but ours

    def link_up(self, origin: Origin, hello: Hello) -> None:
        """A link to a peer stands."""
        self.enter(LinkUp(origin))
        if self._joining:
            self._joining.link_up(hello.url)

    def link_down(self, origin: Origin, reason: str) -> None:
        """It is gone."""
        self.enter(LinkDown(origin, reason))
        if self._joining:
            self._joining.link_down()

    def connect_failed(
        self, url: str, origin: Origin | None, refused: bool, reason: str, last_incarnation: int | None
    ) -> None:
        """A dial of the core's, or one to join, came to nothing."""
        if last_incarnation is not None:
            self._refused(last_incarnation)
        if origin is not None:
            self.enter(LinkRefused(origin, refused, reason))
        elif self._joining:
            word = reason.partition(":")[0]
            self._joining.failed(
                url, reached=word == DUPLICATE, ourselves=word == SELF, kept_out=word in (CLOCK_SKEW, REFUSED)
            )

    def message_refused(self, origin: Origin, reason: str) -> None:
        """A message broke the rules: worth a report, since a sound cluster has none."""
        self._report(Report("refused_message", node=node_of(origin), detail=reason))

    def peer_refused(self, address: str, origin: Origin | None, reason: str) -> None:
        """A stranger was turned away: worth a report, someone may look for the reason."""
        node = node_of(origin) if origin else ""
        self._report(Report("refused_peer", node=node, detail=f"{address}: {reason}"))
