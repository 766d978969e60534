"""The turns of one `Worker` object: which of its methods runs, and which message is next.

Law: its methods never overlap (`busy`), and each begins in the order of its messages; whoever wants a turn between two
messages gets it before the next of them. An idle worker's `def` handler runs at once in the caller's turn; no task,
queue or timer exists for a worker that is idle.
"""

# ruff: noqa: BLE001 - users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from supervisor.core.events import StartWorker
from supervisor.core.gate import OPEN
from supervisor.errors import BadValue, NotHandled, WorkerCrashed, described
from supervisor.workers.base import Worker
from supervisor.workers.protocol import LATER, Executor, Host, Letter
from supervisor.workers.scope import scope_of
from supervisor.workers.values import copied, is_pending


class Ended(Exception):
    """The process has ended."""


#: Whether a class's `handle_call` is a `def`: then an idle worker answers in the caller's turn.
_QUICK: dict[type[Worker], bool] = {}


def _is_quick(kind: type[Worker]) -> bool:
    quick = _QUICK.get(kind)
    if quick is None:
        quick = _QUICK[kind] = not inspect.iscoroutinefunction(kind.handle_call)
    return quick


class _Adopted(Letter):
    """A call whose `def` handler turned out to return an awaitable: the caller waits on the future instead."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[Any]) -> None:
        super().__init__(None)
        self.future = future

    def reply(self, value: Any) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Turns(Executor):
    """Base of `ObjectExecutor`, which starts and ends the worker."""

    __slots__ = (
        "backlog", "busy", "context", "ended", "ending", "finishing", "quick", "task", "waiters", "worker",
    )  # fmt: skip

    def __init__(self, host: Host, order: StartWorker, kind: type[Worker]) -> None:
        super().__init__(host, order)
        self.quick = _is_quick(kind)
        self.context: contextvars.Context = scope_of(self, host.context)
        self.worker: Worker | None = None  #: None until `init` came back
        self.busy = True  #: a method runs, or none may begin
        self.ending = False  #: stopped, crashed or finished; `exited` is on its way
        self.ended = False
        self.finishing = False  #: it ends at its next turn
        self.backlog: deque[Letter] | None = None
        self.waiters: deque[asyncio.Future[None]] | None = None  #: those who want the next turn, before any letter
        self.task: asyncio.Task[None] | None = None  #: in which a handler (or `init`) waits

    def crash(self, error: BaseException) -> None:
        """A method raised: the worker ends."""
        raise NotImplementedError

    def bury(self, reason: str) -> None:
        """The worker has nothing more to do, or is to stop: run `terminate` and end."""
        raise NotImplementedError

    @property
    def handler_task(self) -> asyncio.Task[Any] | None:
        """See `Executor.handler_task`."""
        return self.task

    # ------------------------------------------------------------------------------------------------------ messages

    def handle(self, message: Any) -> Any:
        """See `Executor.handle`."""
        if self.busy or not self.quick or self.worker is None:
            return LATER
        self.busy = True
        try:
            reply = self.context.run(self.worker.handle_call, message)
            if is_pending(reply):
                return self._adopt(reply)
            reply = copied(reply)
        except BaseException as error:
            crash = self._raised(error)
            self._idle_if_free()
            raise crash from None
        self.idle()
        return reply

    def _adopt(self, pending: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.host.loop.create_future()
        self.task = self.begin(self._finish_letter(_Adopted(future), pending))
        return future

    def deliver(self, letter: Letter) -> None:
        """See `Executor.deliver`."""
        if self.busy:
            if self.backlog is None:
                self.backlog = deque()
            letter.place = self.backlog
            self.backlog.append(letter)
        else:
            self._begin_letter(letter)
            self._idle_if_free()

    def _begin_letter(self, letter: Letter) -> None:
        """Run a letter's handler; it stays busy when the handler waits."""
        assert self.worker is not None
        self.busy = True
        method = self.worker.handle_call if letter.wants_reply else self.worker.handle_cast
        try:
            outcome = self.context.run(method, letter.message)
            if is_pending(outcome):
                self.task = self.begin(self._finish_letter(letter, outcome))
                return
            letter.reply(copied(outcome) if letter.wants_reply else None)
        except BaseException as error:
            letter.fail(self._raised(error))
            return
        self.busy = self.ending

    async def _finish_letter(self, letter: Letter, pending: Any) -> None:
        try:
            reply = await pending
            self.task = None
            letter.reply(copied(reply) if letter.wants_reply else None)
        except BaseException as error:
            self.task = None
            letter.fail(self._raised(error))
            self._idle_if_free()
            return
        self.idle()

    def _raised(self, error: BaseException) -> WorkerCrashed:
        """What a handler's exception means for its caller; the worker goes on only after a refusal or a bad reply."""
        self.busy = self.ending
        if isinstance(error, NotHandled):
            return error
        if isinstance(error, BadValue):
            return WorkerCrashed(f"the worker's reply is {error}")
        if self.ending:
            return WorkerCrashed("the worker was stopped while it handled this message")
        self.crash(error)
        return WorkerCrashed(described(error))

    # --------------------------------------------------------------------------------------------------------- turns

    def _idle_if_free(self) -> None:
        if not self.busy:
            self.idle()

    def idle(self) -> None:
        """A method came back: whoever wants the next turn gets it, then the letters."""
        self.busy = self.ending
        while not self.busy:
            if self.waiters:
                self.busy = True
                _wake(self.waiters.popleft())
            elif self.finishing:
                self.bury("finished")
            elif self.backlog and self.gate.state is not OPEN:
                self.freeze()  # its lease lapsed while it was busy
            elif self.backlog:
                letter = self.backlog.popleft()
                letter.place = None
                if not letter.over:
                    self._begin_letter(letter)
            else:
                return

    async def _turn(self) -> None:
        """Wait until no method runs and take the turn; raises `Ended` when the worker ends before that."""
        if self.ended:
            raise Ended
        if not self.busy:
            self.busy = True
            return
        if self.waiters is None:
            self.waiters = deque()
        waiter: asyncio.Future[None] = self.host.loop.create_future()
        self.waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.idle()  # the turn was given and not used
            elif waiter in self.waiters:
                self.waiters.remove(waiter)
            raise

    async def in_turn(self, method: Callable[[], Any]) -> Any:
        """Call a method between messages and wait for it. Raises `Ended`, and whatever the method raises."""
        await self._turn()
        self.task = asyncio.current_task()
        try:
            outcome = method()
            return await outcome if is_pending(outcome) else outcome
        finally:
            self.task = None
            self.idle()

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine of this worker's as a task, in its scope."""
        return self.host.loop.create_task(coroutine, context=self.context.copy())

    # ---------------------------------------------------------------------------------------------------- gate, end

    def freeze(self) -> None:
        """See `Executor.freeze`."""
        for letter in self._take_backlog():
            letter.place = self.gate.parked
            self.gate.park(letter)

    def _take_backlog(self) -> list[Letter]:
        letters = list(self.backlog or ())
        self.backlog = None
        for letter in letters:
            letter.place = None
        return letters

    def no_more(self) -> list[Letter]:
        """No method begins any more: whoever wanted a turn gets `Ended`; returns the letters that were not begun."""
        self.ended = self.ending = self.busy = True
        waiters, self.waiters = self.waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_exception(Ended())
        return self._take_backlog()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
