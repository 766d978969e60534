"""The observer's writing thread: from what the member sees to rows, in as few transactions as keep it fresh.

Law: one thread, one transaction at a time, and the mesh's loop never waits for either. Nothing is removed before the
member is synced. While the database is away everything stays in memory; when it is back the rows are read again and the
difference is written, so an outage costs nothing but time. A writer that lost its term writes no more and says so.

`turn` is one round, and can be called by itself; `run` only repeats it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import Error as DatabaseError
from django.db import connection

from registry import reports
from registry.projection import Batch, Mirror
from registry.readmodel import EventRow, ReadModel, Stats, TermLost, Vector, Work
from registry.retention import CHUNK, Keeping
from registry.stream import Broadcast
from registry.succession import Succession
from registry.watch import Seen, Watch

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

#: Seconds that the first change of a start waits for the second, which comes within a millisecond as a rule.
GATHER = 0.002
#: Seconds that any change waits once more than `BUSY` rows a second change: a transaction costs milliseconds however
#: few its rows.
GATHER_BUSY = 0.04
BUSY = 250.0

#: Seconds between two looks of a standby at the term.
LOOK = 0.5
#: Seconds between renewals of the term; three may be lost before somebody else takes it.
RENEW = 1.0
#: Seconds between two looks at the definitions, in case their announcement was lost.
DEFINITIONS = 2.0
#: Seconds between two updates of `last_seen`.
SEEN = 10.0
#: Seconds between two rounds of tidying.
TIDY = 60.0
#: The same while there is a backlog of what is to be dropped.
TIDY_ON = 1.0

#: Seconds until a database that failed is tried again: the first time, and at most.
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0

#: Entries a second that snapshots may carry on average: few are recorded each time, many seldom.
ENTRIES_RATE = 10.0

#: Seconds that a batch of reports may wait for its commit before its sender tries again.
RECORD_TIMEOUT = 30.0

#: Events of the own member that may wait for the database.
MAX_NOTES = 1_000


class NotRecorded(Exception):
    """A batch of reports could not be written now; the same batch may be tried again."""


@dataclass(slots=True)
class _Due:
    """Something to be done at intervals."""

    every: float
    act: Callable[[], None]
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Owner:
    """What the writer tells its owner, on its own thread."""

    began: Callable[[], None] = lambda: None  #: it holds the term now
    lost: Callable[[], None] = lambda: None  #: it held the term and must end
    published: Callable[[], None] = lambda: None  #: the member's own map changed and should leave
    wrote: Callable[[], None] = lambda: None  #: rows were committed


class Writer:
    """Writes what one member sees. All but `wake`, `record`, `look_at_definitions` and `stop` is its own thread's."""

    def __init__(
        self,
        watch: Watch,
        model: ReadModel,
        broadcast: Broadcast,
        owner: Owner | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        self._watch = watch
        self._model = model
        self._broadcast = broadcast
        self._owner = owner or Owner()
        self._keeping = keeping or Keeping()
        self._succession = Succession(model.holder)
        self._mirror: Mirror | None = None  #: None: what the tables hold is not known
        self._versions: Vector = {}  #: as written
        self._held: dict[str, dict[str, int]] = {}  #: definitions at the nodes, as written
        self._forgotten: set[str] | None = None  #: nodes that those who watch were told to forget; None: not known
        self._told: deque[tuple[reports.Reported, Future[None]]] = deque()
        self._notes: deque[EventRow] = deque(maxlen=MAX_NOTES)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._pause = FIRST_PAUSE
        self._rate = 0.0  #: rows a second, smoothed
        self._flushed_at = 0.0
        self._definitions = _Due(DEFINITIONS, self._publish_definitions)
        self._standby = [_Due(LOOK, self._look_at_term), self._definitions]
        self._tidying = _Due(TIDY, self._tidy)
        self._duties = [
            _Due(RENEW, self._renew),
            self._definitions,
            _Due(SEEN, self._write_seen),
            _Due(self._keeping.snapshot_seconds, self._write_snapshots),
            self._tidying,
        ]
        self._entries_at = 0.0

    # ------------------------------------------------------------------------------------------------ from any thread

    @property
    def term(self) -> tuple[str, int] | None:
        """The holder and number of the term, while it is this writer's."""
        number = self._model.term
        return (self._model.holder, number) if number else None

    def wake(self) -> None:
        """The member took a step; cheap enough to be called for each message."""
        if not self._woken.is_set():
            self._woken.set()

    def look_at_definitions(self) -> None:
        """Somebody says that the definitions changed."""
        self._definitions.at = 0.0
        self.wake()

    def record(self, batch: Mapping[str, Any]) -> None:
        """Write a batch of reports and return once it is committed; raises `NotRecorded`."""
        committed: Future[None] = Future()
        self._told.append((reports.read(batch), committed))
        self.wake()
        try:
            committed.result(RECORD_TIMEOUT)
        except TimeoutError:
            raise NotRecorded("the observer did not get to it") from None

    def note(self, event: EventRow) -> None:
        """Something that the own member has to tell; kept until it can be written, or until there is too much."""
        self._notes.append(event)
        self.wake()

    def stop(self) -> None:
        """End after the transaction in hand."""
        self._stopping.set()
        self._woken.set()

    # ---------------------------------------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Write until `stop`, or until the term is lost. A defect ends the owner too: nobody may believe old rows."""
        try:
            while not self._stopping.is_set():
                self._woken.wait(self._next())
                self._gather()
                if not self.turn():
                    break
            self._end()
        except Exception:
            logger.exception("the writer failed")
            self._fail_reports(NotRecorded("the writer failed"))
            self._owner.lost()

    def _next(self) -> float:
        now = time.monotonic()
        return max(0.0, min(due.at for due in self._dues()) - now)

    def _dues(self) -> list[_Due]:
        return self._duties if self._model.term else self._standby

    def _gather(self) -> None:
        if not (self._model.term and self._woken.is_set()):
            return
        if self._rate > BUSY:
            self._stopping.wait(GATHER_BUSY)
        elif self._watch.expects_more():
            self._stopping.wait(GATHER)

    def turn(self) -> bool:
        """One round: what is due, then what changed. False once the term is lost."""
        self._woken.clear()
        try:
            self._see_to(self._dues())
            if self._model.term:
                self._write()
            self._pause = FIRST_PAUSE
        except TermLost:
            logger.error("another observer has taken over; this one ends")
            self._fail_reports(NotRecorded("another observer writes"))
            self._model.term = 0
            self._owner.lost()
            return False
        except DatabaseError as error:
            self._retreat(error)
        return True

    def _see_to(self, dues: list[_Due]) -> None:
        now = time.monotonic()
        for due in dues:
            if due.at <= now:
                due.at = now + due.every  # before it acts, so that whoever asks for another look meanwhile is heard
                try:
                    due.act()
                except DatabaseError:
                    due.at = now
                    raise

    def _retreat(self, error: Exception) -> None:
        """The database failed: nothing is known of what it holds, and it gets a pause."""
        logger.log(
            logging.WARNING if self._pause == FIRST_PAUSE else logging.DEBUG,
            "the database is not there, changes are kept in memory: %s", str(error).partition("\n")[0],
        )  # fmt: skip
        self._forget()
        self._succession.interrupted()
        self._fail_reports(NotRecorded(str(error)))
        connection.close()
        self._stopping.wait(self._pause)
        # A standby may be waiting for tables that are being made, and somebody for it.
        self._pause = min(LAST_PAUSE if self._model.term else LOOK, self._pause * 2)
        self._woken.set()

    def _forget(self) -> None:
        self._mirror, self._versions, self._held = None, {}, {}
        self._forgotten = None

    def _end(self) -> None:
        try:
            if self._model.term:
                self._model.release_term()
        except DatabaseError as error:
            logger.warning("the term could not be released: %s", error)
        self._fail_reports(NotRecorded("the observer ends"))
        connection.close()

    # ------------------------------------------------------------------------------------------------------- the term

    def _look_at_term(self) -> None:
        term = self._model.read_term()
        if self._succession.may_take(term, time.monotonic()) and self._model.take_term(term):
            logger.info("this observer writes now, term %d", self._model.term)
            self._forget()
            self._owner.began()

    def _renew(self) -> None:
        self._model.renew_term()
        if self._mirror is None:
            return
        self._broadcast.beat(self._model.revision())
        self._tell_forgotten()
        held = self._watch.definitions_held()
        if held != self._held:
            self._model.write_stats(Stats(node, definitions=all_) for node, all_ in held.items())
            self._held = held

    # ------------------------------------------------------------------------------------------------------ the rows

    def _write(self) -> None:
        seen = self._watch.take()
        told, notes = _emptied(self._told), _emptied(self._notes)
        try:
            self._write_all(seen, [one for one, _ in told], notes)
        except Exception:
            self._told.extendleft(reversed(told))  # whoever handles the failure answers them
            self._notes.extendleft(reversed(notes))
            raise
        for _, committed in told:
            committed.set_result(None)

    def _write_all(self, seen: Seen, told: list[reports.Reported], notes: list[EventRow]) -> None:
        at = time.time()
        work = Work(self._differences(seen), events=[*notes, *(event for one in told for event in one.events)])
        if self._mirror is not None:
            work.versions = self._newer(seen.versions)
        if work:
            written = self._model.write(work)
            self._committed(work, seen)
            self._broadcast.committed(written, work.rows, work.versions, at)
            if work.rows:
                self._owner.wrote()
        if stats := reports.newest(one for batch in told for one in batch.stats):
            self._model.write_stats(stats)

    def _differences(self, seen: Seen) -> Batch:
        replicas = self._watch.replicas
        if self._mirror is None:
            if not self._watch.synced():
                return Batch()
            self._mirror = Mirror(*self._model.load())
            batch = self._mirror.compare_all(replicas)
        else:
            batch = self._mirror.compare(replicas, seen.names)
            if not (batch or seen.nodes):
                return batch
        self._mirror.compare_nodes(batch, seen.members, seen.left)
        return batch

    def _newer(self, versions: Vector) -> Vector:
        known = self._versions
        newer = {
            sworm: {o: version for o, version in origins.items() if known.get(sworm, {}).get(o) != version}
            for sworm, origins in versions.items()
        }
        return {sworm: origins for sworm, origins in newer.items() if origins}

    def _committed(self, work: Work, seen: Seen) -> None:
        if self._mirror is not None:
            self._mirror.written(work.rows)
            self._versions = seen.versions
        now = time.monotonic()
        rows = len(work.rows.upserts) + len(work.rows.removed)
        rate = rows / max(now - self._flushed_at, GATHER)
        self._rate = rate if now - self._flushed_at > 1 else 0.7 * self._rate + 0.3 * rate
        self._flushed_at = now

    def _fail_reports(self, error: Exception) -> None:
        while self._told:
            self._told.popleft()[1].set_exception(error)

    # -------------------------------------------------------------------------------------------------------- duties

    def _publish_definitions(self) -> None:
        if self._watch.publish(self._model.definitions()):
            self._owner.published()

    def _tell_forgotten(self) -> None:
        """An operator forgot nodes: those who watch learn it through a revision, like anything else."""
        now = self._model.forgotten()
        news = now - (now if self._forgotten is None else self._forgotten)
        self._forgotten = now
        if news:
            rows = Batch(forgotten=sorted(news))
            self._broadcast.committed(self._model.write(Work(rows)), rows, {}, time.time())

    def _write_seen(self) -> None:
        if self._mirror is not None:
            self._model.write_seen(self._watch.alive())

    def _write_snapshots(self) -> None:
        if self._mirror is None:
            return
        now = time.monotonic()
        with_entries = now >= self._entries_at
        if with_entries:
            wait = max(self._keeping.snapshot_seconds, len(self._mirror.processes) / ENTRIES_RATE)
            self._entries_at = now + min(self._keeping.entries_seconds, wait)
        self._model.write_snapshots(self._watch.snapshots(with_entries))

    def _prune(self) -> None:
        """One bounded round; where there is more, the next one comes soon, with other work in between."""
        dropped = self._model.prune(self._keeping)
        if max(dropped.values()) >= CHUNK:
            self._tidying.at = time.monotonic() + TIDY_ON

    def _tidy(self) -> None:
        if self._mirror is not None:
            self._model.forget_versions(self._versions)
            self._prune()


def _emptied(queue: deque[Item]) -> list[Item]:
    return [queue.popleft() for _ in range(len(queue))]
