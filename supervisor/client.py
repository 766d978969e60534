"""Asks agents through the broker and waits for their answers.

Law: a command goes to the queue of one node, names the incarnation that it is for, and is worth nothing after its
deadline; the answer comes back on a list of this process, where one thread reads for everybody. Nothing here knows
which nodes there are or what a verb means. An error may mean that the command ran: `BrokerUnavailable` too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from typing import Any, NamedTuple

import msgspec
import redis
from django.conf import settings

from supervisor import tasks
from supervisor.broker import ANSWER_TIMEOUT, BROKER_ERRORS, DoorbellBroker, connect
from supervisor.core.spec import Definition
from supervisor.errors import NoAnswer, SwormError
from supervisor.outage import Backoff

logger = logging.getLogger(__name__)

#: Seconds for which the reading thread waits on the broker at a time; well above it, its socket gives up.
READ_WAIT = 5.0

#: Answers taken at once when several are there.
READ_BATCH = 100

#: Problems with which an agent says that it did not begin: another node may be asked at once.
NOT_BEGUN = frozenset({"other_incarnation", "too_late", "stopping", "busy"})

#: Verbs that must not run twice: another node is asked only when the one before certainly did not begin.
ONCE = frozenset({"call", "cast", "publish", "multi_call"})

#: Most nodes that `ask_any` tries for one command.
MOST_NODES = 3


class BrokerUnavailable(SwormError):
    """The broker cannot be reached; the command may have been sent, or may not."""

    code = "broker_unavailable"


class Answer(NamedTuple):
    """What an agent answered. `ok` false: `problem` is a short word, `detail` a sentence; `result` may still help."""

    ok: bool
    result: Any = None
    problem: str = ""
    detail: str = ""
    node: str = ""

    @property
    def begun(self) -> bool:
        """Whether the agent took the command up at all."""
        return self.ok or self.problem not in NOT_BEGUN


class Asked(NamedTuple):
    """A node to ask: its name and the incarnation meant."""

    node: str
    incarnation: int


class Client:
    """Sends commands and hands out their answers. Safe from any thread and any event loop; one for each process."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._broker = DoorbellBroker(redis_url)
        self._key = tasks.answers_key(uuid.uuid4().hex)
        self._waiting: dict[str, Future[Answer]] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._closed = threading.Event()

    # ----------------------------------------------------------------------------------------------------- one node

    def ask(
        self,
        node: str,
        incarnation: int,
        op: str,
        *,
        deadline: float,
        definition: Definition | None = None,
        **fields: Any,
    ) -> Answer:
        """Send a command to a node and wait for its answer until `deadline` (seconds since 1970).

        Raises `NoAnswer` at the deadline, `BrokerUnavailable`, and TypeError for what MessagePack cannot carry.
        """
        command = _command(op, deadline, definition, fields)
        with _Attempt(self._waiting, Asked(node, incarnation), command) as attempt:
            self._send(attempt)
            try:
                return attempt.future.result(_left(deadline))
            except TimeoutError:
                raise _no_answer([attempt]) from None

    async def ask_async(
        self,
        node: str,
        incarnation: int,
        op: str,
        *,
        deadline: float,
        definition: Definition | None = None,
        **fields: Any,
    ) -> Answer:
        """`ask` for an event loop: waiting costs no thread."""
        command = _command(op, deadline, definition, fields)
        with _Attempt(self._waiting, Asked(node, incarnation), command) as attempt:
            await asyncio.to_thread(self._send, attempt)
            try:
                return await asyncio.wait_for(asyncio.wrap_future(attempt.future), _left(deadline))
            except TimeoutError:
                raise _no_answer([attempt]) from None

    def tell(self, node: str, incarnation: int, op: str, *, deadline: float, **fields: Any) -> None:
        """Send a command and do not wait; its answer is thrown away. Raises `BrokerUnavailable` and TypeError."""
        attempt = _Attempt({}, Asked(node, incarnation), _command(op, deadline, None, fields))
        self._send(attempt)

    # --------------------------------------------------------------------------------------------- whichever answers

    def ask_any(
        self,
        nodes: Sequence[tuple[str, int]],
        op: str,
        *,
        deadline: float,
        definition: Definition | None = None,
        **fields: Any,
    ) -> Answer:
        """Ask the first of the nodes (name, incarnation); when it stays silent for its share of the time, the next too.

        All are asked with one `claim`, so that a wish that reaches several has one effect; calls and casts, which
        have no claim, go on to another node only when the one before did not begin. A late answer of an earlier node
        counts. Raises as `ask`; when all answered that they did not begin, returns the last of these answers.
        """
        round_ = _Round(self._waiting, nodes, op, deadline, definition, fields)
        with round_:
            while (attempt := round_.next()) is not None:
                self._send(attempt)
                while (answer := round_.answer()) is None and not round_.moves_on():
                    wait(round_.pending(), round_.patience(), return_when=FIRST_COMPLETED)
                if answer is not None:
                    return answer
            return round_.failure()

    async def ask_any_async(
        self,
        nodes: Sequence[tuple[str, int]],
        op: str,
        *,
        deadline: float,
        definition: Definition | None = None,
        **fields: Any,
    ) -> Answer:
        """`ask_any` for an event loop."""
        round_ = _Round(self._waiting, nodes, op, deadline, definition, fields)
        with round_:
            while (attempt := round_.next()) is not None:
                await asyncio.to_thread(self._send, attempt)
                while (answer := round_.answer()) is None and not round_.moves_on():
                    wrapped = [asyncio.wrap_future(future) for future in round_.pending()]
                    await asyncio.wait(wrapped, timeout=round_.patience(), return_when=asyncio.FIRST_COMPLETED)
                if answer is not None:
                    return answer
            return round_.failure()

    def close(self) -> None:
        """End the reading thread and the connections; who still waits gets no answer."""
        self._closed.set()
        reader = self._reader
        if reader is not None:
            try:
                self._broker.client.lpush(self._key, b"")  # wakes the reader
            except BROKER_ERRORS:
                logger.debug("the broker is away; the reading thread ends at its next attempt")
            reader.join(READ_WAIT)
        self._broker.close()

    # ------------------------------------------------------------------------------------------------------- sending

    def _send(self, attempt: _Attempt) -> None:
        self._start_reader()
        command = {**attempt.command, "answer_to": self._key}
        try:
            tasks.send_command(self._broker, attempt.asked.node, command)
        except BROKER_ERRORS as error:
            raise BrokerUnavailable(f"the broker cannot be reached: {error}") from error

    # ------------------------------------------------------------------------------------------------------- reading

    def _start_reader(self) -> None:
        if self._reader is not None:
            return
        with self._lock:
            if self._reader is None:
                self._reader = threading.Thread(target=self._read_for_ever, name="answers", daemon=True)
                self._reader.start()

    def _read_for_ever(self) -> None:
        backoff = Backoff()
        with connect(self._url, answer_timeout=READ_WAIT + ANSWER_TIMEOUT) as connection:
            while not self._closed.is_set():
                try:
                    self._read(connection)
                    self._broker.outage.recovered()
                    backoff.reset()
                except BROKER_ERRORS as error:
                    self._broker.outage.failed(error)
                    self._closed.wait(backoff.next())

    def _read(self, connection: redis.Redis) -> None:
        first: Any = connection.brpop([self._key], timeout=READ_WAIT)
        if first is None:
            return
        self._resolve(first[1])
        more: Any = connection.rpop(self._key, READ_BATCH)
        for data in more or ():
            self._resolve(data)

    def _resolve(self, data: bytes) -> None:
        try:
            fields = msgspec.msgpack.decode(data) if data else {}
            future = self._waiting.get(fields.pop("id", ""))
            if future is not None and not future.done():
                future.set_result(Answer(**fields))
        except (msgspec.DecodeError, TypeError, AttributeError, InvalidStateError) as error:
            logger.error("dropped an unreadable answer: %s", error)


