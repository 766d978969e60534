"""The program of an operating-system process that runs one worker: `python -m supervisor.workers.child FD PARENT`.

Law: it dies with its agent (parent-death signal, asked for before anything else) and runs nothing but its worker.
Methods and coroutines run on the main thread's loop by the same executors as in an agent; a plain function has the
main thread to itself, and the loop with the pipe runs beside it.
"""

# ruff: noqa: BLE001 - users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import inspect
import logging
import os
import signal
import socket
import sys
import threading
from typing import Any

from registry.core.ids import Pid
from registry.core.names import Spec
from supervisor.backend import use_backend
from supervisor.core.events import StartWorker
from supervisor.errors import BadValue, StartError, SwormError, WorkerCrashed, described, from_code
from supervisor.workers import frames, target
from supervisor.workers.asking import AskingBackend
from supervisor.workers.frames import Frames
from supervisor.workers.objects import ObjectExecutor
from supervisor.workers.protocol import GRACE, Executor, Letter
from supervisor.workers.scope import scope_of
from supervisor.workers.tasks import TaskExecutor
from supervisor.workers.tracing import shortened
from supervisor.workers.values import unpack_arguments

PR_SET_PDEATHSIG = 1

#: Seconds for the last frames to leave.
LAST_WORDS = 1.0


class FrameCall(Letter):
    """A call that came over the pipe."""

    __slots__ = ("link", "number")

    def __init__(self, link: Link, number: int, message: Any) -> None:
        super().__init__(message)
        self.link = link
        self.number = number

    def reply(self, value: Any) -> None:
        """See `Letter.reply`."""
        try:
            self.link.pipe.send(frames.REPLY, self.number, value)
        except BadValue as error:
            self.fail(WorkerCrashed(f"the worker's reply is {error}"))

    def fail(self, error: BaseException) -> None:
        """See `Letter.fail`."""
        code = error.code if isinstance(error, SwormError) else WorkerCrashed.code
        self.link.pipe.send(frames.FAILURE, self.number, code, str(error))

    def bounce(self, pid: Pid) -> None:
        """See `Letter.bounce`."""
        self.link.pipe.send(frames.BOUNCED, self.number)


class FrameCast(FrameCall):
    """A cast that came over the pipe: its end is told too, so that the agent knows what was not begun."""

    __slots__ = ()

    wants_reply = False


class Link:
    """The child's side of the pipe, and the host of its one executor."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.context = contextvars.Context()
        self.grace = GRACE
        self.pipe = Frames(self._receive, self._closed)
        self.backend = AskingBackend(loop, lambda *fields: self.pipe.send(frames.ASK, *fields), self._answer_to)
        self.order: asyncio.Future[list[Any]] = loop.create_future()
        self.over: asyncio.Future[int] = loop.create_future()  #: exit status
        self.executor: Executor | None = None
        self.kind = ""
        self.read = 0  #: id of the last message that came

    def _answer_to(self, number: int, timeout: float) -> Any:
        """The answer to what was asked, waited for on the loop's own thread. Raises `TimeoutError`, `SwormError`."""

        def is_meant(frame: list[Any]) -> bool:
            return frame[0] in (frames.ANSWER, frames.REFUSAL) and frame[1] == number

        try:
            kind, _, *fields = self.pipe.wait_for(is_meant, timeout)
        finally:
            self.loop.call_soon(self.pipe.drain)
        if kind == frames.REFUSAL:
            raise from_code(*fields)
        return fields[0]

    async def connect(self, pipe: socket.socket) -> None:
        """Take the pipe into the loop."""
        pipe.setblocking(False)
        await self.loop.connect_accepted_socket(lambda: self.pipe, pipe)

    def _closed(self) -> None:
        os._exit(1)  # the agent is gone, or has no more use for this process

    async def close(self) -> None:
        """Let the last frames leave."""
        self.pipe.closed = lambda: None
        self.pipe.close()
        await asyncio.sleep(0)

    # ---------------------------------------------------------------------------------------------------------- host

    def started(self, executor: Executor) -> None:
        """See `Host.started`."""
        executor.gate.open()
        self.pipe.send(frames.STARTED, self.kind)

    def failed(self, executor: Executor, code: str, detail: str) -> None:
        """See `Host.failed`."""
        self.pipe.send(frames.FAILED, code, detail)
        self._leave(1)

    def exited(self, executor: Executor, normal: bool, detail: str) -> None:
        """See `Host.exited`."""
        self.loop.call_soon(self._last_word, normal, detail)  # after the letters that this end bounces or fails

    def _last_word(self, normal: bool, detail: str) -> None:
        self.pipe.send(frames.EXITED, normal, detail, self.read)
        self._leave(0 if normal else 1)

    def _leave(self, status: int) -> None:
        if not self.over.done():
            self.over.set_result(status)

    def state_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """See `Host.state_taken`."""
        self.pipe.send(frames.STATE_TAKEN, state, stateful, problem)

    def checkpoint_taken(self, executor: Executor, state: bytes, stateful: bool, problem: str) -> None:
        """See `Host.checkpoint_taken`."""
        self.pipe.send(frames.CHECKPOINT_TAKEN, state, stateful, problem)

    def state_given(self, executor: Executor, loser: Pid, problem: str) -> None:
        """See `Host.state_given`."""
        self.pipe.send(frames.STATE_GIVEN, loser, problem)

    # -------------------------------------------------------------------------------------------------------- frames

    def _receive(self, frame: list[Any]) -> None:
        kind, *fields = frame
        if kind == frames.START:
            self.order.set_result(fields)
        elif kind == frames.ANSWER:
            self.backend.answered(*fields)
        elif kind == frames.REFUSAL:
            self.backend.refused(fields[0], from_code(*fields[1:]))
        elif self.executor is not None:
            self._tell(self.executor, kind, fields)

    def _tell(self, executor: Executor, kind: int, fields: list[Any]) -> None:
        if kind in (frames.CALL, frames.CAST):
            self._deliver(executor, FrameCall if kind == frames.CALL else FrameCast, *fields)
        elif kind == frames.FREEZE:
            self._freeze(executor)
        elif kind == frames.THAW:
            executor.gate.open()
        elif kind == frames.TAKE_STATE:
            executor.take_state(*fields)
        elif kind == frames.TAKE_CHECKPOINT:
            executor.take_checkpoint(*fields)
        elif kind == frames.GIVE_STATE:
            executor.give_state(*fields)
        elif kind == frames.STOP:
            executor.stop(*fields)

    def _deliver(self, executor: Executor, letter: type[FrameCall], number: int, message: Any) -> None:
        if not self.over.done():  # else it has said which message was its last
            self.read = number
            executor.deliver(letter(self, number, message))

    def _freeze(self, executor: Executor) -> None:
        executor.gate.freeze()
        executor.freeze()
        letters = list(executor.gate.parked)
        executor.gate.parked.clear()
        for letter in letters:
            letter.bounce("")
        self.pipe.send(frames.FROZEN)


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the agent's thread that forked us ends; leave when it has already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _start_order(fields: list[Any]) -> StartWorker:
    serial, sworm, name, pid, epoch, text, arguments, age, _ = fields
    return StartWorker(serial, sworm, name, pid, epoch, Spec(text, arguments), (), restored_age_ms=age)


