"""What the tests of workers share: a `Workers` whose events are noted, and letters that note their end.

Law: nobody sleeps here. Waiting is for an event, with a generous limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from registry.core.ids import Pid, pid_of
from registry.core.names import Spec
from supervisor.core.events import StartWorker, WorkerFailed, WorkerStarted
from supervisor.workers.executor import WorkerEvent, Workers
from supervisor.workers.protocol import LATER, Letter
from supervisor.workers.values import pack, pack_arguments
from tests.turns import until

SAMPLES = "tests.supervisor.workers.samples"
ORIGIN = "n1.1"
LIMIT = 20.0


class Note(Letter):
    """A letter that keeps its end: ("reply", value), ("fail", error) or ("bounce", pid)."""

    __slots__ = ("end", "ended")

    def __init__(self, message: Any) -> None:
        super().__init__(message)
        self.end: tuple[str, Any] | None = None
        self.ended = asyncio.Event()

    def _set(self, kind: str, value: Any) -> None:
        assert self.end is None, f"ended twice: {self.end}, {kind} {value}"
        self.end = (kind, value)
        self.ended.set()

    def reply(self, value: Any) -> None:
        self._set("reply", value)

    def fail(self, error: BaseException) -> None:
        self._set("fail", error)

    def bounce(self, pid: Pid) -> None:
        self._set("bounce", pid)

    async def wait(self) -> tuple[str, Any]:
        async with asyncio.timeout(LIMIT):
            await self.ended.wait()
        assert self.end is not None
        return self.end


class CastNote(Note):
    __slots__ = ()

    wants_reply = False


class Stage:
    """The workers of one agent, and what they told."""

    def __init__(self, **options: Any) -> None:
        self.events: list[WorkerEvent] = []
        self.changed = asyncio.Event()
        self.on_event: Callable[[WorkerEvent], None] | None = None
        self.workers = Workers(asyncio.get_running_loop(), self._emit, ["tests", "examples"], **options)
        self.serial = 0

    def _emit(self, event: WorkerEvent) -> None:
        self.events.append(event)
        self.changed.set()
        if self.on_event is not None:
            self.on_event(event)

    def order(self, target: str, *args: Any, isolation: str = "task", **more: Any) -> StartWorker:
        self.serial += 1
        text = target if ":" in target else f"{SAMPLES}:{target}"
        spec = Spec(text, pack_arguments(list(args), more.pop("kwargs", {})), isolation)
        if "state" in more:
            more = {**more, "state": pack(more["state"]), "stateful": True}
        allowed = more.pop("allowed_modules", ())
        pid = pid_of(ORIGIN, self.serial)
        return StartWorker(self.serial, "chat", f"name{self.serial}", pid, 10 + self.serial, spec, allowed, **more)

    async def start(self, target: str, *args: Any, **more: Any) -> int:
        """Start a worker and open its gate; returns its serial."""
        order = self.order(target, *args, **more)
        self.workers.start(order)
        event = await self.told(WorkerStarted, order.serial, WorkerFailed)
        assert isinstance(event, WorkerStarted), event
        self.workers.open_gate(order.serial)
        return order.serial

    async def failure(self, target: str, *args: Any, **more: Any) -> WorkerFailed:
        """Start a worker that cannot; returns why."""
        order = self.order(target, *args, **more)
        self.workers.start(order)
        event = await self.told(WorkerFailed, order.serial, WorkerStarted)
        assert isinstance(event, WorkerFailed), event
        return event

    async def told(self, kind: type[Any], serial: int, *others: type[Any]) -> Any:
        """The first event of a kind about a process; waits for it."""
        async with asyncio.timeout(LIMIT):
            while True:
                for event in self.events:
                    if isinstance(event, (kind, *others)) and event.serial == serial:
                        return event
                self.changed.clear()
                await self.changed.wait()

    def of(self, serial: int) -> list[WorkerEvent]:
        """Everything told about a process."""
        return [event for event in self.events if event.serial == serial]

    def send(self, serial: int, message: Any) -> Note:
        """Deliver a call."""
        note = Note(message)
        self.workers.deliver(serial, note)
        return note

    def cast(self, serial: int, message: Any) -> CastNote:
        """Deliver a cast."""
        note = CastNote(message)
        self.workers.deliver(serial, note)
        return note

    async def call(self, serial: int, message: Any) -> Any:
        """Deliver a call and wait for its reply."""
        kind, value = await self.send(serial, message).wait()
        if kind == "fail":
            raise value
        assert kind == "reply", (kind, value)
        return value

    def at_once(self, serial: int, message: Any) -> Any:
        """Have a call handled in this turn."""
        reply = self.workers.handle(serial, message)
        assert reply is not LATER
        return reply

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until something is so."""
        await until(condition)
