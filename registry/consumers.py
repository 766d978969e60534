"""The live stream `/ws/map`: who may look, at what, and one message after the other.

Law: the contract's section 4, and nothing about where the map comes from: that is the hub's. A viewer is one task that
sends and one that listens; what a viewer has not been sent yet is never queued, it is the difference between its place
and the map. A viewer whose connection is congested is left alone until it is not, and then gets one message.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http.request import validate_host
from django.urls import path, re_path

from registry import scopes
from registry.auth import RECHECK, Again, Principal
from registry.core.ids import BadName, check_slug
from registry.hub import SPACING, Place, hub
from registry.mapstate import Filter

#: Longest message of a client, in characters, and how many unreadable ones end the connection.
MAX_MESSAGE = 4_096
MAX_FAULTS = 20

#: Close codes.
BAD_REQUEST, NOT_SIGNED_IN, NOT_ALLOWED = 4400, 4401, 4403

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Pace:
    """When a stream does what it does by itself, in seconds."""

    heartbeat: float = 5.0  #: between two of them
    token: float = 10.0  #: that a client without a session has to show its token
    recheck: float = RECHECK  #: between two looks at its rights


class Refused(Exception):
    """This client gets no stream."""

    def __init__(self, close_code: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.close_code = close_code
        self.code = code


class Gone(Exception):
    """The client closed its side."""


class Viewer:
    """One connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, pace: Pace) -> None:
        self._scope = scope
        self._pace = pace
        self._receive = receive
        self._send = send
        self._transport = transport_of(send)
        self._who: Callable[[], Awaitable[Principal | None]] | None = None

    async def run(self) -> None:
        """From connect to disconnect."""
        await self._receive()  # websocket.connect
        if not _origin_is_ours(self._scope, missing=True):
            await self._send({"type": "websocket.close", "code": NOT_ALLOWED})
            return
        await self._send({"type": "websocket.accept"})
        with suppress(Gone):
            try:
                await self._stream(await self._place())
            except Refused as refused:
                await self._tell({"type": "error", "code": refused.code, "detail": str(refused)})
                await self._send({"type": "websocket.close", "code": refused.close_code})

    # ------------------------------------------------------------------------------------------------ who may see what

    async def _place(self) -> Place:
        query = parse_qs(self._scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        principal = await self._principal()
        wanted = _wanted(query.get("sworm", ["*"])[-1], principal)
        return Place(wanted, _since(query["since"][-1]) if "since" in query else None)

    async def _principal(self) -> Principal:
        user = self._scope.get("user")
        if user is not None and user.is_authenticated and _origin_is_ours(self._scope, missing=False):
            self._who = functools.partial(
                _principal, Again(user=user.pk, session=self._scope["session"].session_key or "")
            )
        else:
            self._who = functools.partial(_principal, Again(token=await self._token()))
        principal = await self._who()
        if principal is None:
            raise Refused(NOT_SIGNED_IN, "not_signed_in", "the token is unknown, was revoked or has expired")
        return principal

    async def _token(self) -> str:
        try:
            async with asyncio.timeout(self._pace.token):
                message = _message(await self._listen())
        except TimeoutError:
            raise Refused(NOT_SIGNED_IN, "not_signed_in", f"no token came within {self._pace.token:g} s") from None
        except ValueError as error:
            raise Refused(NOT_SIGNED_IN, "not_signed_in", f"the first message must be a token: {error}") from None
        token = message.get("token")
        if not isinstance(token, str):
            raise Refused(NOT_SIGNED_IN, "not_signed_in", 'the first message must be {"token": "swm_…"}')
        return token

    # ------------------------------------------------------------------------------------------------------ the stream

    async def _stream(self, place: Place) -> None:
        source = hub()
        source.enter(place)
        tasks = [asyncio.create_task(self._feed(place)), asyncio.create_task(self._obey(place))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            source.leave(place)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed(self, place: Place) -> None:
        """Send what is new, spaced; a heartbeat now and then; look at the rights again."""
        source = hub()
        beat_at = time.monotonic() + self._pace.heartbeat
        check_at = time.monotonic() + self._pace.recheck
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + max(0.0, beat_at - time.monotonic())):
                    await place.news.wait()
            await self._uncongested()
            beats = time.monotonic() >= beat_at
            if beats and source.is_ahead_of(place):
                place.asked = True  # an empty diff, so that the heartbeat shows no gap where there is none
                place.news.set()
            if place.news.is_set():
                place.news.clear()
                text = await source.next(place)
                if text is not None:
                    await self._send({"type": "websocket.send", "text": text})
                    await asyncio.sleep(SPACING * 0.9)  # the hub keeps the pace; this only holds after congestion
            if beats:
                beat_at = time.monotonic() + self._pace.heartbeat
                await self._send({"type": "websocket.send", "text": source.heartbeat(place)})
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + self._pace.recheck
                await self._check_rights()

    async def _uncongested(self) -> None:
        """Wait while the connection holds more than it can pass on; it offers nothing to wait for but a flag."""
        while getattr(self._transport, "producerPaused", False):  # noqa: ASYNC110
            await asyncio.sleep(SPACING)

    async def _check_rights(self) -> None:
        assert self._who is not None
        try:
            principal = await self._who()
        except (InterfaceError, OperationalError):
            return  # nobody can say; an outage must not cost people the map that shows it
        if principal is None or not principal.may(scopes.READ):
            raise Refused(NOT_SIGNED_IN, "not_signed_in", "the right to look has ended")

    async def _obey(self, place: Place) -> None:
        """Take what the client says; the only thing that it may say is that it missed something."""
        faults = 0
        while True:
            try:
                place.resync(_resync(_message(await self._listen())))
            except ValueError as error:
                faults += 1
                if faults >= MAX_FAULTS:
                    raise Refused(
                        BAD_REQUEST, "bad_message", f"too many messages that are not understood: {error}"
                    ) from None
                await self._tell({"type": "error", "code": "bad_message", "detail": str(error)})

    # -------------------------------------------------------------------------------------------------------- messages

    async def _listen(self) -> str | bytes:
        event = await self._receive()
        if event["type"] != "websocket.receive":
            raise Gone
        text = event.get("text")
        return text if text is not None else event.get("bytes") or b""

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._send({"type": "websocket.send", "text": msgspec.json.encode(message).decode()})


def _message(text: str | bytes) -> dict[str, Any]:
    """A client's message; `ValueError` says what is wrong with it."""
    if len(text) > MAX_MESSAGE:
        raise ValueError(f"a message of {len(text)} characters; at most {MAX_MESSAGE} are allowed")
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"a message that is not JSON: {_shown(text)}") from None
    if not isinstance(message, dict):
        raise ValueError(f"a message must be a JSON object, not {_shown(text)}")
    return message


