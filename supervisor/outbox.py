"""What an agent sends through the broker: answers to commands, at once, and reports, gathered for a moment.

Law: `answer` and `report` return at once whatever the broker does; one thread speaks with it. While the broker is away,
reports are kept up to a bound, the oldest dropped and counted; answers are kept up to a bound too, but not beyond the
time at which nobody waits for them any more. A batch of reports that may have arrived is sent again with the same id.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, TypeVar

import msgspec

from registry.core.events import Report
from registry.core.ids import Origin, incarnation_of, node_of
from supervisor import tasks
from supervisor.broker import BROKER_ERRORS, DoorbellBroker
from supervisor.outage import Backoff

logger = logging.getLogger(__name__)

#: Reports are gathered for so many seconds, and sent in batches of at most so many.
GATHER = 0.1
MOST_REPORTS = 1_000

#: Reports kept while the broker is away: a node's busy quarter of an hour, some 20 MB.
KEPT_REPORTS = 50_000

#: Answers kept while the broker is away.
KEPT_ANSWERS = 10_000

#: Seconds for which an answer waits in the broker, or here, for its reader.
ANSWER_LIFE = 120

#: Answers sent in one round trip.
MOST_ANSWERS = 200


class _Answer(NamedTuple):
    key: str
    fields: dict[str, Any]
    until: float


@dataclass(slots=True)
class Counts:
    """What went through, for metrics."""

    answers: int = 0
    reports: int = 0
    reports_dropped: int = 0
    answers_dropped: int = 0


class Outbox:
    """The way out. `answer` and `report` are safe from any thread and never block."""

    def __init__(
        self, broker: DoorbellBroker, origin: Origin, counts: Counts, kept_reports: int = KEPT_REPORTS
    ) -> None:
        self._kept_reports = kept_reports
        self._broker = broker
        self._node, self._incarnation = node_of(origin), incarnation_of(origin)
        self._answers: deque[_Answer] = deque()
        self._reports: deque[tasks.Payload] = deque()
        self._answers_in_hand: list[_Answer] = []  # taken, and tried until the broker has them
        self._batch_in_hand: tuple[str, list[tasks.Payload]] | None = None
        self._gathering = False  # the thread knows of reports and will come for them
        self._reports_due = inf
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self.counts = counts

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def answer(self, key: str, fields: dict[str, Any]) -> None:
        """Push an answer onto the asker's list."""
        if len(self._answers) >= KEPT_ANSWERS:
            self.counts.answers_dropped += 1
            self._answers.popleft()
        self._answers.append(_Answer(key, fields, time.monotonic() + ANSWER_LIFE))
        self._wake.set()

    def report(self, report: Report) -> None:
        """Tell the observer, soon. Wakes the thread once for each batch: reports come by the thousand."""
        if len(self._reports) >= self._kept_reports:
            self._reports.popleft()
            self.counts.reports_dropped += 1
        self._reports.append(_payload(report))
        if not self._gathering:
            self._gathering = True
            self._wake.set()

    def close(self, patience: float) -> None:
        """Send what is left for at most `patience` seconds, then end."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    # -------------------------------------------------------------------------------------------------------- thread

    def _run(self) -> None:
        backoff = Backoff()
        while not (self._closing and self._empty()):
            try:
                self._round()
            except BROKER_ERRORS as error:
                self._broker.outage.failed(error)
                if self._closing:
                    return
                time.sleep(backoff.next())
            else:
                backoff.reset()

    def _empty(self) -> bool:
        return not (self._answers or self._reports or self._answers_in_hand or self._batch_in_hand)

    def _round(self) -> None:
        in_hand = self._answers_in_hand or self._batch_in_hand
        if not in_hand and not self._closing:
            self._wake.wait(None if self._reports_due == inf else max(0.0, self._reports_due - time.monotonic()))
        self._wake.clear()
        self._send_answers()
        if self._gathering and self._reports_due == inf:
            self._reports_due = time.monotonic() + GATHER
        if self._batch_in_hand or self._closing or time.monotonic() >= self._reports_due:
            self._gathering, self._reports_due = False, inf
            self._send_reports()

    def _send_answers(self) -> None:
        while self._answers or self._answers_in_hand:
            taken = self._answers_in_hand or _take(self._answers, MOST_ANSWERS)
            self._answers_in_hand = [answer for answer in taken if answer.until > time.monotonic()]
            pipe = self._broker.client.pipeline(transaction=False)
            for answer in self._answers_in_hand:
                pipe.lpush(answer.key, encoded(answer.fields))
                pipe.expire(answer.key, ANSWER_LIFE)
            pipe.execute()
            self.counts.answers += len(self._answers_in_hand)
            self._answers_in_hand = []
            self._broker.outage.recovered()

    def _send_reports(self) -> None:
        while self._reports or self._batch_in_hand:
            if self._batch_in_hand is None:
                self._batch_in_hand = (uuid.uuid4().hex, _take(self._reports, MOST_REPORTS))
            batch_id, reports = self._batch_in_hand
            tasks.send_report(self._broker, batch_id, self._node, self._incarnation, reports)
            self.counts.reports += len(reports)
            self._batch_in_hand = None
            self._broker.outage.recovered()


Taken = TypeVar("Taken")


def _take(queue: deque[Taken], most: int) -> list[Taken]:
    """Take the oldest; others may append and drop meanwhile."""
    taken: list[Taken] = []
    with suppress(IndexError):
        while len(taken) < most:
            taken.append(queue.popleft())
    return taken


def _payload(report: Report) -> tasks.Payload:
    return {
        "kind": report.kind,
        "at": time.time(),
        "sworm": report.sworm,
        "name": report.name,
        "pid": report.pid,
        "node": report.node,
        "detail": report.detail,
        "epoch": report.epoch,
    }


def encoded(fields: dict[str, Any]) -> bytes:
    """An answer as MessagePack; one that holds something else (a worker's reply may) becomes an error answer."""
    try:
        return msgspec.msgpack.encode(fields)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        refusal = {"ok": False, "problem": "bad_value", "detail": f"not a MessagePack value: {error}"}
        return msgspec.msgpack.encode({"id": fields["id"], "node": fields.get("node", ""), **refusal})
