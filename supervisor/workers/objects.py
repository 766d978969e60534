"""Runs one `Worker` object on the workers' loop.

Law: its methods never overlap (`busy`), and each begins in the order of its messages. An idle worker's `def` handler
runs at once in the caller's turn; no task, queue or timer exists for a worker that is idle. What a method raises ends
this worker: the message in hand fails, those not begun bounce back to their senders.
"""

# ruff: noqa: ASYNC109, BLE001 - a time-out is part of the contract; users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any

from registry.core.ids import Pid
from supervisor.core.events import StartWorker
from supervisor.core.gate import OPEN
from supervisor.errors import BadValue, NotHandled, StartError, WorkerCrashed, described
from supervisor.workers.base import OWNER, Worker
from supervisor.workers.protocol import LATER, Executor, Host, Letter, kept
from supervisor.workers.scope import scope_of
from supervisor.workers.tracing import shortened
from supervisor.workers.values import PLAIN, copied, pack_state, unpack

log = logging.getLogger("supervisor.workers")

#: Seconds for the message in hand, and again for `terminate`, before a stopping worker is cancelled: less than a verb
#: waits, so that who unregisters a stuck worker hears that it is gone.
GRACE = 4.0


class Ended(Exception):
    """The process has ended."""


#: Whether a class's `handle_call` is a `def`: then an idle worker answers in the caller's turn.
_QUICK: dict[type[Worker], bool] = {}


def _is_quick(kind: type[Worker]) -> bool:
    quick = _QUICK.get(kind)
    if quick is None:
        quick = _QUICK[kind] = not inspect.iscoroutinefunction(kind.handle_call)
    return quick


def is_pending(value: Any) -> bool:
    """Whether a method returned something to wait for."""
    kind = value.__class__
    return kind not in PLAIN and (kind is CoroutineType or inspect.isawaitable(value))


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


