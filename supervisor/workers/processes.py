"""Runs one worker in an operating-system process of its own, from the agent's side.

Law: a child never outlives its agent (parent-death signal), and is gone when `exited` is told: its end is what the
kernel says (pidfd), its frames only say why. Messages are handed on at once and wait in the child; a freeze brings
back those that it has not begun, and so does its end, as far as it said which it has read.
"""

# ruff: noqa: BLE001 - users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from typing import Any

from registry.core.ids import Pid
from supervisor import backend
from supervisor.core.events import StartWorker
from supervisor.core.gate import BOUNCED, FROZEN
from supervisor.errors import (
    AlreadyStarted,
    BadValue,
    NotHandled,
    StartError,
    SwormError,
    WorkerCrashed,
    described,
    from_code,
)
from supervisor.workers import asking, frames
from supervisor.workers.frames import Frames
from supervisor.workers.launch import Child, Launcher, ending, kill
from supervisor.workers.protocol import Executor, Host, Letter, kept
from supervisor.workers.values import pack_arguments

log = logging.getLogger("supervisor.workers")
output_log = logging.getLogger("supervisor.workers.output")

#: From one means of stopping a child to the next (`terminate`, SIGTERM, SIGKILL), in graces: more than one, which the
#: child itself gives its worker.
GRACES = 1.25
#: Seconds for the last frames of a child that has ended.
LAST_WORDS = 1.0
#: Longest line of a child's output that is logged in one piece.
MAX_LINE = 8_192


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Output(asyncio.Protocol):
    """A child's stdout and stderr: each line goes to the agent's log, with the process in front."""

    def __init__(self, label: str, ended: asyncio.Future[None]) -> None:
        self.label = label
        self.ended = ended
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > MAX_LINE:
            lines, self.rest = [*lines, self.rest], b""
        for line in lines:
            self._log(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol.connection_lost`."""
        if self.rest:
            self._log(self.rest)
        _finish(self.ended)

    def _log(self, line: bytes) -> None:
        output_log.info("%s | %s", self.label, line.decode(errors="replace").rstrip())


class ProcessExecutor(Executor):
    """One child."""

    __slots__ = (
        "child",
        "exit",
        "failure",
        "freezing",
        "kind",
        "launcher",
        "next_id",
        "outstanding",
        "pipe",
        "read",
        "returned",
        "stopping",
        "taking",
        "target",
        "task",
        "thawing",
    )  # fmt: skip

    def __init__(self, host: Host, order: StartWorker, launcher: Launcher) -> None:
        super().__init__(host, order)
        self.launcher = launcher
        self.target = order.spec.target
        self.child: Child | None = None
        self.pipe: Frames | None = None
        self.kind = ""  #: of `frames.KINDS`, once it has started
        self.exit: tuple[bool, str] | None = None  #: what its last frame said
        self.read: int | None = None  #: and which message it read last
        self.failure: tuple[str, str] | None = None  #: code and detail of a start that came to nothing
        self.stopping = False
        self.freezing = False
        self.thawing: list[Letter] | None = None
        self.returned: list[Letter] = []
        self.outstanding: dict[int, Letter] = {}
        self.next_id = 0
        self.taking: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self, args: list[Any], kwargs: dict[str, Any], state: bytes | None) -> None:
        """See `Executor.start`."""
        order = (
            self.serial,
            self.sworm,
            self.name,
            self.pid,
            self.epoch,
            self.target,
            pack_arguments(args, kwargs),
            self.restored_age_ms,
            state,
        )
        self.task = self.host.loop.create_task(self._live(order), context=self.host.context.copy())

    async def _live(self, order: tuple[Any, ...]) -> None:
        ours, theirs = socket.socketpair()
        try:
            self.child = await self.launcher.launch(theirs)
        except Exception as error:
            ours.close()
            self.failure = (StartError.code, f"no process could be started: {described(error)}")
            self._report(1)
            return
        finally:
            theirs.close()
        loop = self.host.loop
        deaf, mute = loop.create_future(), loop.create_future()
        self.pipe = Frames(self._receive, lambda: _finish(deaf))
        output, _ = await loop.connect_read_pipe(
            lambda: Output(self.label, mute), os.fdopen(self.child.output, "rb", 0)
        )
        await self._connect(self.pipe, ours, self.child, order)
        code = await self._ended(self.child)
        await asyncio.wait({deaf, mute}, timeout=LAST_WORDS)  # what it started may hold them open for longer
        self.pipe.close()
        output.close()
        await asyncio.sleep(0)
        self._report(code)

    async def _connect(self, pipe: Frames, ours: socket.socket, child: Child, order: tuple[Any, ...]) -> None:
        ours.setblocking(False)
        await self.host.loop.connect_accepted_socket(lambda: pipe, ours)
        if self.stopping:
            kill(child, signal.SIGKILL)
        else:
            pipe.send(frames.START, *order)

    async def _ended(self, child: Child) -> int:
        loop = self.host.loop
        over: asyncio.Future[None] = loop.create_future()
        loop.add_reader(child.pidfd, _finish, over)
        try:
            await over
        finally:
            loop.remove_reader(child.pidfd)
            os.close(child.pidfd)
        return child.process.wait()

    def _report(self, status: int) -> None:
        if self.taking is not None:
            self._state_taken(b"", False, "the process has ended")
        normal, detail = self.exit or (status == 0, "" if status == 0 else ending(status))
        if self.stopping:
            normal, detail = True, ""
        elif self.kind and not normal:
            log.warning("%s crashed: %s", self.label, detail)
        unread = [number for number in self.outstanding if self.read is not None and number > self.read]
        self.returned += [self.outstanding.pop(number) for number in unread]
        letters = list(self.outstanding.values())
        self.outstanding.clear()
        if self.kind or self.stopping:
            self.host.exited(self, normal, detail)
        else:
            code, why = self.failure or (StartError.code, detail or "the process ended before it had started")
            self.host.failed(self, code, why)
        for letter in letters:
            letter.fail(WorkerCrashed(detail.rpartition("\n")[2]))
        for letter in self.returned:
            letter.bounce("")

    # ------------------------------------------------------------------------------------------------------ messages

    def deliver(self, letter: Letter) -> None:
        """See `Executor.deliver`."""
        if self.kind == frames.FUNCTION:
            letter.fail(NotHandled("a plain function takes no messages"))
            return
        letter.place = None
        if self.thawing is not None:
            self.thawing.append(letter)
            return
        if self.exit is not None:
            self.returned.append(letter)
            return
        self.next_id += 1
        self.outstanding[self.next_id] = letter
        try:
            self._send(frames.CALL if letter.wants_reply else frames.CAST, self.next_id, letter.message)
        except BadValue as error:
            del self.outstanding[self.next_id]
            letter.fail(BadValue(f"the message is {error}"))

    def _send(self, *fields: Any) -> None:
        if self.pipe is not None:
            self.pipe.send(*fields)

    def freeze(self) -> None:
        """See `Executor.freeze`."""
        if self.thawing is not None:  # the child is still frozen
            for letter in self.thawing:
                letter.place = self.gate.parked
                self.gate.park(letter)
            self.thawing = None
        elif self.kind in (frames.OBJECT, frames.COROUTINE):
            self.freezing = True
            self._send(frames.FREEZE)

    def thaw(self, letters: list[Letter]) -> None:
        """See `Executor.thaw`."""
        if self.freezing:
            self.thawing = letters
            return
        if self.kind in (frames.OBJECT, frames.COROUTINE):
            self._send(frames.THAW)
        super().thaw(letters)

    def _frozen(self) -> None:
        self.freezing = False
        returned, self.returned = self.returned, []
        if self.thawing is not None:
            letters, self.thawing = self.thawing, None
            self.thaw(returned + letters)
        elif self.gate.state == FROZEN:
            self.gate.parked.extendleft(reversed(returned))
            for letter in returned:
                letter.place = self.gate.parked
        else:
            for letter in returned:
                letter.bounce(self.gate.moved_to)

    # --------------------------------------------------------------------------------------------------------- state

    def take_state(self, timeout: float) -> None:
        """See `Executor.take_state`."""
        if self.kind == frames.FUNCTION or self.taking is not None:
            self.host.state_taken(self, b"", False, "")
            return
        problem = f"no state within {timeout:g} s"
        self.taking = self.host.loop.call_later(timeout + 0.1, self._state_taken, b"", False, problem)
        self._send(frames.TAKE_STATE, timeout)

    def _state_taken(self, state: bytes, stateful: bool, problem: str) -> None:
        if self.taking is not None:
            self.taking.cancel()
            self.taking = None
            self.host.state_taken(self, state, stateful, problem)

    def take_checkpoint(self, timeout: float) -> None:
        """See `Executor.take_checkpoint`."""
        if self.kind in (frames.OBJECT, frames.COROUTINE) and not self.stopping:
            self._send(frames.TAKE_CHECKPOINT, timeout)
        else:
            self.host.checkpoint_taken(self, b"", False, "")

    def give_state(self, loser: Pid, state: bytes) -> None:
        """See `Executor.give_state`."""
        if self.kind == frames.FUNCTION:
            self.host.state_given(self, loser, "")
        else:
            self._send(frames.GIVE_STATE, loser, state)

    # ---------------------------------------------------------------------------------------------------------- stop

    def stop(self, reason: str) -> None:
        """See `Executor.stop`."""
        if self.stopping:
            return
        self.stopping = True
        if self.child is None:
            return  # it is killed as soon as it is there
        if self.kind in (frames.OBJECT, frames.COROUTINE):
            self._send(frames.STOP, reason)
            self.host.loop.call_later(GRACES * self.host.grace, self._insist, signal.SIGTERM)
        else:
            self._insist(signal.SIGTERM)

    def _insist(self, number: signal.Signals) -> None:
        if self.child is None or self.child.process.returncode is not None:
            return
        kill(self.child, number)
        if number is signal.SIGTERM:
            self.host.loop.call_later(GRACES * self.host.grace, self._insist, signal.SIGKILL)

    # -------------------------------------------------------------------------------------------------------- frames

    def _receive(self, frame: list[Any]) -> None:
        kind, *fields = frame
        if kind == frames.REPLY:
            self._letter(fields[0]).reply(fields[1])
        elif kind == frames.FAILURE:
            self._letter(fields[0]).fail(from_code(fields[1], fields[2]))
        elif kind == frames.BOUNCED:
            self._bounced(self._letter(fields[0]))
        elif kind == frames.FROZEN:
            self._frozen()
        elif kind == frames.STATE_TAKEN:
            self._state_taken(*fields)
        elif kind == frames.CHECKPOINT_TAKEN:
            self.host.checkpoint_taken(self, *fields)
        elif kind == frames.STATE_GIVEN:
            self.host.state_given(self, *fields)
        elif kind == frames.ASK:
            kept(self.host.loop.create_task(self._ask(*fields), context=self.host.context.copy()))
        else:
            self._life(kind, fields)

    def _life(self, kind: int, fields: list[Any]) -> None:
        if kind == frames.STARTED:
            self.kind = fields[0]
            if not self.stopping:
                self.host.started(self)
        elif kind == frames.FAILED:
            self.failure = (fields[0], fields[1])
        elif kind == frames.EXITED:
            self.exit, self.read = (fields[0], fields[1]), fields[2]
            if not self.stopping:
                self.host.loop.call_later(GRACES * self.host.grace, self._insist, signal.SIGTERM)

    def _letter(self, number: int) -> Letter:
        return self.outstanding.pop(number, None) or Letter(None)

    def _bounced(self, letter: Letter) -> None:
        if self.freezing:
            self.returned.append(letter)
        elif self.gate.state == BOUNCED:
            letter.bounce(self.gate.moved_to)
        else:
            self.returned.append(letter)  # it is ending: the name may be looked up again once it has

    async def _ask(self, number: int, verb: str, arguments: list[Any]) -> None:
        """Carry out a verb of the public API for the child's code."""
        try:
            result = await asking.answer(backend.current_backend(), verb, arguments)
            self._send(frames.ANSWER, number, result)
        except AlreadyStarted as error:
            self._send(frames.REFUSAL, number, error.code, error.detail, error.pid)
        except (SwormError, BadValue) as error:
            self._send(frames.REFUSAL, number, error.code, error.detail, "")
        except Exception as error:
            log.exception("%s: its agent could not %s", self.label, verb)
            self._send(frames.REFUSAL, number, "error", described(error), "")
