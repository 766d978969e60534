"""Runs one `Worker` object on the workers' loop: its start, what it starts beside itself, and its end.

Law: what a method raises ends this worker: the message in hand fails, those not begun bounce back to their senders.
However it ends, `terminate` is asked once if `init` came back, and `exited` is told once. Between start and end its
methods have turns (`turns`), those that give and take its state too (`states`).
"""

# ruff: noqa: BLE001 - a time-out is part of the contract; users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from registry.core.ids import Pid
from supervisor.core.events import StartWorker
from supervisor.errors import StartError, described
from supervisor.workers import states
from supervisor.workers.base import OWNER, Worker
from supervisor.workers.protocol import Host, kept
from supervisor.workers.tracing import shortened
from supervisor.workers.turns import Turns
from supervisor.workers.values import is_pending, unpack

log = logging.getLogger("supervisor.workers")


class ObjectExecutor(Turns):
    """One `Worker`."""

    __slots__ = ("kind", "spawned")

    def __init__(self, host: Host, order: StartWorker, kind: type[Worker]) -> None:
        super().__init__(host, order, kind)
        self.kind = kind
        self.spawned: set[asyncio.Task[None]] | None = None

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
            self.task = self.begin(self._start_on(worker, pending, state))
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
            self.bury("shutdown")
            return
        self.host.started(self)
        self.idle()

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

    # --------------------------------------------------------------------------------------------------------- state

    def take_state(self, timeout: float) -> None:
        """See `Executor.take_state`."""
        states.take(self, timeout)

    def take_checkpoint(self, timeout: float) -> None:
        """See `Executor.take_checkpoint`."""
        states.checkpoint(self, timeout)

    def give_state(self, loser: Pid, state: bytes) -> None:
        """See `Executor.give_state`."""
        states.give(self, loser, state)

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
            self.crash(error)

    def finish(self) -> None:
        """End normally once no method runs."""
        self.finishing = True
        if not self.busy:
            self.idle()

    def stop(self, reason: str) -> None:
        """See `Executor.stop`."""
        if self.ending:
            return
        if self.worker is None:  # `init` still runs: nothing to terminate
            self.ending = True
            if self.task is not None:
                self.task.cancel()
            self.host.loop.call_later(self.host.grace, self._end, True, "")
            return
        self.bury(reason)

    def crash(self, error: BaseException) -> None:
        """See `Turns.crash`."""
        if self.ending:
            return
        if self.worker is None:  # raised beside a running `init`
            self._start_failed(error)
            return
        detail = shortened(error)
        log.warning("%s crashed: %s", self.label, described(error), exc_info=error)
        self.bury("crashed", normal=False, detail=detail)

    def bury(self, reason: str, normal: bool = True, detail: str = "") -> None:
        """See `Turns.bury`: at once when nothing has to be waited for."""
        assert self.worker is not None
        self.ending = True
        if self.busy and self.task is not None and self.task is not asyncio.current_task():
            kept(self.begin(self._bury_busy(reason, normal, detail)))
            return
        self.busy = True
        try:
            pending = self.context.run(self.worker.terminate, reason)
        except BaseException as error:
            self._terminate_failed(error)
            pending = None
        if is_pending(pending):
            kept(self.begin(self._bury_on(pending, normal, detail)))
        else:
            self._end(normal, detail)

    async def _bury_busy(self, reason: str, normal: bool, detail: str) -> None:
        assert self.worker is not None
        await self._quiet(self.task)
        await self._bury_on(self.worker.terminate(reason), normal, detail)

    async def _bury_on(self, pending: Any, normal: bool, detail: str) -> None:
        if is_pending(pending):
            terminating = self.begin(self._await_terminate(pending))
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
            await asyncio.wait({task}, timeout=self.host.grace)
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
        self._cancel_spawned()
        letters = self.no_more()
        self.host.exited(self, normal, detail)
        for letter in letters:
            letter.bounce("")

    def _cancel_spawned(self) -> None:
        current = asyncio.current_task() if self.spawned else None
        for task in self.spawned or ():
            if task is not current:
                task.cancel()
