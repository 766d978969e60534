"""Runs one coroutine function on the workers' loop, with a mailbox.

Law: the coroutine is the process: it ends when it returns. It gets messages only when it asks (`receive`), one at a
time; a message is in hand from then until it is answered or the next one is asked for. What it has not received goes
back to the senders when the process moves or ends.
"""

# ruff: noqa: ASYNC109, BLE001 - a time-out is part of the contract; users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from registry.core.ids import Pid
from supervisor.core.events import StartWorker
from supervisor.core.gate import OPEN
from supervisor.errors import NoReply, NotHandled, StartError, WorkerCrashed, described
from supervisor.workers.protocol import Executor, Host, Letter, kept
from supervisor.workers.scope import Current, scope_of
from supervisor.workers.tracing import shortened
from supervisor.workers.values import copied, is_pending, pack_state, unpack

log = logging.getLogger("supervisor.workers")

Hook = Callable[..., Any]


class Message:
    """One call or cast in the hands of a coroutine."""

    __slots__ = ("_executor", "_letter", "value")

    def __init__(self, executor: TaskExecutor, letter: Letter) -> None:
        self.value = letter.message
        self._letter = letter
        self._executor = executor

    @property
    def wants_reply(self) -> bool:
        """Whether it is a call: somebody waits for `reply`."""
        return self._letter.wants_reply

    def reply(self, value: Any) -> None:
        """Answer the call; nothing happens for a cast, or the second time. Raises `BadValue`."""
        value = copied(value)
        if self._executor.answered(self._letter):
            self._letter.reply(value)

    def refuse(self, reason: str = "") -> None:
        """Tell the caller that this message is not handled."""
        if self._executor.answered(self._letter):
            self._letter.fail(NotHandled(reason))


class Mailbox(Current):
    """What `current()` gives to a coroutine function: who it is, its messages, and its side of a handoff."""

    __slots__ = ("_executor",)

    def __init__(self, executor: TaskExecutor, state: Any) -> None:
        super().__init__(executor, state)
        self._executor = executor

    async def receive(self) -> Message:
        """The next call or cast, in order; waits for one."""
        return await self._executor.receive()

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            yield await self._executor.receive()

    def on_handoff(self, give_state: Hook) -> None:
        """Called with no arguments when the process moves; returns the state, which the next incarnation finds in
        `state`.
        """
        self._executor.give_hook = give_state

    def on_checkpoint(self, give_state: Hook) -> None:
        """Called with no arguments every `checkpoint_interval_ms`, between two messages; returns the state to be kept
        on other nodes, while this one goes on. Without it the hook of `on_handoff` is asked.
        """
        self._executor.keep_hook = give_state

    def on_conflict(self, resolve: Hook) -> None:
        """Called with the state of a duplicate that lost after a network split."""
        self._executor.resolve_hook = resolve


