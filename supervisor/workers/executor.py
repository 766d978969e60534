"""`Workers`: every worker of one agent, behind the verbs of `supervisor.core.events`.

Law: one loop, the workers' loop; every method is called there. It carries out what the node decided and tells what
happened (`emit`), once for each thing; it decides nothing. The gate of a process lives here from `start` to its end,
and everything that reaches its worker has passed it.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from registry.core.events import HoldCalls
from registry.core.ids import Pid
from registry.core.quorum import Lease
from supervisor.core import events
from supervisor.core.events import (
    CheckpointTaken,
    Chosen,
    StartWorker,
    StateGiven,
    StateTaken,
    WorkerExited,
    WorkerFailed,
    WorkerStarted,
)
from supervisor.core.gate import BOUNCED, FROZEN, OPEN, SHUT
from supervisor.core.spec import PROCESS
from supervisor.errors import StartError, SwormError
from supervisor.workers import target
from supervisor.workers.launch import Launcher
from supervisor.workers.objects import ObjectExecutor
from supervisor.workers.processes import ProcessExecutor
from supervisor.workers.protocol import GRACE, LATER, Executor, Letter
from supervisor.workers.strategist import Strategist
from supervisor.workers.tasks import TaskExecutor
from supervisor.workers.values import unpack_arguments

#: Seconds for a worker's `init` and `end_handoff`, or for a child to come up; then it counts as failed.
START_TIMEOUT = 30.0

WorkerEvent = WorkerStarted | WorkerFailed | WorkerExited | StateTaken | StateGiven | CheckpointTaken | Chosen
WorkerEffect = (
    HoldCalls | events.StartWorker | events.StopWorker | events.OpenGate | events.LeaseGate | events.FreezeGate
    | events.BounceGate | events.TakeState | events.GiveState | events.Choose | events.TakeCheckpoint
)  # fmt: skip


class Unfit(Executor):
    """Stands for a process whose module is being imported: it holds the gate until the real executor takes it over."""

    __slots__ = ()

    def deliver(self, letter: Letter) -> None:
        """See `Executor.deliver`."""
        letter.bounce("")

    def freeze(self) -> None:
        """See `Executor.freeze`."""
        return

    def take_state(self, timeout: float) -> None:
        """See `Executor.take_state`."""
        self.host.state_taken(self, b"", False, "the worker is still starting")

    def take_checkpoint(self, timeout: float) -> None:
        """See `Executor.take_checkpoint`."""
        self.host.checkpoint_taken(self, b"", False, "the worker is still starting")

    def give_state(self, loser: Pid, state: bytes) -> None:
        """See `Executor.give_state`."""
        self.host.state_given(self, loser, "the worker is still starting")

    def stop(self, reason: str) -> None:
        """See `Executor.stop`."""
        self.host.exited(self, True, "")


class Workers:
    """The workers of one agent.

    `emit` is called on the loop with a `WorkerEvent`, often from within the verb that caused it; it may call back into
    `Workers`. `allowed` is the agent's list of module
    prefixes (`SWORM_ALLOWED_MODULES`). `clock`: the node's own, by which its leases count.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        emit: Callable[[WorkerEvent], None],
        allowed: Iterable[str],
        *,
        clock: Callable[[], float] = time.time,
        start_timeout: float = START_TIMEOUT,
        import_timeout: float = target.IMPORT_TIMEOUT,
        grace: float = GRACE,
    ) -> None:
        self.loop = loop
        self.emit = emit
        self.allowed = tuple(allowed)
        self.clock = clock
        self.held: dict[int, deque[Letter]] = {}  #: what came while calls are held, by serial
        self.start_timeout = start_timeout
        self.context = contextvars.Context()
        self.grace = grace
        self.loader = target.Loader(loop, import_timeout)
        self.launcher = Launcher(loop)
        self.strategist = Strategist(loop, self.launcher, emit, self.allowed)
        self.running: dict[int, Executor] = {}
        self.starting: dict[int, asyncio.TimerHandle | None] = {}  #: those whose start did not come back at once
        self.empty: asyncio.Future[None] | None = None  #: done once nothing runs, for who is leaving
        self.late: set[int] = set()  #: those that are being ended because their start took too long
        self.permitted: dict[tuple[str, tuple[str, ...]], target.Target] = {}

    def carry_out(self, effect: WorkerEffect) -> None:
        """Carry out one of the node's effects."""
        match effect:
            case events.StartWorker():
                self.start(effect)
            case events.StopWorker(serial, reason):
                self.stop(serial, reason)
            case events.OpenGate(serial):
                self.open_gate(serial)
            case HoldCalls(on):
                self.hold_calls(on)
            case events.LeaseGate(serial, lease):
                self.lease_gate(serial, lease)
            case events.FreezeGate(serial):
                self.freeze_gate(serial)
            case events.BounceGate(serial, pid):
                self.bounce_gate(serial, pid)
            case events.TakeState(serial, timeout):
                self.take_state(serial, timeout)
            case events.TakeCheckpoint(serial, timeout):
                self.take_checkpoint(serial, timeout)
            case events.GiveState(serial, loser, state):
                self.give_state(serial, loser, state)
            case events.Choose():
                self.strategist.choose(effect)

    # --------------------------------------------------------------------------------------------------------- start

    def start(self, order: StartWorker) -> None:
        """Start a worker, its gate shut; `WorkerStarted` or `WorkerFailed` follows, at once for a quick `init`."""
        text = order.spec.target
        try:
            wanted = self._permitted(text, order.allowed_modules)
        except SwormError as error:
            self.emit(WorkerFailed(order.serial, error.code, error.detail))
            return
        if order.spec.isolation == PROCESS:
            self._begin(order, ProcessExecutor(self, order, self.launcher))
            return
        found = self.loader.found.get(text)
        if found is not None:
            self._begin(order, self._executor(order, found))
            return
        self.running[order.serial] = Unfit(self, order)
        self.loader.load(text, wanted, lambda outcome: self._loaded(order, outcome))

    def _permitted(self, text: str, definition: tuple[str, ...]) -> target.Target:
        key = (text, definition)
        wanted = self.permitted.get(key)
        if wanted is None:
            wanted = target.parse(text)
            target.check_allowed(wanted, self.allowed, definition)
            self.permitted[key] = wanted
        return wanted

    def _executor(self, order: StartWorker, found: target.Found) -> Executor:
        if target.is_worker_class(found):
            return ObjectExecutor(self, order, found)  # type: ignore[arg-type]
        if target.is_plain(found):
            return ProcessExecutor(self, order, self.launcher)
        return TaskExecutor(self, order, found)

    def _loaded(self, order: StartWorker, outcome: target.Found | SwormError) -> None:
        waiting = self.running.get(order.serial)
        if not isinstance(waiting, Unfit):
            return  # stopped meanwhile
        if isinstance(outcome, SwormError):
            self.failed(waiting, outcome.code, outcome.detail)
            return
        executor = self._executor(order, outcome)
        executor.gate = waiting.gate
        self._begin(order, executor)

    def _begin(self, order: StartWorker, executor: Executor) -> None:
        serial = order.serial
        self.running[serial] = executor
        self.starting[serial] = None
        try:
            args, kwargs = unpack_arguments(order.spec.args)
        except SwormError as error:
            self.failed(executor, StartError.code, error.detail)
            return
        executor.start(args, kwargs, order.state if order.stateful else None)
        if serial in self.starting:
            self.starting[serial] = self.loop.call_later(self.start_timeout, self._too_late, serial)

    def _too_late(self, serial: int) -> None:
        executor = self.running.get(serial)
        if executor is not None and serial in self.starting:
            del self.starting[serial]
            self.late.add(serial)
            executor.stop("start_timeout")

    # ---------------------------------------------------------------------------------------- what executors tell us

    def started(self, executor: Executor) -> None:
        """Host: a worker's start came back."""
        self._not_starting(executor.serial)
        self.emit(WorkerStarted(executor.serial))

    def failed(self, executor: Executor, code: str, detail: str) -> None:
        """Host: a worker did not start."""
        self._forget(executor)
        self.emit(WorkerFailed(executor.serial, code, detail))

    def exited(self, executor: Executor, normal: bool, detail: str) -> None:
        """Host: a worker ended."""
        self._forget(executor)
        if executor.serial in self.late:
            self.late.discard(executor.serial)
            detail = f"init took longer than {self.start_timeout:g} s"
            self.emit(WorkerFailed(executor.serial, StartError.code, detail))
        else:
            self.emit(WorkerExited(executor.serial, normal, detail))

    def state_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """Host: a worker gave its state, or did not."""
        self.emit(StateTaken(executor.serial, state, stateful, problem))

    def checkpoint_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """Host: a worker gave a checkpoint, or did not."""
        self.emit(CheckpointTaken(executor.serial, state, stateful, problem))

    def state_given(self, executor: Executor, loser: Pid, problem: str) -> None:
        """Host: a worker took a duplicate's state, or did not."""
        self.emit(StateGiven(executor.serial, loser, problem))

    def _not_starting(self, serial: int) -> None:
        handle = self.starting.pop(serial, None)
        if handle is not None:
            handle.cancel()

    def _forget(self, executor: Executor) -> None:
        self._not_starting(executor.serial)
        if self.running.get(executor.serial) is executor:
            del self.running[executor.serial]
            if not self.running and self.empty is not None and not self.empty.done():
                self.empty.set_result(None)
        if executor.gate.state != BOUNCED:
            _return(executor.gate.bounce(""), "")

    # ---------------------------------------------------------------------------------------------------------- gate

    def open_gate(self, serial: int) -> None:
        """Let messages through, those parked first. Nothing happens where nothing runs, or the gate is open already."""
        executor = self.running.get(serial)
        if executor is None or executor.gate.own not in (SHUT, FROZEN):
            return
        was_frozen = executor.gate.own == FROZEN
        letters = executor.gate.open()
        for letter in letters:
            letter.place = None
            if letter.is_marker:
                letter.reply(None)
        letters = [letter for letter in letters if not letter.is_marker]
        if was_frozen:
            executor.thaw(letters)
        else:
            for letter in letters:
                self.deliver(serial, letter)

    def lease_gate(self, serial: int, lease: Lease | None) -> None:
        """From now on, let messages through only while this lease holds."""
        executor = self.running.get(serial)
        if executor is not None:
            executor.gate = executor.gate.under(lease, self.clock)

    def freeze_gate(self, serial: int) -> None:
        """Park what arrives from now on, and what was delivered but not begun."""
        executor = self.running.get(serial)
        if executor is None or executor.gate.own not in (SHUT, OPEN):
            return
        executor.gate.freeze()
        executor.freeze()

    def bounce_gate(self, serial: int, pid: Pid) -> None:
        """Send what is parked, and whatever comes later, back: to this pid, or (empty) to be looked up again."""
        executor = self.running.get(serial)
        if executor is None or executor.gate.state == BOUNCED:
            return
        if executor.gate.own == OPEN:
            executor.gate.freeze()
            executor.freeze()
        _return(executor.gate.bounce(pid), pid)

    # --------------------------------------------------------------------------------------------------- state, stop

    def take_state(self, serial: int, timeout: float) -> None:
        """Ask a frozen worker for its state; `StateTaken` follows within `timeout` seconds, or soon after."""
        executor = self.running.get(serial)
        if executor is None:
            self.emit(StateTaken(serial, b"", False, "the process has ended"))
        else:
            executor.take_state(timeout)

    def take_checkpoint(self, serial: int, timeout: float) -> None:
        """Ask a running worker for its state; `CheckpointTaken` follows unless it ends before."""
        executor = self.running.get(serial)
        if executor is not None:
            executor.take_checkpoint(timeout)

    def give_state(self, serial: int, loser: Pid, state: bytes) -> None:
        """Hand a worker the state of a duplicate that lost; `StateGiven` follows."""
        executor = self.running.get(serial)
        if executor is None:
            self.emit(StateGiven(serial, loser, "the process has ended"))
        else:
            executor.give_state(loser, state)

    def stop(self, serial: int, reason: str) -> None:
        """End a worker; `WorkerExited` follows, always, also for one that is not there."""
        executor = self.running.get(serial)
        if executor is None:
            self.emit(WorkerExited(serial, True))
            return
        self.bounce_gate(serial, "")
        executor.stop(reason)

    async def stop_all(self, reason: str, timeout: float) -> None:  # noqa: ASYNC109 - what is left is left
        """End every worker and wait for it, at most `timeout` seconds: the agent is leaving."""
        self.empty = self.loop.create_future()
        for serial in list(self.running):
            self.stop(serial, reason)
        if self.running:
            await asyncio.wait({self.empty}, timeout=timeout)
        await self.strategist.close(timeout)

    # ------------------------------------------------------------------------------------------------------ messages

    def handle(self, serial: int, message: Any) -> Any:
        """Have an idle worker with an open gate handle a call in this turn; `LATER` when that is not possible.

        The message must be the worker's own copy; the reply is a copy, or a future when the handler waits. Raises
        `WorkerCrashed` when the handler raised.
        """
        executor = self.running.get(serial)
        if executor is None or executor.gate.state is not OPEN:
            return LATER
        return executor.handle(message)

    def hold_calls(self, on: bool) -> None:
        """This node was away: park whatever comes for any worker, before its gate, or let it go on in order.

        Two methods are exchanged for that, so that nothing is asked before each message while nothing is held.
        """
        if on:
            self.handle, self.deliver = _later, self._hold  # type: ignore[method-assign]
            return
        self.__dict__.pop("handle", None)
        self.__dict__.pop("deliver", None)
        held, self.held = self.held, {}
        for serial, letters in held.items():
            for letter in letters:
                letter.place = None
                self.deliver(serial, letter)

    def _hold(self, serial: int, letter: Letter) -> None:
        letters = letter.place = self.held.setdefault(serial, deque())
        letters.append(letter)

    def deliver(self, serial: int, letter: Letter) -> None:
        """Pass a letter through the gate: handled, queued, parked, or bounced at once."""
        executor = self.running.get(serial)
        if executor is None:
            letter.bounce("")
        elif executor.gate.state is OPEN:
            if letter.is_marker:
                letter.reply(None)
            else:
                executor.deliver(letter)
        elif executor.gate.park(letter):
            letter.place = executor.gate.parked
        else:
            letter.bounce(executor.gate.moved_to)

    def is_handler_of(self, serial: int, task: asyncio.Task[Any] | None) -> bool:
        """Whether a task is the one in which this worker's handler runs: a call from it to itself would never end."""
        executor = self.running.get(serial)
        return task is not None and executor is not None and executor.handler_task is task


def _later(serial: int, message: Any) -> Any:
    return LATER


def _return(letters: list[Letter], pid: Pid) -> None:
    for letter in letters:
        letter.place = None
        letter.bounce(pid)
