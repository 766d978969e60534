"""Events as server-sent events: one stream for each who follows, one look at the tables for all of them.

Law: what is sent is read from the tables in the order of revisions, so nothing is lost and nothing comes twice,
whatever becomes of the wire: a revision is committed before any higher one is given. The id of each event is its
revision, with which a client goes on (HTML Living Standard, 9.2, `Last-Event-ID`). A slow client holds up nobody: its
next page is read when it has taken the last. Whoever may no longer look is told nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from django.db import Error as DatabaseError
from django.db import connection

from registry.auth import RECHECK, Again, Principal
from registry.models import Counter, Event
from registry.past import refuse_compacted
from registry.problems import Problem
from registry.scopes import READ

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream"

#: Seconds between two looks at the newest revision, for all streams of a process together.
LOOK = 0.2
#: Seconds between two heartbeats of a stream.
HEARTBEAT = 10.0
#: Milliseconds until a browser comes back after an end.
RETRY_MS = 1_000
#: Events that are read at once.
PAGE = 500

FIELDS = ("id", "revision", "at", "kind", "sworm", "name", "node", "pid", "epoch", "detail")

Result = TypeVar("Result")

_executor = ThreadPoolExecutor(4, thread_name_prefix="events")


@dataclass(frozen=True)
class Wanted:
    """What one client follows: events of these values, after a revision, as long as it may."""

    equal: dict[str, str]
    since: int
    who: Again


class Newest:
    """The newest revision, looked up for all streams of one event loop while there are any."""

    def __init__(self) -> None:
        self.revision = -1  #: -1: not known yet
        self._readers = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def after(self, revision: int, patience: float) -> int:
        """Wait, for at most so many seconds, until there is a newer one; returns the newest."""
        self._readers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience), self._changed:
                    await self._changed.wait_for(lambda: self.revision > revision)
            return self.revision
        finally:
            self._readers -= 1

    async def _follow(self) -> None:
        idle = 0
        while idle < 10:  # streams come back for more within a moment; without any it rests
            idle = 0 if self._readers else idle + 1
            with contextlib.suppress(DatabaseError):
                revision = await _in_thread(_newest)
                async with self._changed:
                    self.revision = revision
                    self._changed.notify_all()
            await asyncio.sleep(LOOK)


_newest_of: WeakKeyDictionary[asyncio.AbstractEventLoop, Newest] = WeakKeyDictionary()


def _newest() -> int:
    return Counter.objects.values_list("revision", flat=True).first() or 0


async def lines(wanted: Wanted) -> AsyncIterator[bytes]:
    """The stream's text, until its client leaves or may no longer look."""
    newest = _newest_of.setdefault(asyncio.get_running_loop(), Newest())
    position, checked = wanted.since, time.monotonic()
    beat = time.monotonic() + HEARTBEAT
    yield f"retry: {RETRY_MS}\n: it follows revision {position}\n\n".encode()
    try:
        principal = await _in_thread(wanted.who)
        while _may(principal):
            assert principal is not None
            known = await newest.after(position, max(0.0, beat - time.monotonic()))
            if known > position:
                rows, position = await _in_thread(_read, wanted.equal, principal.sworms, position, known)
                if rows:
                    yield b"".join(map(_event, rows))
            if time.monotonic() >= beat:
                beat = time.monotonic() + HEARTBEAT
                yield f'event: heartbeat\nid: {position}\ndata: {{"revision":{position}}}\n\n'.encode()
            if time.monotonic() - checked >= RECHECK:
                principal, checked = await _in_thread(wanted.who), time.monotonic()
        yield _problem(Problem("unauthorized", "the right to look has ended"))
    except Problem as problem:
        yield _problem(problem)
    except DatabaseError as error:
        logger.warning("a stream of events ends, the database is unavailable: %s", error)
        yield _problem(Problem("database_unavailable"))


def _may(principal: Principal | None) -> bool:
    return principal is not None and principal.may(READ)


def _read(
    equal: dict[str, str], sworms: frozenset[str] | None, position: int, known: int
) -> tuple[list[dict[str, Any]], int]:
    """The next events, and the revision up to which nothing is missing then."""
    refuse_compacted(position)
    rows = Event.objects.filter(**equal, revision__gt=position, revision__lte=known)
    if sworms is not None:
        rows = rows.filter(sworm__in=sworms)
    found = list(rows.order_by("revision", "id").values(*FIELDS)[:PAGE])
    if len(found) < PAGE:
        return found, known
    last = found[-1]["revision"]
    whole = [row for row in found if row["revision"] < last]  # the last revision may be cut in two
    return (whole, whole[-1]["revision"]) if whole else (found, last)


def _event(row: dict[str, Any]) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (row["revision"], msgspec.json.encode(row))


def _problem(problem: Problem) -> bytes:
    return b"event: problem\ndata: %s\n\n" % msgspec.json.encode(problem.as_dict())


async def _in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_executor, _closing, function, *arguments)


def _closing(function: Callable[..., Result], *arguments: Any) -> Result:
    try:
        return function(*arguments)
    finally:
        connection.close()  # this thread may not come again for long
