"""Everything that a mesh does apart from its wires: standing links, coalescing, limits, and the calls to the handler.

Law: every callback to the handler goes through one queue in the order things happened, and none is made while a method
that the owner called is still running. The roster decides which link has an origin's place; here it is only carried
out. What does not stand yet is `meetings`. A subclass brings the wires: `_dial`, `_listen`, `_shut`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from registry.core.ids import Origin, is_origin
from registry.mesh.callbacks import Callbacks
from registry.mesh.codec import FRAME_OVERHEAD, Codec, CodecError
from registry.mesh.handshake import HandshakeFailed
from registry.mesh.link import MEETING, OVER, STANDING, Link
from registry.mesh.meetings import Meetings
from registry.mesh.protocol import (
    BAD_FRAME,
    CLOSED,
    DUPLICATE,
    LANES,
    OUTBOX_FULL,
    REPLACED,
    ROLES,
    SILENT,
    TOO_LARGE,
    Handler,
    Hello,
    Identity,
    Message,
    Options,
    Traffic,
)
from registry.mesh.roster import Roster
from registry.mesh.wire import Wire

log = logging.getLogger("registry.mesh")

WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - these are what is looked for, nothing is bound to them here


class Switchboard:
    """A `Mesh` without wires; see there for what each public method promises."""

    def __init__(
        self, identity: Identity, key: bytes, codec: Codec, handler: Handler, options: Options | None = None
    ) -> None:
        """Raises `ValueError` for a key that is too short or an identity that no peer would take."""
        if not is_origin(identity.origin) or identity.role not in ROLES or identity.lane not in LANES:
            raise ValueError(f"{identity} is not the identity of a node")
        self.options = options or Options()
        self.traffic = Traffic()
        self._identity = identity
        self._codec = codec
        self._handler = handler
        self._roster = Roster(identity.origin, self.options.clock)
        self._links: dict[Origin, Link] = {}  # standing
        self._unflushed: list[Link] = []
        self._calls = Callbacks(self._soon)
        self._last: tuple[Message | None, bytes] = (None, b"")
        self._meetings = Meetings(self, key, handler, self._calls, self._roster)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------------ for the owner

    @property
    def identity(self) -> Identity:
        """See `Mesh.identity`."""
        return self._identity

    async def listen(self, host: str, port: int) -> str:
        """See `Mesh.listen`."""
        if host in WILDCARDS and not self._identity.url:
            raise ValueError(f"listening on {host or 'every address'} needs a URL under which peers reach this node")
        self._start()
        url = await self._listen(host, port)
        if not self._identity.url:
            self._identity = dataclasses.replace(self._identity, url=url)
        return self._identity.url

    def connect(self, url: str, origin: Origin | None = None) -> None:
        """See `Mesh.connect`."""
        if origin is not None and origin in self._links:
            return
        asked = (url, origin)
        link = Link(self, asked)
        if self._meetings.dial(link, asked):
            self._dial(url, link)

    def disconnect(self, origin: Origin, reason: str) -> None:
        """See `Mesh.disconnect`."""
        link = self._links.get(origin)
        if link is not None:
            self._flush_link(link)
        if link is not None and link.stage is STANDING:
            self._end(link, f"{CLOSED}: {reason}", self._calls.post)

    def send(self, origin: Origin, message: Message) -> bool:
        """See `Mesh.send`."""
        link = self._links.get(origin)
        if link is None:
            self.traffic.lost += 1
            return False
        last, data = self._last
        if message is not last or not data:  # one change goes to every peer: encode it once
            data = self._codec.encode(message)
            self._last = (message, data)
        if len(data) > self.options.max_frame - FRAME_OVERHEAD:
            return self._too_large(origin, message, len(data))
        if link.put(data):
            self._schedule_flush(link)
        elif link.size > self.options.max_outbox:
            self._overfull(link, self._calls.post)
        self.traffic.messages_out += 1
        return True

    def flush(self) -> None:
        """See `Mesh.flush`."""
        links, self._unflushed = self._unflushed, []
        self._last = (None, b"")
        for link in links:
            self._flush_link(link)

    def links(self) -> set[Origin]:
        """See `Mesh.links`."""
        return set(self._links)

    async def close(self) -> None:
        """See `Mesh.close`."""
        farewell = f"{CLOSED}: {self._identity.origin} closed its mesh"
        self._meetings.close(farewell, f"{CLOSED}: the mesh was closed")
        self._flush()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for link in list(self._links.values()):
            self._end(link, farewell, self._calls.call)
        self._calls.drain()
        await self._shut()

    # ------------------------------------------------------------------------------------------------ for subclasses

    def _dial(self, url: str, link: Link) -> None:
        """Begin to dial; `attach` the wire when there is one, or `link.failed`, in a later turn either way."""
        raise NotImplementedError

    async def _listen(self, host: str, port: int) -> str:
        """Accept wires from now on; returns the URL."""
        raise NotImplementedError

    async def _shut(self) -> None:
        """Stop accepting and dialling; return when every wire is gone."""
        raise NotImplementedError

    def attach(self, link: Link, wire: Wire) -> None:
        """A wire stands for a dial; it goes again when the dial is over by now."""
        if link.stage is OVER:
            wire.abort()
            return
        link.wire = wire
        link.opened()

    def dismiss(self, link: Link) -> None:
        """It was no peer who came, but somebody who asked for a page: forget the link, its wire closes itself."""
        if link.stage is MEETING:
            link.wire = None
            self._meetings.leave(link, "")

    def accept(self, wire: Wire) -> Link | None:
        """Somebody dialled us: the link of this wire; None when there are too many strangers."""
        link = Link(self, None)
        link.wire = wire
        return link if self._meetings.admit(link) else None

    # --------------------------------------------------------------------------------------- for links and meetings

    def time(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time() if self._loop is not None else 0.0

    def later(self, delay: float, function: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """See `meetings.Board.later`."""
        return self._running().call_later(delay, function, *args)

    def stands(self, origin: Origin) -> bool:
        """See `meetings.Board.stands`."""
        return origin in self._links

    def frame_received(self, link: Link, frame: bytes | bytearray | memoryview) -> None:
        """Deliver the messages of a frame; a bad one costs the link."""
        hello = link.hello
        if hello is None:
            return
        try:
            messages = self._codec.decode(frame)
        except CodecError as error:
            self._calls.call(self._handler.message_refused, hello.origin, f"{BAD_FRAME}: {error}")
            self._end(link, f"{BAD_FRAME}: {error}", self._calls.call)
            self._calls.drain()
            return
        self.traffic.frames_in += 1
        self.traffic.messages_in += len(messages)
        self._calls.drain()
        self._deliver(link, hello.origin, messages)

    def _deliver(self, link: Link, origin: Origin, messages: list[Message]) -> None:
        received = self._handler.received
        for message in messages:
            if link.stage is not STANDING:
                return
            try:
                received(origin, message)
            except Exception:
                log.exception("the owner of the mesh failed on %s from %s", type(message).__name__, origin)

    def link_made(self, link: Link, hello: Hello) -> None:
        """A handshake came to its end: give the link its place, or let it go."""
        self._meetings.part(link)
        older = self._roster.older(hello.origin)
        if not self._roster.stand(hello.origin, link.name, link.number):
            self._meetings.give_up(link, f"{DUPLICATE}: another link with {hello.origin} came first")
            return
        for origin in (older, hello.origin):
            replaced = self._links.get(origin) if origin is not None else None
            if replaced is not None:
                self._end(replaced, f"{REPLACED}: {hello.origin} made a newer link", self._calls.call)
        link.stage = STANDING
        self._links[hello.origin] = link
        link.allow_messages()
        self._calls.call(self._handler.link_up, hello.origin, hello)
        self._meetings.stood(link, hello.origin)
        self._calls.drain()

    def handshake_failed(self, link: Link, failure: HandshakeFailed) -> None:
        """A handshake broke off, by us or by the peer."""
        if failure.farewell:
            link.send_now(failure.farewell)
        self._meetings.give_up(link, failure.reason, last_incarnation=failure.last_incarnation)

    def link_lost(self, link: Link, reason: str, refused: bool = False) -> None:
        """A wire ended, or never came to be."""
        if link.stage is STANDING:
            self._end(link, reason, self._calls.call)
            self._calls.drain()
        elif link.stage is MEETING:
            self._meetings.give_up(link, reason, refused=refused)

    # ------------------------------------------------------------------------------------------------- standing links

    def _end(self, link: Link, reason: str, tell: Callable[..., None]) -> None:
        """End a standing link; it goes down for the handler."""
        if link.stage is not STANDING or link.hello is None:
            return
        origin = link.hello.origin
        self._roster.drop(origin, link.name)
        if self._links.get(origin) is link:
            del self._links[origin]
        link.end(reason)
        tell(self._handler.link_down, origin, reason)

    def _overfull(self, link: Link, tell: Callable[..., None]) -> None:
        self._end(link, f"{OUTBOX_FULL}: more than {self.options.max_outbox} bytes wait for the peer", tell)

    def _too_large(self, origin: Origin, message: Message, size: int) -> bool:
        self.traffic.lost += 1
        kind, most = type(message).__name__, self.options.max_frame
        reason = f"{TOO_LARGE}: a {kind} of {size} bytes to {origin} does not fit into a frame of {most}"
        log.warning("dropped a message: %s", reason)
        self._calls.post(self._handler.message_refused, origin, reason)
        return False

    def _schedule_flush(self, link: Link) -> None:
        if not self._unflushed:
            self._running().call_soon(self._flush)
        self._unflushed.append(link)

    def _flush(self) -> None:
        self.flush()
        self._calls.drain()

    def _flush_link(self, link: Link) -> None:
        if link.stage is not STANDING or not link.outbox:
            return
        if link.overfull(self.options.max_outbox):
            self._overfull(link, self._calls.post)
            return
        self.traffic.frames_out += link.flush(self._codec.frame, self.options.max_frame)

    def _sweep(self, due: float) -> None:
        """Ping who is quiet, give up who is silent; but when we were held up ourselves, hear first what came."""
        now, interval = self.time(), self.options.ping_interval
        if now - due < interval / 2:
            for link in list(self._links.values()):
                self._look_after(link, now)
        self._calls.drain()
        self._sweeper = self._running().call_later(interval, self._sweep, now + interval)

    def _look_after(self, link: Link, now: float) -> None:
        quiet = now - link.heard_at
        if quiet > self.options.idle_timeout:
            self._end(link, f"{SILENT}: nothing came for {quiet:.1f} s", self._calls.call)
        elif quiet >= self.options.ping_interval / 2 and link.wire is not None:
            link.wire.ping()

    # ---------------------------------------------------------------------------------------------------------- clock

    def _start(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            interval = self.options.ping_interval
            self._sweeper = self._loop.call_later(interval, self._sweep, self._loop.time() + interval)

    def _soon(self, function: Callable[[], None]) -> None:
        self._running().call_soon(function)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._start()
        return self._loop or asyncio.get_running_loop()
