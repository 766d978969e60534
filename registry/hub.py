"""One hub for each web process: follows the map once, whatever the number of those who look at it.

Law: the state lives here, a viewer is only a place in it. Frames of the channel layer are taken when they fit; whatever
does not fit, or does not come, is read from the tables, so a lost frame costs a query and nothing else. Each message is
encoded once for all who stand at the same place. Everything runs on one event loop but the queries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import redis
from channels.layers import get_channel_layer
from django.db import Error as DatabaseError

from registry.mapload import Loaded, load
from registry.mapstate import Change, Filter, MapState
from registry.stream import GROUP, Frame

logger = logging.getLogger(__name__)

#: Seconds between two messages to one viewer, at least: ten a second.
SPACING = 0.1

#: Seconds without a frame after which the tables are asked; an observer that lives sends one each second.
QUIET = 2.0

#: Seconds until whatever failed is tried again.
RETRY = 1.0

Load = Callable[[int | None], Loaded]


class Place:
    """Where one viewer stands: what it has, and what it wants."""

    def __init__(self, wanted: Filter, since: int | None) -> None:
        self.wanted = wanted
        self.sent = since  #: its revision; None: it has nothing
        self.scanned = since or 0  #: up to here nothing more of what it wants
        self.asked = True  #: it waits for an answer, if only an empty one
        self.news = asyncio.Event()
        self.news.set()

    def resync(self, since: int) -> None:
        """It has missed something."""
        self.sent, self.scanned, self.asked = since, since, True
        self.news.set()


class Hub:
    """The map, and those who look at it."""

    def __init__(self, layer: Any, read: Load = load) -> None:
        self._layer = layer
        self._read = read
        self._state = MapState()
        self._places: set[Place] = set()
        self._ready = asyncio.Event()
        self._stale = asyncio.Event()  #: frames do not fit; the tables must be asked
        self._tasks: list[asyncio.Task[None]] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="map")
        self._heard_at: float | None = None
        self._frame_at = 0.0
        self._told_at = 0.0
        self._telling: asyncio.TimerHandle | None = None
        self._texts: dict[tuple[int | None, int, Filter, bool], str | None] = {}

    # ---------------------------------------------------------------------------------------------------- for viewers

    def enter(self, place: Place) -> None:
        """Somebody begins to look; the first one sets the hub to work."""
        self._places.add(place)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._follow_frames()), asyncio.create_task(self._follow_tables())]

    def leave(self, place: Place) -> None:
        """Somebody looks no more; with the last one the hub rests and forgets."""
        self._places.discard(place)
        if not self._places:
            for task in self._tasks:
                task.cancel()
            if self._telling:
                self._telling.cancel()
            self._tasks, self._telling = [], None
            self._state = MapState()
            self._ready.clear()
            self._texts.clear()

    async def next(self, place: Place) -> str | None:
        """What a viewer must be told now, as text, and move it on; None: nothing of what it wants."""
        await self._ready.wait()
        revision = self._state.revision
        at = (place.sent, place.scanned, place.wanted, place.asked)
        if at not in self._texts:
            self._texts[at] = self._text(place)
        text = self._texts[at]
        place.scanned = revision
        place.asked = False
        if text is not None:
            place.sent = revision
        return text

    def _text(self, place: Place) -> str | None:
        state = self._state
        if place.sent is None or not state.knows(place.scanned):
            return _encoded(state.snapshot(place.wanted))
        diff = state.diff(place.sent, place.scanned, place.wanted)
        if diff is None and place.asked:
            diff = state.nothing(place.sent)
        return None if diff is None else _encoded(diff)

    def is_ahead_of(self, place: Place) -> bool:
        """Whether there are revisions that this viewer has not heard of, if only because they do not concern it."""
        return place.sent is not None and place.sent < self._state.revision

    def heartbeat(self, place: Place) -> str:
        """How far the map of this viewer is, and how long ago an observer last showed that it writes."""
        lag = None if self._heard_at is None else round((time.monotonic() - self._heard_at) * 1000)
        return _encoded({"type": "heartbeat", "revision": place.sent or 0, "lag_ms": lag})

    # --------------------------------------------------------------------------------------------------------- frames

    async def _follow_frames(self) -> None:
        while self._layer is not None:
            with suppress(redis.RedisError, OSError):
                await self._receive_frames()
            await asyncio.sleep(RETRY)

    async def _receive_frames(self) -> None:
        channel = await self._layer.new_channel()
        try:
            await self._layer.group_add(GROUP, channel)
            while True:
                self._take((await self._layer.receive(channel))["frame"])
        finally:
            with suppress(redis.RedisError, OSError):
                await self._layer.group_discard(GROUP, channel)

    def _take(self, frame: Frame) -> None:
        self._frame_at = self._heard_at = time.monotonic()
        if not self._ready.is_set() or frame["rev_to"] <= self._state.revision:
            return
        if frame["rev_from"] > self._state.revision or "nodes" not in frame:
            self._stale.set()
            return
        revision = frame["rev_to"]
        removed = [(revision, sworm, name) for sworm, name in frame["removed"]]
        self._merge(Change(revision, frame["nodes"], frame["upserts"]["rows"], removed))

    def _merge(self, change: Change) -> None:
        before = self._state.revision
        self._state.merge(change)
        if self._state.revision != before:
            self._texts.clear()
            self._tell_soon()

    def _tell_soon(self) -> None:
        """The first change at once; those that follow within the spacing together."""
        if self._telling is None:
            wait = max(0.0, self._told_at + SPACING - time.monotonic())
            self._telling = asyncio.get_running_loop().call_later(wait, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._told_at = time.monotonic()
        for place in self._places:
            place.news.set()

    # --------------------------------------------------------------------------------------------------------- tables

    async def _follow_tables(self) -> None:
        while True:
            try:
                await self._read_tables()
            except (DatabaseError, OSError) as error:
                logger.debug("the map cannot be read: %s", error)
                await asyncio.sleep(RETRY)
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET):
                    await self._stale.wait()

    async def _read_tables(self) -> None:
        is_first = not self._ready.is_set()
        if not (is_first or self._stale.is_set() or time.monotonic() - self._frame_at > QUIET):
            return
        self._stale.clear()
        since = None if is_first else self._state.revision
        loaded = await asyncio.get_running_loop().run_in_executor(self._executor, self._read, since)
        if loaded.age is not None:
            self._heard_at = max(self._heard_at or 0.0, time.monotonic() - loaded.age)
        if is_first or loaded.change.rev_to < self._state.revision:
            await self._begin(loaded if is_first else None)
        else:
            self._merge(loaded.change)

    async def _begin(self, loaded: Loaded | None) -> None:
        """Take everything anew; None: the database went back to an earlier state, and what was read is too little."""
        if loaded is None:
            loaded = await asyncio.get_running_loop().run_in_executor(self._executor, self._read, None)
        self._state.load(loaded.change, loaded.floor)
        self._texts.clear()
        self._ready.set()
        self._tell_soon()


def _encoded(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub(get_channel_layer())
    return _hubs[loop]