class _Attempt:
    """One command on its way to one node: its id is waited for as long as the `with` block lasts."""

    def __init__(self, waiting: dict[str, Future[Answer]], asked: Asked, command: dict[str, Any]) -> None:
        self._waiting = waiting
        self.asked = asked
        self.id = uuid.uuid4().hex
        self.command = {**command, "id": self.id, "incarnation": asked.incarnation}
        self.future: Future[Answer] = Future()

    def refused(self) -> bool:
        """Whether the node has said that it did not begin. An answer may come at any moment: done alone means
        nothing.
        """
        return self.future.done() and not self.future.result().begun

    def __enter__(self) -> _Attempt:
        self._waiting[self.id] = self.future
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.pop(self.id, None)


class _Round:
    """Several attempts at one wish: whose turn it is, for how long, and what came of it."""

    def __init__(
        self,
        waiting: dict[str, Future[Answer]],
        nodes: Sequence[tuple[str, int]],
        op: str,
        deadline: float,
        definition: Definition | None,
        fields: dict[str, Any],
    ) -> None:
        self._waiting = waiting
        self._todo: Iterator[Asked] = iter([Asked(*node) for node in nodes[:MOST_NODES]])
        self._left = min(len(nodes), MOST_NODES)
        self._once = op in ONCE
        self._deadline = deadline
        self._turn_ends = 0.0
        self._attempts: list[_Attempt] = []
        self._command = _command(op, deadline, definition, {"claim": uuid.uuid4().hex, **fields})

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for attempt in self._attempts:
            attempt.__exit__()

    def next(self) -> _Attempt | None:
        """The next attempt to send; None when there is no node or no time left."""
        remaining = _left(self._deadline)
        asked = next(self._todo, None) if remaining > 0 else None
        if asked is None:
            return None
        last = self._once or self._left == 1
        self._turn_ends = self._deadline if last else time.time() + remaining / self._left
        self._left -= 1
        attempt = _Attempt(self._waiting, asked, self._command)
        attempt.__enter__()
        self._attempts.append(attempt)
        return attempt

    def pending(self) -> list[Future[Answer]]:
        """What may still be answered."""
        return [attempt.future for attempt in self._attempts if not attempt.future.done()]

    def patience(self) -> float:
        """Seconds to wait before somebody else is asked."""
        return _left(self._turn_ends)

    def answer(self) -> Answer | None:
        """The first answer of a node that took the command up."""
        for attempt in self._attempts:
            if attempt.future.done() and attempt.future.result().begun:
                return attempt.future.result()
        return None

    def moves_on(self) -> bool:
        """Whether the node asked last had its share of the time, or did not begin and there is another."""
        refused = self._attempts[-1].refused() and (self._left > 0 or not self.pending())
        return refused or self.patience() <= 0

    def failure(self) -> Answer:
        """What to say when no node took it up: the last refusal to begin, or `NoAnswer`."""
        if not self._attempts:
            raise NoAnswer("there is no node to ask, or no time left")
        if self.pending():
            raise _no_answer(self._attempts)
        return self._attempts[-1].future.result()


def _command(op: str, deadline: float, definition: Definition | None, fields: dict[str, Any]) -> dict[str, Any]:
    settings_of = definition._asdict() if definition is not None else None
    return {"v": tasks.VERSION, "op": op, "deadline": deadline, "definition": settings_of, **fields}


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.time())


def _no_answer(attempts: list[_Attempt]) -> NoAnswer:
    nodes = ", ".join(attempt.asked.node for attempt in attempts)
    return NoAnswer(f"{nodes} did not answer in time; what was asked may have been done, or may not")


_clients: dict[int, Client] = {}
_clients_lock = threading.Lock()


def default_client() -> Client:
    """The client of this process, on the broker of the settings (`REDIS_URL`); made at its first use, anew after a
    fork.

    Raises `BrokerUnavailable` when no broker is set.
    """
    if not settings.REDIS_URL:
        raise BrokerUnavailable("no broker is set: REDIS_URL is empty")
    with _clients_lock:
        client = _clients.get(os.getpid())
        if client is None:
            client = _clients[os.getpid()] = Client(settings.REDIS_URL)
        return client
