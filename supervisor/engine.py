"""Carries out the operations, in the process of the observer that writes.

Law: one thread, which acts only under its observer's term: what is stored asserts the term, and what is sent is sent
after it was stored. Whoever takes the term over finds in the rows what was asked and goes on from there, also after a
restart half-way. A database or a broker that is away costs time and nothing else.

`turn` is one round, and can be called by itself; `run` only repeats it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, ProgrammingError, connection

from registry.bell import OPERATIONS
from registry.readmodel import EventRow
from supervisor import draining, operations
from supervisor.core.operation import End
from supervisor.draining import Drain
from supervisor.driving import Drive
from supervisor.models import FAILED, OPEN_STATES, PENDING, Operation
from supervisor.operations import Term

logger = logging.getLogger(__name__)

#: What a database raises that is away; whatever else it raises is a defect of ours in what was asked of it.
OUTAGE = (OperationalError, InterfaceError)
#: The same for a whole turn: a cluster that starts may still be making its tables.
NO_TABLES = (*OUTAGE, ProgrammingError)

#: Seconds between two turns while operations are under way and nothing wakes it, and while there are none.
BUSY, IDLE = 0.25, 1.0

#: Seconds that a first reason to look waits for those that belong to it.
GATHER = 0.01

#: Commands of all operations that may wait for their answers at once.
THREADS = 32

#: Seconds between two attempts to reach the broker.
RECONNECT = 1.0


class Runner(Protocol):
    """One operation under way here."""

    operation: Operation
    ended: End | None  #: set in the turn in which it ended

    def turn(self, row: Operation) -> bool:
        """Do what is to be done now; `row` is the operation as stored. False: it is not ours any more."""


class Senders(ThreadPoolExecutor):
    """The threads that wait for agents' answers. Once closed they take nothing, and whoever takes the term over sends
    it: what is stored as asked and was not sent is asked again.
    """

    def __init__(self) -> None:
        super().__init__(THREADS, thread_name_prefix="operation")
        self._closed = False

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor; cancelled when it is closed."""
        try:
            return super().submit(function, *args, **kwargs)
        except RuntimeError:
            if not self._closed:
                raise
            unsent: Future[Any] = Future()
            unsent.cancel()
            return unsent

    def close(self) -> None:
        """Send no more, and wait for nobody."""
        self._closed = True
        self.shutdown(wait=False, cancel_futures=True)


class Engine:
    """All operations. `term` gives the term while this process's observer writes; `note` takes events."""

    def __init__(self, term: Callable[[], Term | None], note: Callable[[EventRow], None]) -> None:
        self._term = term
        self._note = note
        self._under: Term | None = None
        self._runners: dict[uuid.UUID, Runner] = {}
        self._pool = Senders()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self.run, "operations"), (self._listen, "operations bell"))
        ]

    # ------------------------------------------------------------------------------------------------ from any thread

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End with the turn under way; what is open is taken up by whoever writes next."""
        self._stopping.set()
        self._woken.set()
        self._threads[0].join(IDLE)
        self.stop_asking()

    def stop_asking(self) -> None:
        """Send no more of what waits to be sent; it is sent by whoever takes over."""
        self._pool.close()

    def wake(self) -> None:
        """Look at all operations soon."""
        self._woken.set()

    def wrote(self) -> None:
        """The observer committed rows; no reason to look at anything unless an operation waits for what they show."""
        if self._runners and not self._woken.is_set():
            self._woken.set()

    # ---------------------------------------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Carry out until `stop`."""
        while not self._stopping.is_set():
            self._woken.wait(BUSY if self._runners else IDLE)
            self._stopping.wait(GATHER)
            self._woken.clear()
            try:
                self.turn()
            except NO_TABLES as error:
                logger.warning("operations wait for the database: %s", str(error).partition("\n")[0])
                self._forget()
                self._stopping.wait(IDLE)
            except Exception:
                logger.exception("a turn of the operations failed")
                self._forget()
                self._stopping.wait(IDLE)
        connection.close()

    def turn(self) -> None:
        """One round over all open operations."""
        term = self._term()
        if term is None or term != self._under:
            self._runners.clear()
            self._under = term
        if term is None:
            return
        rows = {row.pk: row for row in Operation.objects.filter(state__in=OPEN_STATES).order_by("created_at")}
        self._runners = {key: runner for key, runner in self._runners.items() if key in rows}
        for row in rows.values():
            try:
                self._turn_of(row, term)
            except OUTAGE:
                raise
            except Exception:  # a defect of ours in one of them must not hold up the others
                logger.exception("operation %s failed", row.pk)
                self._runners.pop(row.pk, None)
                self._fail(row, term, "internal", "the observer failed at it; its log has the traceback")

    def _turn_of(self, row: Operation, term: Term) -> None:
        runner = self._runners.get(row.pk) or self._take_up(row, term)
        if runner is None:
            return
        ours = runner.turn(row)
        if not ours or runner.ended is not None:
            self._runners.pop(row.pk, None)
        if ours and runner.ended is not None:
            self._tell(f"operation_{runner.ended.state}", runner.operation, runner.ended.detail)

    def _take_up(self, row: Operation, term: Term) -> Runner | None:
        if row.state == PENDING and time.time() > float(row.params.get("take_up_by", 0.0)):
            detail = f"no observer took it up within {operations.TAKE_UP:.0f} s; nothing was done"
            self._fail(row, term, "no_answer", detail)
            return None
        first = row.state == PENDING
        if not operations.take_up(row, term):
            return None
        make = Drain if row.kind == draining.KIND else Drive
        runner: Runner = make(row, term, self._pool, self.wake)
        self._runners[row.pk] = runner
        self._tell("operation_started" if first else "operation_resumed", row, f"by {term.holder}")
        return runner

    def _fail(self, row: Operation, term: Term, code: str, detail: str) -> None:
        if operations.store(row, term, (), row.done, End(FAILED, code, detail)):
            self._tell("operation_failed", row, detail)

    def _forget(self) -> None:
        """Nothing is known of the last transaction: the rows say how far everything is."""
        self._runners.clear()
        connection.close()

    def _tell(self, kind: str, row: Operation, detail: str) -> None:
        text = f"{row.kind} {row.target} ({row.pk}), for {row.requested_by}: {detail}"
        self._note(EventRow(time.time(), kind, row.sworm, row.name, row.node, detail=text))

    def _listen(self) -> None:
        """Wake up when somebody asks for something; what is lost while the broker is away, `run` finds by itself."""
        while not self._stopping.is_set():
            with suppress(redis.RedisError, OSError):
                client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2.0, health_check_interval=10)
                with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
                    pubsub.subscribe(OPERATIONS)
                    while not self._stopping.is_set():
                        if pubsub.get_message(timeout=IDLE) is not None:
                            self.wake()
            self._stopping.wait(RECONNECT)
