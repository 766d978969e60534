"""Asks users' own distribution strategies, each in an operating-system process of its own.

Law: a strategy costs nobody anything but an error: whatever it does (raise, loop, leave, eat memory), each question
ends in one `Chosen`, within `PATIENCE` and the time that its process takes to start. Questions that come while one is
asked go together in the next. A strategy that failed to start is not tried again before `REST`; one that nobody asks
for `UNUSED` has no process.

    def near(name: str, candidates: list[Candidate]) -> str | None: ...   # a candidate's node; None: none of them
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
from collections import deque
from collections.abc import Callable
from typing import Any

from registry.core.ids import Pid
from registry.core.names import Spec
from supervisor.core.events import Choose, Chosen, StartWorker
from supervisor.core.strategies import Candidate
from supervisor.errors import NotHandled, SwormError, described
from supervisor.workers import target
from supervisor.workers.base import Worker
from supervisor.workers.launch import Launcher, kill
from supervisor.workers.processes import ProcessExecutor
from supervisor.workers.protocol import GRACE, Executor, Letter

#: Seconds for the answer to what was asked together.
PATIENCE = 2.0
#: Seconds for a strategy's process to start.
START_PATIENCE = 20.0
#: Seconds until a strategy that could not start is tried again.
REST = 2.0
#: Seconds after which a process that nobody asks is ended: its sworm may have another strategy by now.
UNUSED = 300.0
#: Questions asked together at most.
TOGETHER = 200

Key = tuple[str, tuple[str, ...]]  # (strategy, allowed modules)


class Chooser(Worker):
    """In the child: holds the user's function and asks it."""

    function: Callable[[str, list[Candidate]], Any]

    def init(self, text: str) -> None:
        """Import the strategy."""
        self.function = target.load(target.parse(text))

    def handle_call(self, message: Any) -> list[Any]:
        """[[names, candidates], …] -> for each question the nodes, or a sentence."""
        return [self._choose(names, [Candidate(*fields) for fields in candidates]) for names, candidates in message]

    def _choose(self, names: list[str], candidates: list[Candidate]) -> Any:
        found = []
        for name in names:
            try:
                node = self.function(name, list(candidates))
            except Exception as error:  # noqa: BLE001 - users' code raises anything
                return f"raised {described(error)} for {name!r}"
            if node is not None and not isinstance(node, str):
                return f"returned {node!r:.100} for {name!r}; it must be a candidate's node, or None"
            found.append(node or "")
        return found


class _Reply(Letter):
    """What was asked together, on its way."""

    __slots__ = ("then",)

    def __init__(self, message: Any, then: Callable[[Any], None]) -> None:
        super().__init__(message)
        self.then = then

    def reply(self, value: Any) -> None:
        """See `Letter.reply`."""
        self.then(value)

    def fail(self, error: BaseException) -> None:
        """See `Letter.fail`."""
        self.then("takes no messages" if isinstance(error, NotHandled) else f"failed: {error}")

    def bounce(self, pid: Pid) -> None:
        """See `Letter.bounce`."""
        self.then("ended before it answered")