class ObjectExecutor(Executor):
    """One `Worker`."""

    __slots__ = (
        "backlog",
        "busy",
        "context",
        "ended",
        "ending",
        "finishing",
        "kind",
        "quick",
        "spawned",
        "task",
        "waiters",
        "worker",
    )

    def __init__(self, host: Host, order: StartWorker, kind: type[Worker]) -> None:
        super().__init__(host, order)
        self.kind = kind
        self.quick = _is_quick(kind)
        self.context: contextvars.Context = scope_of(self, host.context)
        self.worker: Worker | None = None  #: None until `init` came back
        self.busy = True  #: a method runs, or none may begin
        self.ending = False  #: stopped, crashed or finished; `exited` is on its way
        self.ended = False
        self.finishing = False
        self.backlog: deque[Letter] | None = None
        self.waiters: deque[asyncio.Future[None]] | None = None  #: those who want the next turn, before any letter
        self.task: asyncio.Task[None] | None = None  #: in which a handler (or `init`) waits
        self.spawned: set[asyncio.Task[None]] | None = None

    @property
    def handler_task(self) -> asyncio.Task[Any] | None:
        """See `Executor.handler_task`."""
        return self.task

    # --------------------------------------------------------------------------------------------------------- start

    def start(self, args: list[Any], kwargs: dict[str, Any], state: bytes | None) -> None:
        """See `Executor.start`."""
        try:
            worker, pending = self.context.run(self._make, args, kwargs)
            if not is_pending(pending) and state is not None:
                pending, state = self.context.run(worker.end_handoff, unpack(state)), None
        except BaseException as error:
            self._start_failed(error)
            return
        if is_pending(pending):
            self.task = self._task(self._start_on(worker, pending, state))
        else:
            self._start_done(worker)

    def _make(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[Worker, Any]:
        worker = self.kind()
        worker.name, worker.sworm, worker.pid, worker.epoch = self.name, self.sworm, self.pid, self.epoch
        worker.restored_age_ms = self.restored_age_ms
        setattr(worker, OWNER, self)
        return worker, worker.init(*args, **kwargs)

    async def _start_on(self, worker: Worker, pending: Any, state: bytes | None) -> None:
        try:
            await pending
            if state is not None:
                taken = worker.end_handoff(unpack(state))
                if is_pending(taken):
                    await taken
        except BaseException as error:
            self.task = None
            self._start_failed(error)
        else:
            self.task = None
            self._start_done(worker)

    def _start_done(self, worker: Worker) -> None:
        self.worker = worker
        if self.ended:
            return
        if self.ending:
            self._bury("shutdown")
            return
        self.host.started(self)
        self._idle()

    def _start_failed(self, error: BaseException) -> None:
        if self.ended:
            return
        if self.ending:
            self._end(True, "")
            return
        self.ending = self.ended = True
        self._cancel_spawned()
        log.info("%s did not start: %s", self.label, described(error), exc_info=error)
        self.host.failed(self, StartError.code, described(error))

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
        self._idle()
        return reply

    def _adopt(self, pending: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.host.loop.create_future()
        self.task = self._task(self._finish_letter(_Adopted(future), pending))
        return future

    def deliver(self, letter: Letter) -> None:
        """See `Executor.deliver`."""
        if self.busy:
            if self.backlog is None:
                self.backlog = deque()
            letter.place = self.backlog
            self.backlog.append(letter)
        else:
            self._begin(letter)
            self._idle_if_free()

    def _begin(self, letter: Letter) -> None:
        """Run a letter's handler; it stays busy when the handler waits."""
        assert self.worker is not None
        self.busy = True
        method = self.worker.handle_call if letter.wants_reply else self.worker.handle_cast
        try:
            outcome = self.context.run(method, letter.message)
            if is_pending(outcome):
                self.task = self._task(self._finish_letter(letter, outcome))
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
        self._idle()

    def _raised(self, error: BaseException) -> WorkerCrashed:
        """What a handler's exception means for its caller; the worker goes on only after a refusal or a bad reply."""
        self.busy = self.ending
        if isinstance(error, NotHandled):
            return error
        if isinstance(error, BadValue):
            return WorkerCrashed(f"the worker's reply is {error}")
        if self.ending:
            return WorkerCrashed("the worker was stopped while it handled this message")
        self._crash(error)
        return WorkerCrashed(described(error))

    def _idle_if_free(self) -> None:
        if not self.busy:
            self._idle()

    def _idle(self) -> None:
        """A method came back: whoever wants the next turn gets it, then the letters."""
        self.busy = self.ending
        while not self.busy:
            if self.waiters:
                self.busy = True
                _wake(self.waiters.popleft())
            elif self.finishing:
                self._bury("finished")
            elif self.backlog and self.gate.state is not OPEN:
                self.freeze()  # its lease lapsed while it was busy
            elif self.backlog:
                letter = self.backlog.popleft()
                letter.place = None
                if not letter.over:
                    self._begin(letter)
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
                self._idle()  # the turn was given and not used
            elif waiter in self.waiters:
                self.waiters.remove(waiter)
            raise

    # ---------------------------------------------------------------------------------------------------------- gate

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

    # --------------------------------------------------------------------------------------------------------- state

    def take_state(self, timeout: float) -> None:
        """See `Executor.take_state`."""
        if self.worker is None or self.ending:
            self._state_failed("the worker is not running")
        elif type(self.worker).begin_handoff is Worker.begin_handoff:
            self.host.state_taken(self, b"", False, "")
        elif self.busy or inspect.iscoroutinefunction(self.worker.begin_handoff):
            kept(self._task(self._take_state(timeout)))
        else:
            self.busy = True
            try:
                state = self.context.run(self.worker.begin_handoff)
                packed = b"" if is_pending(state) else pack_state(state)
            except BaseException as error:
                self._state_failed(described(error))
            else:
                if is_pending(state):
                    kept(self._task(self._await_state(state, timeout)))
                    return
                self.host.state_taken(self, packed, True, "")
            self._idle()

    async def _take_state(self, timeout: float) -> None:
        assert self.worker is not None
        begin = self.worker.begin_handoff
        await self._answer_state(timeout, self._in_turn(begin))

    async def _await_state(self, pending: Any, timeout: float) -> None:
        try:
            await self._answer_state(timeout, pending)
        finally:
            self._idle()

    async def _answer_state(self, timeout: float, pending: Any) -> None:
        try:
            async with asyncio.timeout(timeout):
                state = pack_state(await pending)
        except TimeoutError:
            self._state_failed(f"no state within {timeout:g} s")
        except BaseException as error:
            self._state_failed(described(error))
        else:
            self.host.state_taken(self, state, True, "")

    def _state_failed(self, problem: str) -> None:
        self.host.state_taken(self, b"", False, problem)

    async def _in_turn(self, method: Callable[[], Any]) -> Any:
        """Call a method between messages and wait for it."""
        await self._turn()
        self.task = asyncio.current_task()
        try:
            outcome = method()
            return await outcome if is_pending(outcome) else outcome
        finally:
            self.task = None
            self._idle()

    def take_checkpoint(self, timeout: float) -> None:
        """See `Executor.take_checkpoint`."""
        worker = self.worker
        if worker is None or self.ending:
            self.host.checkpoint_taken(self, b"", False, "the worker is not running")
        elif type(worker).begin_handoff is Worker.begin_handoff and type(worker).checkpoint is Worker.checkpoint:
            self.host.checkpoint_taken(self, b"", False, "")
        else:
            kept(self._task(self._take_checkpoint(worker, timeout)))

    async def _take_checkpoint(self, worker: Worker, timeout: float) -> None:
        async def packed() -> bytes:  # within the turn: the next message may change what was returned
            outcome = worker.checkpoint()
            return pack_state(await outcome if is_pending(outcome) else outcome)

        try:
            async with asyncio.timeout(timeout):
                state: bytes = await self._in_turn(packed)
        except TimeoutError:
            self.host.checkpoint_taken(self, b"", False, f"no checkpoint within {timeout:g} s")
        except BaseException as error:
            self.host.checkpoint_taken(self, b"", False, described(error))
        else:
            self.host.checkpoint_taken(self, state, True, "")

    def give_state(self, loser: Pid, state: bytes) -> None:
        """See `Executor.give_state`."""
        kept(self._task(self._give_state(loser, state)))

    async def _give_state(self, loser: Pid, state: bytes) -> None:
        assert self.worker is not None
        resolve = self.worker.resolve_conflict
        problem = ""
        try:
            value = unpack(state)
            await self._in_turn(lambda: resolve(value))
        except BaseException as error:
            problem = described(error)
        self.host.state_given(self, loser, problem)

    # ----------------------------------------------------------------------------------------------------------- end

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Run a coroutine that ends with the worker, and ends it by raising."""
        task = self.host.loop.create_task(self._beside(coroutine), context=self.context.copy())
        if self.spawned is None:
            self.spawned = set()
        self.spawned.add(task)
        task.add_done_callback(self.spawned.discard)
        return task

    async def _beside(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._crash(error)

    def finish(self) -> None:
        """End normally once no method runs."""
        self.finishing = True
        if not self.busy:
            self._idle()

    def stop(self, reason: str) -> None:
        """See `Executor.stop`."""
        if self.ending:
            return
        if self.worker is None:  # `init` still runs: nothing to terminate
            self.ending = True
            if self.task is not None:
                self.task.cancel()
            self.host.loop.call_later(GRACE, self._end, True, "")
            return
        self._bury(reason)

    def _crash(self, error: BaseException) -> None:
        if self.ending:
            return
        if self.worker is None:  # raised beside a running `init`
            self._start_failed(error)
            return
        detail = shortened(error)
        log.warning("%s crashed: %s", self.label, described(error), exc_info=error)
        self._bury("crashed", normal=False, detail=detail)

    def _bury(self, reason: str, normal: bool = True, detail: str = "") -> None:
        """Run `terminate` and end; at once when nothing has to be waited for."""
        assert self.worker is not None
        self.ending = True
        if self.busy and self.task is not None and self.task is not asyncio.current_task():
            kept(self._task(self._bury_busy(reason, normal, detail)))
            return
        self.busy = True
        try:
            pending = self.context.run(self.worker.terminate, reason)
        except BaseException as error:
            self._terminate_failed(error)
            pending = None
        if is_pending(pending):
            kept(self._task(self._bury_on(pending, normal, detail)))
        else:
            self._end(normal, detail)

    async def _bury_busy(self, reason: str, normal: bool, detail: str) -> None:
        assert self.worker is not None
        await self._quiet(self.task)
        await self._bury_on(self.worker.terminate(reason), normal, detail)

    async def _bury_on(self, pending: Any, normal: bool, detail: str) -> None:
        if is_pending(pending):
            terminating = self._task(self._await_terminate(pending))
            await self._quiet(terminating)
        self._end(normal, detail)

    async def _await_terminate(self, pending: Any) -> None:
        try:
            await pending
        except BaseException as error:
            self._terminate_failed(error)

    async def _quiet(self, task: asyncio.Task[None] | None) -> None:
        """Wait for a task, cancel it after the grace, and leave it behind when it ignores even that."""
        for _ in range(2):
            if task is None or task.done():
                return
            await asyncio.wait({task}, timeout=GRACE)
            if not task.done():
                task.cancel()
                await asyncio.sleep(0)
        log.error("%s ignores its cancellation; it is left behind", self.label)

    def _terminate_failed(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            log.warning("%s: terminate failed: %s", self.label, described(error), exc_info=error)

    def _end(self, normal: bool, detail: str) -> None:
        if self.ended:
            return
        self.ended = self.ending = self.busy = True
        self._cancel_spawned()
        waiters, self.waiters = self.waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_exception(Ended())
        letters = self._take_backlog()
        self.host.exited(self, normal, detail)
        for letter in letters:
            letter.bounce("")

    def _cancel_spawned(self) -> None:
        current = asyncio.current_task() if self.spawned else None
        for task in self.spawned or ():
            if task is not current:
                task.cancel()

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.host.loop.create_task(coroutine, context=self.context.copy())


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
