"""What leaves the observer after a commit: a frame for those who watch, an announcement for those who wait.

Law: both may be lost and nobody may depend on them; the tables are the truth. A frame says what lies between two
revisions, or (when that is much) only that something does. Nothing here may hold up the writer for long: a broker that
does not answer costs one attempt a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import redis

from registry.projection import FORGOTTEN, STREAM_COLUMNS, Batch, NodeRow, ProcessRow
from registry.readmodel import Vector, Written

logger = logging.getLogger(__name__)

#: Group of the channel layer that gets {"type": FRAME, "frame": …}.
GROUP = "map"
FRAME = "map.frame"

#: Redis channel of {"revision", "versions": {sworm: {origin: version}}} after each commit.
OBSERVED = "sworm:observed"

#: Rows above which a frame only says that there are some: the reader loads them from the tables.
MAX_ROWS = 2_000

#: Frames that a slow broker may have waiting for it.
MAX_UNDER_WAY = 8

#: Seconds for which a broker that failed is left alone, and that it may take for an answer.
PAUSE = 1.0
TIMEOUT = 1.0

Frame = dict[str, Any]


def rfc3339(time: datetime) -> str:
    """A time in UTC as text, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp(milliseconds: int) -> str:
    """The same for ms since 1970."""
    return rfc3339(datetime.fromtimestamp(milliseconds / 1000, UTC))


def stream_row(row: ProcessRow, revision: int) -> list[Any]:
    """A process as a row of `STREAM_COLUMNS`."""
    return [
        row.sworm, row.name, row.pid, row.node, row.epoch, row.state, row.target, row.isolation, list(row.groups),
        row.restarts, stamp(row.started_at), revision,
    ]  # fmt: skip


def stream_node(row: NodeRow, revision: int, at: float) -> dict[str, Any]:
    """A node as an item, without what its reports say. `at`: seconds since 1970; nodes that are not there have none."""
    item: dict[str, Any] = msgspec.to_builtins(row)
    if row.status not in ("suspect", "left", "dead"):
        item["last_seen"] = stamp(int(at * 1000))
    return item | {"revision": revision}


def frame_of(rows: Batch, rev_from: int, revision: int, at: float) -> Frame:
    """What lies between two revisions."""
    frame: Frame = {"rev_from": rev_from, "rev_to": revision}
    if len(rows.upserts) + len(rows.removed) > MAX_ROWS:
        return frame
    return frame | {
        "nodes": [stream_node(row, revision, at) for row in rows.nodes]
        + [{"name": name, "status": FORGOTTEN, "revision": revision} for name in rows.forgotten],
        "upserts": {"columns": list(STREAM_COLUMNS), "rows": [stream_row(row, revision) for row in rows.upserts]},
        "removed": [list(key) for key in rows.removed],
    }


class Layer(Protocol):
    """The part of a channel layer that the observer needs."""

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        """Send to whoever is in the group."""


class Broadcast(Protocol):
    """Where the writer tells what it has committed; called on its thread."""

    def committed(self, written: Written, rows: Batch, versions: Vector, at: float) -> None:
        """A transaction is visible now."""

    def beat(self, revision: int) -> None:
        """Nothing changed, and the writer lives."""


class Broker:
    """Tells it through Redis: the announcement at once on the writer's thread, frames on a loop of the observer's."""

    def __init__(
        self,
        client: redis.Redis,
        layer: Layer,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
        max_under_way: int = MAX_UNDER_WAY,
    ) -> None:
        self._client = client
        self._layer = layer
        self._loop = loop
        self._clock = clock
        self._max_under_way = max_under_way
        self._silent_until = 0.0
        self._rev_to = 0  #: of the last frame, whether it left or was lost: a loss shows as a gap
        self._under_way: deque[Future[None]] = deque()

    def committed(self, written: Written, rows: Batch, versions: Vector, at: float) -> None:
        """Announce the versions, then send the rows."""
        self._announce(msgspec.msgpack.encode({"revision": written.last, "versions": versions}))
        if rows:
            self._send(frame_of(rows, self._rev_to or written.rows - 1, written.rows, at))

    def beat(self, revision: int) -> None:
        """A frame without a change."""
        self._send(frame_of(Batch(), self._rev_to or revision, revision, 0.0))

    def _announce(self, message: bytes) -> None:
        now = self._clock()
        if now < self._silent_until:
            return
        try:
            self._client.publish(OBSERVED, message)
        except redis.RedisError as error:
            self._silent_until = now + PAUSE
            logger.debug("an announcement was lost: %s", error)

    def _send(self, frame: Frame) -> None:
        self._rev_to = max(self._rev_to, frame["rev_to"])
        while self._under_way and self._under_way[0].done():
            self._under_way.popleft()
        if len(self._under_way) < self._max_under_way:  # else whoever watches reads the tables instead
            self._under_way.append(asyncio.run_coroutine_threadsafe(self._group_send(frame), self._loop))

    async def _group_send(self, frame: Frame) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._layer.group_send(GROUP, {"type": FRAME, "frame": frame})
        except (redis.RedisError, OSError) as error:  # a TimeoutError is an OSError
            logger.debug("a frame was lost: %s", error)
