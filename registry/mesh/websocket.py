"""The mesh over WebSockets: sockets, HTTP upgrade, and GETs on the same port.

Law: bytes in, frames out, and the reverse; no rule about peers is made here. `websockets` opens
the connection, `frames` cuts what follows; a frame costs no task, in or out. No compression, no fragments; a frame
beyond what is allowed ends the wire before it is read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import WebSocketURI, parse_uri

from registry.mesh.codec import Codec
from registry.mesh.frames import BINARY, CLOSE, PING, PONG, FrameReader, close_payload, close_reason, frame
from registry.mesh.handshake import MAX_HANDSHAKE_FRAME
from registry.mesh.link import Link
from registry.mesh.pages import answer
from registry.mesh.protocol import BAD_FRAME, LOST, UNREACHABLE, Handler, Identity, Options, Traffic, code_of
from registry.mesh.switchboard import Switchboard

#: Seconds that the other side has to end its half of a closed connection.
CLOSE_TIMEOUT = 1.0

#: Close code of links that end for a reason of the mesh; the reason is the text.
ENDED_BY_MESH = 4_000

#: Longest HTTP head in bytes.
MAX_HEAD = 16_384

#: The library's own words are about single connections, and strangers cause most of them.
_quiet = logging.getLogger("registry.mesh.websockets")
_quiet.setLevel(logging.CRITICAL)


class Socket(asyncio.Protocol):
    """One WebSocket connection: the `Wire` of a link, and its end of the transport."""

    def __init__(self, mesh: WebSocketMesh, opening: ClientProtocol | ServerProtocol, link: Link | None) -> None:
        self._mesh = mesh
        self._traffic: Traffic = mesh.traffic
        self._opening = opening
        self._head = b""  # what came of the HTTP head, until it is whole
        self._dialled = isinstance(opening, ClientProtocol)
        self._reader = FrameReader(masked=not self._dialled, limit=MAX_HANDSHAKE_FRAME)
        self._is_open = False
        self._is_over = False  # what still comes is nobody's
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._last_call: asyncio.TimerHandle | None = None
        self.dialling: asyncio.Task[None] | None = None
        self.address = ""

    # ------------------------------------------------------------------------------------------------- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        # uvloop has classes of its own for transports, with the same methods.
        self._transport = cast("asyncio.Transport", transport)
        host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        self.address = f"{host}:{port}"
        self._mesh.sockets.add(self)
        if isinstance(self._opening, ClientProtocol):
            self._opening.send_request(self._opening.connect())
            self._write_opening()
        else:
            self._link = self._mesh.accept(self)
        if self._link is None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        self._traffic.bytes_in += len(data)
        if self._link is not None:
            self._link.heard()
        if not self._is_open:
            data = b"" if self._is_over else self._open(data)
        for opcode, payload in self._reader.feed(data):
            if opcode == BINARY:
                if self._link is not None:
                    self._link.frame(payload)
            else:
                self._control(opcode, payload)
        if self._reader.fault:
            self._broken(self._reader.fault)

    def eof_received(self) -> bool:
        """asyncio: the other side sends no more."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._is_open, self._is_over = False, True
        self._mesh.socket_gone(self)
        if self._last_call is not None:
            self._last_call.cancel()
        self._tell_closed(f"{LOST}: {error or 'the connection ended without a word'}")

    # --------------------------------------------------------------------------------------------------------- frames

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._put(PONG, payload)
        elif opcode == CLOSE:
            reason = close_reason(payload)
            self._tell_closed(reason if code_of(reason) else f"{LOST}: the peer closed the connection: {reason!r}")
            self._put(CLOSE, payload)  # lost without a word when it answers ours
            self._hang_up()

    def _broken(self, reason: str) -> None:
        """The peer does not speak as it should: say so and hang up."""
        self._tell_closed(reason)
        self._put(CLOSE, close_payload(ENDED_BY_MESH, reason))
        self._hang_up()

    def _tell_closed(self, reason: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.closed(reason)

    # ----------------------------------------------------------------------------------------------- opening handshake

    def _open(self, data: bytes) -> bytes:
        """Take the HTTP head; returns what follows it once the connection is a WebSocket."""
        data = self._head + data
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end and len(data) <= MAX_HEAD:
            self._head = data
            return b""
        self._head = b""
        if self._link is None:
            return b""
        self._opening.receive_data(head + end)
        events = self._opening.events_received()
        if self._opening.handshake_exc is not None or not events:
            self._opening_failed()
        elif isinstance(self._opening, ServerProtocol):
            self._asked(self._opening, cast("Request", events[0]), rest)
            return b""
        else:
            self._is_open = True
            self._mesh.attach(self._link, self)
        return rest if self._is_open else b""

    def _asked(self, opening: ServerProtocol, request: Request, rest: bytes) -> None:
        link = self._link
        if link is None:
            return
        if "Upgrade" not in request.headers:
            self._link = None
            self._mesh.dismiss(link)
            opening.send_response(answer(self._mesh.options.http, request.method, request.path))
            self._write_opening()
            self._hang_up()
            return
        if rest:
            self._tell_closed(f"{BAD_FRAME}: frames came before the connection was a WebSocket")
            self.abort()
            return
        opening.send_response(opening.accept(request))
        self._write_opening()
        if opening.state is State.OPEN:
            self._is_open = True
            link.opened()
        else:
            self._opening_failed()

    def _opening_failed(self) -> None:
        self._write_opening()
        self._tell_closed(f"{BAD_FRAME}: {self._opening.handshake_exc or 'the HTTP head has no end'}")
        self._hang_up()

    def _write_opening(self) -> None:
        for data in self._opening.data_to_send():
            self._write(data)

    # ----------------------------------------------------------------------------------------------------------- wire

    def send(self, frame: bytes) -> None:
        """See `Wire.send`."""
        self._put(BINARY, frame)

    def waiting(self) -> int:
        """See `Wire.waiting`."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def allow(self, size: int) -> None:
        """See `Wire.allow`."""
        self._reader.limit = size

    def ping(self) -> None:
        """See `Wire.ping`."""
        self._put(PING, b"")

    def close(self, reason: str) -> None:
        """See `Wire.close`."""
        if not self._is_open:
            self.abort()
            return
        self._link = None
        self._put(CLOSE, close_payload(ENDED_BY_MESH, reason))
        if not self._dialled:
            self._hang_up()  # the side that was dialled ends the connection, the other waits for it
        self._is_open, self._is_over = False, True
        self._end_soon()

    def abort(self) -> None:
        """See `Wire.abort`."""
        self._link = None
        self._is_open, self._is_over = False, True
        if self._transport is not None:
            self._transport.abort()
        elif self.dialling is not None:
            self.dialling.cancel()

    def _put(self, opcode: int, payload: bytes) -> None:
        if self._is_open:
            self._write(frame(opcode, payload, self._dialled))

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._traffic.bytes_out += len(data)
            self._transport.write(data)

    def _hang_up(self) -> None:
        """Say no more. Closing at once, with words of the peer unread, could take our last ones back from it."""
        self._is_open, self._is_over = False, True
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        self._end_soon()

    def _end_soon(self) -> None:
        if self._transport is not None and self._last_call is None:
            self._last_call = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._transport.abort)


class WebSocketMesh(Switchboard):
    """The `Mesh` of real nodes."""

    def __init__(
        self, identity: Identity, key: bytes, codec: Codec, handler: Handler, options: Options | None = None
    ) -> None:
        """Raises `ValueError` for a key that is too short or an identity that no peer would take."""
        super().__init__(identity, key, codec, handler, options)
        self.sockets: set[Socket] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_gone = asyncio.Event()

    async def _listen(self, host: str, port: int) -> str:
        if self._server is not None:
            raise RuntimeError("this mesh listens already")
        secure = self.options.server_ssl
        self._server = await asyncio.get_running_loop().create_server(self._accepted, host, port, ssl=secure)
        bound = self._server.sockets[0].getsockname()[1]
        return f"{'wss' if secure else 'ws'}://{f'[{host}]' if ':' in host else host}:{bound}"

    def _accepted(self) -> Socket:
        return Socket(self, ServerProtocol(max_size=MAX_HANDSHAKE_FRAME, logger=_quiet), None)

    def _dial(self, url: str, link: Link) -> None:
        try:
            uri = parse_uri(url)
        except (InvalidURI, ValueError) as error:
            reason = f"{UNREACHABLE}: {url!r} is no ws:// or wss:// URL: {error}"
            asyncio.get_running_loop().call_soon(link.failed, False, reason)
            return
        socket = Socket(self, ClientProtocol(uri, max_size=MAX_HANDSHAKE_FRAME, logger=_quiet), link)
        link.wire = socket
        socket.dialling = asyncio.get_running_loop().create_task(self._open(uri, socket, link))
        self._tasks.add(socket.dialling)
        socket.dialling.add_done_callback(self._tasks.discard)

    async def _open(self, uri: WebSocketURI, socket: Socket, link: Link) -> None:
        secure = (self.options.client_ssl or True) if uri.secure else None
        where = f"{uri.host}:{uri.port}"
        try:
            await asyncio.get_running_loop().create_connection(lambda: socket, uri.host, uri.port, ssl=secure)
        except ConnectionRefusedError as error:
            link.failed(True, f"{UNREACHABLE}: nobody listens at {where}: {error}")
        except (OSError, ValueError, OverflowError) as error:
            link.failed(False, f"{UNREACHABLE}: {where} cannot be reached: {error}")
        except asyncio.CancelledError:
            self.socket_gone(socket)  # uvloop closes one that stands already without a word to its protocol
            raise

    def socket_gone(self, socket: Socket) -> None:
        """A connection has ended."""
        self.sockets.discard(socket)
        if not self.sockets:
            self._all_gone.set()

    async def _shut(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._sockets_gone()
        if server is not None:
            await server.wait_closed()

    async def _sockets_gone(self) -> None:
        """Wait until each socket has ended; each was closed, and is aborted if the peer does not answer."""
        while self.sockets:
            self._all_gone.clear()
            await self._all_gone.wait()