def _resync(message: dict[str, Any]) -> int:
    kind, since = message.get("type"), message.get("since")
    if kind != "resync":
        raise ValueError(f'a message of type {_shown(str(kind))}; only {{"type": "resync", "since": …}} is understood')
    if isinstance(since, bool) or not isinstance(since, int) or since < 0:
        raise ValueError(f"since is {_shown(str(since))}; it must be a revision, a whole number from 0")
    return since


def _shown(text: str | bytes) -> str:
    return repr(text[:60])


def _wanted(sworm: str, principal: Principal) -> Filter:
    if not principal.may(scopes.READ):
        raise Refused(NOT_ALLOWED, "forbidden", f"looking at the map needs the scope {scopes.READ}")
    if sworm == "*":
        return principal.sworms
    try:
        check_slug(sworm, "sworm")
    except BadName as error:
        raise Refused(BAD_REQUEST, "bad_query", str(error)) from None
    if not principal.may_touch(sworm):
        raise Refused(NOT_ALLOWED, "forbidden", f"this token is not for sworm {sworm!r}")
    return frozenset({sworm})


def _since(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(
            BAD_REQUEST, "bad_query", f"since is {_shown(text)}; it must be a revision, a whole number from 0"
        )
    return int(text)


async def _principal(who: Again) -> Principal | None:
    found: Principal | None = await database_sync_to_async(who)()
    return found


def _origin_is_ours(scope: Scope, missing: bool) -> bool:
    """Whether the page that opened this socket is one of ours; `missing`: what to say when no page is named."""
    origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    if not origins:
        return missing
    origin = urlsplit(origins[0])
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if origins[0] in settings.CSRF_TRUSTED_ORIGINS:
        return True
    known = validate_host(origin.hostname or "", settings.ALLOWED_HOSTS)  # a name that leads here is not yet ours
    return known and origin.scheme in ("http", "https") and hosts == [origin.netloc]


def transport_of(send: Any) -> Any:
    """The connection below an ASGI `send`, when the server is daphne; None elsewhere.

    ASGI has no word for "the other side does not read", so the one server that ignores it is asked itself.
    """
    for _ in range(8):
        if isinstance(send, functools.partial) and send.args:
            return getattr(send.args[0], "transport", None)
        below = getattr(getattr(send, "__self__", None), "real_send", None)
        if below is None:
            return None
        send = below
    return None


def live_map(pace: Pace) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application behind `/ws/map`."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await Viewer(scope, receive, send, pace).run()

    return application


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """Any other path: refused before it opens."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


websocket_urlpatterns = [
    path("ws/map", live_map(Pace())),  # type: ignore[arg-type]  # Channels' routes lead to applications
    re_path("", nothing_here),  # type: ignore[arg-type]
]