class TaskExecutor(Executor):
    """One coroutine function."""

    __slots__ = (
        "context", "ended", "function", "give_hook", "in_hand", "keep_hook", "mailbox", "queue", "resolve_hook",
        "settled", "stopping", "task", "unanswered", "waiter",
    )  # fmt: skip

    def __init__(self, host: Host, order: StartWorker, function: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        super().__init__(host, order)
        self.function = function
        self.context: contextvars.Context = scope_of(self, host.context)
        self.queue: deque[Letter] = deque()
        self.waiter: asyncio.Future[None] | None = None  #: the coroutine waits in `receive`
        self.in_hand: Letter | None = None
        self.settled: asyncio.Future[None] | None = None  #: somebody waits for the message in hand
        self.unanswered: set[Letter] = set()
        self.give_hook: Hook | None = None
        self.keep_hook: Hook | None = None
        self.resolve_hook: Hook | None = None
        self.mailbox = Mailbox(self, None)
        self.task: asyncio.Task[None] | None = None
        self.stopping = False
        self.ended = False

    def current(self) -> Current:
        """See `Executor.current`."""
        return self.mailbox

    @property
    def handler_task(self) -> asyncio.Task[Any] | None:
        """See `Executor.handler_task`."""
        return self.task

    def start(self, args: list[Any], kwargs: dict[str, Any], state: bytes | None) -> None:
        """See `Executor.start`."""
        try:
            self.mailbox.state = None if state is None else unpack(state)
            coroutine = self.context.run(self.function, *args, **kwargs)
        except BaseException as error:
            self.ended = True
            self.host.failed(self, StartError.code, described(error))
            return
        self.task = self.host.loop.create_task(self._live(coroutine), context=self.context)
        self.host.started(self)

    async def _live(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        except SystemExit as leaving:
            self._end(self.stopping or not leaving.code, f"SystemExit: {leaving.code}" if leaving.code else "")
        except BaseException as error:
            if self.stopping:
                self._end(True, "")
                return
            log.warning("%s crashed: %s", self.label, described(error), exc_info=error)
            self._end(False, shortened(error), described(error))
        else:
            self._end(True, "")

    # ------------------------------------------------------------------------------------------------------ messages

    def deliver(self, letter: Letter) -> None:
        """See `Executor.deliver`."""
        letter.place = self.queue
        self.queue.append(letter)
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def receive(self) -> Message:
        """The next message; the one in hand counts as handled."""
        self._settle()
        while True:
            if self.queue and self.gate.state is not OPEN:
                self.freeze()  # its lease lapsed while it was busy
            while self.queue:
                letter = self.queue.popleft()
                letter.place = None
                if not letter.over:
                    return self._hand_over(letter)
            self.waiter = self.host.loop.create_future()
            try:
                await self.waiter
            finally:
                self.waiter = None

    def _hand_over(self, letter: Letter) -> Message:
        self.in_hand = letter
        if letter.wants_reply:
            self.unanswered.add(letter)
        else:
            letter.reply(None)
        return Message(self, letter)

    def answered(self, letter: Letter) -> bool:
        """Note the answer to a call; False when there is nothing to answer any more."""
        if letter not in self.unanswered:
            return False
        self.unanswered.discard(letter)
        if letter is self.in_hand:
            self._settle()
        return True

    def _settle(self) -> None:
        self.in_hand = None
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)

    # ---------------------------------------------------------------------------------------------- gate and handoff

    def freeze(self) -> None:
        """See `Executor.freeze`."""
        for letter in self._take_queue():
            letter.place = self.gate.parked
            self.gate.park(letter)

    def _take_queue(self) -> list[Letter]:
        letters = list(self.queue)
        self.queue.clear()
        for letter in letters:
            letter.place = None
        return letters

    def take_state(self, timeout: float) -> None:
        """See `Executor.take_state`."""
        if self.give_hook is None or self.ended:
            self.host.state_taken(self, b"", False, "")
        else:
            self._task(self._take_state(self.give_hook, timeout, self.host.state_taken))

    def take_checkpoint(self, timeout: float) -> None:
        """See `Executor.take_checkpoint`."""
        hook = self.keep_hook or self.give_hook
        if hook is None or self.ended:
            self.host.checkpoint_taken(self, b"", False, "")
        else:
            self._task(self._take_state(hook, timeout, self.host.checkpoint_taken))

    async def _take_state(self, hook: Hook, timeout: float, tell: Callable[[Executor, bytes, bool, str], None]) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._message_handled()
                outcome = hook()
                state = pack_state(await outcome if is_pending(outcome) else outcome)
        except TimeoutError:
            tell(self, b"", False, f"no state within {timeout:g} s")
        except BaseException as error:
            tell(self, b"", False, described(error))
        else:
            tell(self, state, True, "")

    async def _message_handled(self) -> None:
        while self.in_hand is not None:
            if self.settled is None or self.settled.done():
                self.settled = self.host.loop.create_future()
            await asyncio.shield(self.settled)

    def give_state(self, loser: Pid, state: bytes) -> None:
        """See `Executor.give_state`."""
        if self.resolve_hook is None or self.ended:
            self.host.state_given(self, loser, "")
        else:
            self._task(self._give_state(self.resolve_hook, loser, state))

    async def _give_state(self, hook: Hook, loser: Pid, state: bytes) -> None:
        problem = ""
        try:
            outcome = hook(unpack(state))
            if is_pending(outcome):
                await outcome
        except BaseException as error:
            problem = described(error)
        self.host.state_given(self, loser, problem)

    # ----------------------------------------------------------------------------------------------------------- end

    def stop(self, reason: str) -> None:
        """See `Executor.stop`."""
        if self.stopping or self.task is None:
            return
        self.stopping = True
        self.task.cancel(reason)
        self.host.loop.call_later(self.host.grace, self._insist, self.task)

    def _insist(self, task: asyncio.Task[None]) -> None:
        if self.ended:
            return
        task.cancel()
        self.host.loop.call_later(self.host.grace, self._leave_behind)

    def _leave_behind(self) -> None:
        if not self.ended:
            log.error("%s ignores its cancellation; it is left behind", self.label)
            self._end(True, "")

    def _end(self, normal: bool, detail: str, crash: str = "") -> None:
        if self.ended:
            return
        self.ended = True
        self._settle()
        letters = self._take_queue()
        self.host.exited(self, normal, detail)
        for letter in self.unanswered:
            letter.fail(WorkerCrashed(crash) if not normal else NoReply())
        self.unanswered.clear()
        for letter in letters:
            letter.bounce("")

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        kept(self.host.loop.create_task(coroutine, context=self.context.copy()))