def _find(text: str) -> target.Found | SwormError:
    try:
        return target.load(target.parse(text))
    except SwormError as error:
        return error


async def run_on_loop(link: Link, order: StartWorker, found: target.Found, state: bytes | None) -> int:
    """Run a `Worker` or a coroutine function to its end; returns the exit status."""
    if target.is_worker_class(found):
        link.kind = frames.OBJECT
        link.executor = ObjectExecutor(link, order, found)  # type: ignore[arg-type]
    else:
        link.kind = frames.COROUTINE
        link.executor = TaskExecutor(link, order, found)
    link.executor.start(*unpack_arguments(order.spec.args), state)
    return await link.over


class Plain(Executor):
    """A plain function, as far as `current()` asks."""

    __slots__ = ()


def run_function(link: Link, order: StartWorker, found: target.Found) -> int:
    """Run a plain function in this thread to its end; returns the exit status."""
    say = link.loop.call_soon_threadsafe
    scope = scope_of(Plain(link, order), contextvars.Context())
    args, kwargs = unpack_arguments(order.spec.args)
    problem = _misfit(found, args, kwargs)
    if problem:
        say(link.pipe.send, frames.FAILED, StartError.code, problem)
        return 1
    say(link.pipe.send, frames.STARTED, frames.FUNCTION)
    normal, detail = True, ""
    try:
        scope.run(found, *args, **kwargs)
    except SystemExit as leaving:
        normal = not leaving.code
        detail = "" if normal else f"SystemExit: {leaving.code}"
    except BaseException as error:
        normal, detail = False, shortened(error)
    say(link.pipe.send, frames.EXITED, normal, detail, 0)
    return 0 if normal else 1


def _misfit(found: target.Found, args: list[Any], kwargs: dict[str, Any]) -> str:
    """Why a function cannot be called with these arguments: all that can go wrong with its start."""
    try:
        inspect.signature(found).bind(*args, **kwargs)
    except TypeError as error:
        return described(error)
    except ValueError:
        return ""  # it does not say what it takes
    return ""


def _leave(number: int, frame: object) -> None:
    raise SystemExit(0)  # so that `finally` blocks and `atexit` run


async def _begin(link: Link, pipe: socket.socket) -> list[Any]:
    await link.connect(pipe)
    return await link.order


def main(arguments: list[str]) -> int:
    """Run the worker that the agent orders; returns the exit status."""
    fd, parent = int(arguments[0]), int(arguments[1])
    die_with_parent(parent)
    os.set_inheritable(fd, False)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    loop = asyncio.new_event_loop()
    link = Link(loop)
    link.backend.thread = threading.get_ident()
    use_backend(link.backend)
    fields = loop.run_until_complete(_begin(link, socket.socket(fileno=fd)))
    order, state = _start_order(fields), fields[-1]
    found = _find(order.spec.target)
    if isinstance(found, SwormError):
        link.failed(Plain(link, order), found.code, found.detail)
        status = 1
    elif target.is_plain(found) and not inspect.isclass(found):
        return _beside(loop, link, order, found)
    elif target.is_plain(found):
        link.failed(Plain(link, order), StartError.code, f"{order.spec.target} is a class, but no Worker")
        status = 1
    else:
        status = loop.run_until_complete(run_on_loop(link, order, found, state))
    loop.run_until_complete(link.close())
    return status


def _beside(loop: asyncio.AbstractEventLoop, link: Link, order: StartWorker, found: target.Found) -> int:
    """Run a plain function here and the loop in a thread beside it."""
    thread = threading.Thread(target=loop.run_forever, name="pipe", daemon=True)
    signal.signal(signal.SIGTERM, _leave)
    thread.start()
    link.backend.thread = thread.ident or 0
    status = run_function(link, order, found)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run_coroutine_threadsafe(link.close(), loop).result(LAST_WORDS)
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(f"interrupted: {described(KeyboardInterrupt())}")
