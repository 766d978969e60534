"""The boundary inside the workers' side: what runs one worker (`Executor`), what it is told, and whom it tells.

Law: everything here happens on one loop, the workers' loop. An executor runs one incarnation of one process; it decides
nothing about restarts, names or moves. Its messages come as letters; each letter ends exactly once: replied, failed,
or bounced back unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from typing import Any, Protocol

from registry.core.ids import Pid
from supervisor.core.events import StartWorker
from supervisor.core.gate import Gate
from supervisor.workers.scope import Current


class Later:
    """The one value that `Executor.handle` returns for "not now": never a reply."""


LATER = Later()

#: The grace of an agent's workers, see `Host.grace`: less than a verb waits, so that who unregisters a stuck worker
#: hears that it is gone.
GRACE = 4.0

_kept: set[asyncio.Task[Any]] = set()


def kept(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    """Hold a task that nobody else holds until it is done: its loop holds it weakly."""
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    return task


class Letter:
    """A message with its way back.

    `over`: nobody waits for it any more, so it must not be handled. `place`: the queue in which it waits, so that it
    can be taken out when its caller gives up. A subclass says what the three ends do; each is called at most once, and
    none may raise.
    """

    __slots__ = ("message", "over", "place")

    wants_reply = True  #: False: a cast
    is_marker = False  #: True: no message, but a mark in the queue; it passes gates and never reaches a worker

    def __init__(self, message: Any) -> None:
        self.message = message
        self.over = False
        self.place: deque[Letter] | None = None

    def reply(self, value: Any) -> None:
        """The handler returned this; for a cast: it was handled, the value is None."""

    def fail(self, error: BaseException) -> None:
        """It was handled, wholly or in part, and there is no reply."""

    def bounce(self, pid: Pid) -> None:
        """It was not handled: try this pid, or (empty) look the name up again."""

    def abandon(self) -> None:
        """Its caller has gone: leave no trace of it where it waits."""
        self.over = True
        place, self.place = self.place, None
        if place is not None:
            with contextlib.suppress(ValueError):
                place.remove(self)


class Host(Protocol):
    """Whom an executor tells what happened: the facade in an agent, the link to the agent in a child."""

    loop: asyncio.AbstractEventLoop
    context: contextvars.Context  #: an empty one: what a worker's tasks start from, instead of some caller's
    grace: float  #: seconds for the message in hand, and again for `terminate`, before a stopping worker is cancelled

    def started(self, executor: Executor) -> None:
        """`init` (and `end_handoff`) came back. At most once, before any other."""

    def failed(self, executor: Executor, code: str, detail: str) -> None:
        """It could not start; nothing of it runs any more."""

    def exited(self, executor: Executor, normal: bool, detail: str) -> None:
        """It ended and nothing of it runs any more. Once for an executor that did not fail to start."""

    def state_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """The end of `take_state`, once for each."""

    def checkpoint_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """The end of `take_checkpoint`, once for each."""

    def state_given(self, executor: Executor, loser: Pid, problem: str) -> None:
        """The end of `give_state`, once for each."""


class Executor:
    """Runs one worker; base of `ObjectExecutor`, `TaskExecutor` and `ProcessExecutor`.

    Guarantees: messages are handled one at a time in the order delivered; none is begun after `freeze` until `thaw`;
    none is handled after its letter is over. No method blocks or raises; what the worker raises ends the worker only.
    Duties of the owner: `deliver` and `handle` only while the gate is open.
    """

    __slots__ = ("epoch", "gate", "host", "name", "pid", "restored_age_ms", "serial", "sworm")

    def __init__(self, host: Host, order: StartWorker) -> None:
        self.host = host
        self.serial = order.serial
        self.sworm = order.sworm
        self.name = order.name
        self.pid = order.pid
        self.epoch = order.epoch
        self.restored_age_ms = order.restored_age_ms
        self.gate: Gate[Letter] = Gate()

    @property
    def label(self) -> str:
        """The process as logs name it."""
        return f"{self.sworm}/{self.name}"

    def current(self) -> Current:
        """What `current()` gives to its code."""
        return Current(self)

    @property
    def handler_task(self) -> asyncio.Task[Any] | None:
        """The task in which its handlers run just now: a call to itself from there would wait for itself."""
        return None

    def start(self, args: list[Any], kwargs: dict[str, Any], state: bytes | None) -> None:
        """Start with these arguments and, unless None, the handed-off state; `started` or `failed` follows, at once or
        later.
        """
        raise NotImplementedError

    def handle(self, message: Any) -> Any:
        """Handle a message in the caller's turn and return the reply, or `LATER` when that is not possible.

        Raises `WorkerCrashed` when the handler raised; the worker has then ended.
        """
        return LATER

    def deliver(self, letter: Letter) -> None:
        """Handle a letter after all those before it."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Begin no further message: those delivered and not begun go back into the gate, in order."""
        raise NotImplementedError

    def thaw(self, letters: list[Letter]) -> None:
        """Go on, with these letters first."""
        for letter in letters:
            self.deliver(letter)

    def take_state(self, timeout: float) -> None:
        """After the message in hand, ask for the state; `state_taken` follows within `timeout` seconds or so."""
        raise NotImplementedError

    def take_checkpoint(self, timeout: float) -> None:
        """Between two messages, ask for the state and go on; `checkpoint_taken` follows within `timeout` seconds or so,
        unless the worker ends before.
        """
        raise NotImplementedError

    def give_state(self, loser: Pid, state: bytes) -> None:
        """Hand over the state of a duplicate that lost; `state_given` follows."""
        raise NotImplementedError

    def stop(self, reason: str) -> None:
        """End the worker, whatever it is doing; `exited` follows. Repeatable."""
        raise NotImplementedError