class _Asked:
    """One strategy with its process, and what waits for it."""

    def __init__(self, owner: Strategist, key: Key) -> None:
        self.owner = owner
        self.key = key
        self.loop = owner.loop
        self.context = contextvars.Context()
        self.grace = GRACE
        self.executor: ProcessExecutor | None = None
        self.ready = False
        self.problem = ""  #: why it could not start lately
        self.waiting: deque[Choose] = deque()
        self.asked: list[Choose] = []
        self.timer: asyncio.TimerHandle | None = None

    def put(self, question: Choose) -> None:
        """Take one more question."""
        if self.problem:
            self.owner.answer(question, self.problem)
            return
        self.waiting.append(question)
        if self.executor is None:
            self._start()
        elif self.ready and not self.asked:
            self._ask()

    def _start(self) -> None:
        spec = Spec(f"{__name__}:{Chooser.__name__}")
        order = StartWorker(0, "strategy", self.key[0], "", 0, spec, ())
        self.executor = ProcessExecutor(self, order, self.owner.launcher)
        self.timer = self.loop.call_later(START_PATIENCE, self._late, f"did not start within {START_PATIENCE:g} s")
        self.executor.start([self.key[0]], {}, None)

    def _ask(self) -> None:
        assert self.executor is not None
        self._cancel()
        self.asked = [self.waiting.popleft() for _ in range(min(TOGETHER, len(self.waiting)))]
        message = [[list(q.names), [list(candidate) for candidate in q.candidates]] for q in self.asked]
        patience = self.owner.patience
        self.timer = self.loop.call_later(patience, self._late, f"did not answer within {patience:g} s")
        executor = self.executor
        executor.deliver(_Reply(message, lambda value: self._answered(executor, value)))

    def _answered(self, executor: ProcessExecutor, value: Any) -> None:
        if executor is not self.executor:
            return  # given up already, and another one may have been asked since
        self._cancel()
        asked, self.asked = self.asked, []
        for index, question in enumerate(asked):
            self.owner.answer(question, value[index] if isinstance(value, list) else str(value))
        if self.ready and not self.asked:  # an answer may have brought the next question at once
            self._go_on()

    def _go_on(self) -> None:
        self._cancel()
        if self.waiting:
            self._ask()
        else:
            self.timer = self.loop.call_later(self.owner.unused, self._unused)

    def _unused(self) -> None:
        self.owner.known.pop(self.key, None)
        self._over("was not used")

    def _late(self, problem: str) -> None:
        self.timer = None
        self._over(problem)

    def _over(self, problem: str) -> None:
        """This process is of no more use: whatever waits is answered, and the next question starts another."""
        self._cancel()
        executor, self.executor, self.ready = self.executor, None, False
        asked, self.asked = [*self.asked, *self.waiting], []
        self.waiting.clear()
        if executor is not None:
            executor.stop("strategy")
            if executor.child is not None:
                kill(executor.child, signal.SIGKILL)
            if executor.task is not None:
                self.owner.ending.add(executor.task)
                executor.task.add_done_callback(self.owner.ending.discard)
        for question in asked:
            self.owner.answer(question, problem)

    def end(self) -> None:
        """The agent leaves."""
        self._over("ended with its node")

    def _cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _rest(self, problem: str) -> None:
        self.problem = problem
        self.loop.call_later(REST, self._rested)

    def _rested(self) -> None:
        self.problem = ""

    # ------------------------------------------------------------------------------------------- what executors tell us

    def started(self, executor: Executor) -> None:
        """See `Host.started`."""
        if executor is not self.executor:
            return
        self.ready = True
        executor.gate.open()
        self._go_on()

    def failed(self, executor: Executor, code: str, detail: str) -> None:
        """See `Host.failed`."""
        if executor is self.executor:
            problem = f"cannot be used: {detail}"
            self._rest(problem)
            self._over(problem)

    def exited(self, executor: Executor, normal: bool, detail: str) -> None:
        """See `Host.exited`."""
        if executor is self.executor:
            self._over(f"ended: {detail}" if detail else "ended")

    def state_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """See `Host.state_taken`."""

    def checkpoint_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """See `Host.checkpoint_taken`."""

    def state_given(self, executor: Executor, loser: Pid, problem: str) -> None:
        """See `Host.state_given`."""


class Strategist:
    """The strategies of one agent. On the workers' loop; `emit` is called there. Times are in seconds."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, launcher: Launcher, emit: Callable[[Chosen], None],
        allowed: tuple[str, ...], *, patience: float = PATIENCE, unused: float = UNUSED,
    ) -> None:  # fmt: skip
        self.loop = loop
        self.launcher = launcher
        self.emit = emit
        self.allowed = allowed
        self.patience = patience
        self.unused = unused
        self.known: dict[Key, _Asked] = {}
        self.ending: set[asyncio.Task[None]] = set()  #: processes that were killed and are not gone yet

    def choose(self, question: Choose) -> None:
        """Ask; `Chosen` follows."""
        key = (question.strategy, question.allowed_modules)
        asked = self.known.get(key)
        if asked is None:
            try:
                target.check_allowed(target.parse(question.strategy), self.allowed, question.allowed_modules)
            except SwormError as error:
                self.answer(question, f"cannot be used: {error.detail}")
                return
            asked = self.known[key] = _Asked(self, key)
        asked.put(question)

    def answer(self, question: Choose, found: Any) -> None:
        """End one question: with nodes, or with what is wrong with the strategy."""
        fits = isinstance(found, list) and len(found) == len(question.names)
        if fits:
            self.emit(Chosen(question.request, tuple(found)))
        else:
            self.emit(Chosen(question.request, (), f"{question.strategy} {found}"))

    async def close(self, patience: float) -> None:
        """Kill the processes and wait for their end, at most `patience` seconds."""
        for asked in self.known.values():
            asked.end()
        if self.ending:
            await asyncio.wait(set(self.ending), timeout=patience)
