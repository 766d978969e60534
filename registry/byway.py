"""A second way to peers, beside a mesh's own loop, for what somebody waits for.

Law: a byway only ever saves time. What takes it could have gone over the mesh as well, and goes there whenever the
byway has no link, or its peer has not answered on it for a moment; the two ways keep no order between them, and no rule
of the registry depends on one. What nobody waits for keeps to the mesh.

A step that is made on another thread than the mesh's would else cost a thread switch here and another one at the peer
before a claim, its verdict or an acknowledgement has arrived: most of what a registration takes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from math import inf
from typing import Any, Protocol

from registry.core.events import Send
from registry.core.ids import Origin
from registry.core.messages import DIRECTORY, Ack, Claim, Delta, Verdict
from registry.mesh.protocol import Message

#: Seconds that pushes which nobody waits for may wait for company, and when more of them came just before. Those of a
#: turn that ended something awaited wait for none, unless there were some just before: nothing follows them.
COMPANY = 0.001
CROWD = 0.003

#: Seconds that count as just before.
LATELY = 0.01

#: Seconds up to which a tick that a step here wishes for is made here too, and not by the mesh's timer.
NEAR = 0.02

_AWAITED = frozenset({Claim, Verdict, Ack})


class Path(Protocol):
    """Links of another lane, which live on a loop of their own. Used on that loop's thread only."""

    loop: asyncio.AbstractEventLoop
    thread: int  #: identity of the loop's thread

    def send(self, origin: Origin, message: Message) -> bool:
        """Queue a message for a peer that will answer it; False when it is to go over the mesh instead."""

    def push(self, origin: Origin, message: Message) -> bool:
        """The same for one that nobody answers."""

    def flush(self) -> None:
        """Hand what is queued to the links now, not at the end of the turn."""


def is_awaited(message: Message) -> bool:
    """Whether somebody waits for this message: a claim, its verdict, or what must be merged or told before a reply."""
    if isinstance(message, Delta):
        return message.urgent and message.sworm != DIRECTORY
    return type(message) in _AWAITED


def is_push(effect: Any) -> bool:
    """Whether an effect sends a change of a sworm's map that nobody waits for."""
    return type(effect) is Send and type(effect.message) is Delta and effect.message.sworm != DIRECTORY


def push(effects: Iterable[Send], path: Path) -> list[Send]:
    """Send over the path what it takes; returns the rest, in order."""
    rest = [effect for effect in effects if not path.push(effect.to, effect.message)]
    path.flush()
    return rest


def take(effects: Iterable[Any], path: Path) -> list[Any]:
    """Send over the path what is awaited, with all that leaves together with it for the same peer, in order.

    Returns the rest, in order.
    """
    effects = list(effects)
    eager = {effect.to for effect in effects if type(effect) is Send and is_awaited(effect.message)}
    if not eager:
        return effects
    rest = []
    for effect in effects:
        if not (type(effect) is Send and effect.to in eager and path.send(effect.to, effect.message)):
            rest.append(effect)
    path.flush()
    return rest


class Home(Protocol):
    """What a byway needs of the runner that it belongs to."""

    lock: threading.RLock

    def due_in(self) -> float:
        """Seconds until a tick is wished for that the mesh's timer does not see to; infinite: it sees to all."""

    def tick_here(self) -> None:
        """Make the tick that is due on the calling thread."""

    def bring_home(self, effects: Iterable[Any]) -> None:
        """Have the mesh's loop carry out what is the mesh's, and see to its timer; hand on the rest here and now."""


class Byway:
    """What a runner does with the steps that are made on a path's thread: once a turn of that loop, for all of them."""

    def __init__(self, path: Path, home: Home) -> None:
        self.outbox: deque[Any] = deque()  #: effects of steps made here, in order; under the runner's lock
        self._path = path
        self._home = home
        self._pushes: deque[Send] = deque()  #: those that wait for company; changed under the runner's lock
        self._posted = False  #: the loop was told of what is in the outbox, or of a tick
        self._turns = self._turns_seen = 0  #: made here, and when the mesh's loop looked last
        self._company: asyncio.TimerHandle | None = None  #: after which the pushes leave
        self._pushed_at = -inf  #: when some left last, by the loop's clock
        self._tick: asyncio.TimerHandle | None = None
        self._tick_at = inf  #: by the loop's clock

    def is_here(self) -> bool:
        """Whether the calling thread is the path's."""
        return threading.get_ident() == self._path.thread

    def stepped(self) -> None:
        """Here, after a step: see to its effects at the end of this turn."""
        if not self._posted and (self.outbox or self._home.due_in() < inf):
            self._posted = True
            self._path.loop.call_soon(self._turn)

    def left_lying(self) -> list[Any]:
        """On the mesh's loop, under the lock, at each of its ticks: what lies here because this loop is held up."""
        lying: list[Any] = []
        if self._turns == self._turns_seen:
            lying = [*self._pushes, *self.outbox]
            self._pushes.clear()
            self.outbox.clear()
        self._turns_seen = self._turns
        return lying

    def _turn(self) -> None:
        home, path = self._home, self._path
        if home.due_in() <= 0:
            home.tick_here()
        self._posted = False
        self._turns += 1
        with home.lock:
            effects = list(self.outbox)
            self.outbox.clear()
        rest = take(effects, path)
        pushes = [effect for effect in rest if is_push(effect)]
        if pushes:
            with home.lock:  # the mesh's loop takes what lies here in two moves
                self._pushes.extend(pushes)
        if len(rest) > len(pushes):
            home.bring_home(effect for effect in rest if not is_push(effect))
        self._see_to_tick()
        if self._pushes and self._company is None:
            self._wait_for_company(ended=len(rest) < len(effects))

    def _wait_for_company(self, *, ended: bool) -> None:
        """Let pushes leave in time. `ended`: what this turn was about has been told to whoever waited for it."""
        loop = self._path.loop
        if loop.time() - self._pushed_at < LATELY:
            self._company = loop.call_later(CROWD, self._push)
        elif ended:
            self._push()
        else:
            self._company = loop.call_later(COMPANY, self._push)

    def _see_to_tick(self) -> None:
        wait = self._home.due_in()
        if wait > NEAR:
            self._home.bring_home(())
            return
        at = self._path.loop.time() + max(0.0, wait)
        if at < self._tick_at:
            if self._tick is not None:
                self._tick.cancel()
            self._tick_at, self._tick = at, self._path.loop.call_at(at, self._ticked)

    def _ticked(self) -> None:
        self._tick, self._tick_at = None, inf
        self._turn()

    def _push(self) -> None:
        self._company = None
        self._pushed_at = self._path.loop.time()
        with self._home.lock:
            pushes = list(self._pushes)
            self._pushes.clear()
        rest = push(pushes, self._path)
        if rest:
            self._home.bring_home(rest)
