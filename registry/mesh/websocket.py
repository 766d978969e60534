"""The mesh over WebSockets: sockets, HTTP upgrade, and GETs on the same port.

Law: bytes in, frames out, and the reverse; no rule about peers is made here. The protocol is `websockets`' own, driven
without its tasks: a frame costs no task switch, in or out. No compression, no fragments; a frame beyond what is allowed
ends the wire before it is read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import WebSocketURI, parse_uri

from registry.mesh.codec import Codec
from registry.mesh.handshake import MAX_HANDSHAKE_FRAME
from registry.mesh.link import Link
from registry.mesh.pages import answer
from registry.mesh.protocol import BAD_FRAME, LOST, TOO_LARGE, UNREACHABLE, Handler, Identity, Options, Traffic, code_of
from registry.mesh.switchboard import Switchboard

#: Seconds that the other side has to end its half of a closed connection.
CLOSE_TIMEOUT = 1.0

#: Close code of links that end for a reason of the mesh; the reason is the text.
ENDED_BY_MESH = 4_000

#: Longest text of a close frame, in bytes.
MAX_CLOSE_TEXT = 123

#: The library's own words are about single connections, and strangers cause most of them.
_quiet = logging.getLogger("registry.mesh.websockets")
_quiet.setLevel(logging.CRITICAL)


class Socket(asyncio.Protocol):
    """One WebSocket connection: the `Wire` of a link, and its end of the transport."""

    def __init__(self, mesh: WebSocketMesh, protocol: ClientProtocol | ServerProtocol, link: Link | None) -> None:
        self._mesh = mesh
        self._traffic: Traffic = mesh.traffic
        self._protocol = protocol
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
        if isinstance(self._protocol, ServerProtocol):
            self._link = self._mesh.accept(self)
        else:
            self._protocol.send_request(self._protocol.connect())
            self._write()
        if self._link is None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        self._traffic.bytes_in += len(data)
        protocol = self._protocol
        if self._link is not None:
            self._link.heard()
        protocol.receive_data(data)
        events = protocol.events_received()
        if len(events) > 1 and type(events[0]) is Request:
            self._tell_closed(f"{BAD_FRAME}: frames came before the connection was a WebSocket")
            self.abort()
            return
        for event in events:
            if type(event) is Frame:
                self._frame(event)
            elif type(event) is Request:
                self._request(event)
            else:
                self._response()
        self._write()
        if protocol.parser_exc is not None or protocol.handshake_exc is not None:
            self._broken()

    def eof_received(self) -> bool:
        """asyncio: the other side sends no more."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._mesh.socket_gone(self)
        if self._last_call is not None:
            self._last_call.cancel()
        self._tell_closed(f"{LOST}: {error or 'the connection ended without a word'}")

    # --------------------------------------------------------------------------------------------------------- frames

    def _frame(self, frame: Frame) -> None:
        link = self._link
        if link is None:
            return
        if frame.opcode is Opcode.BINARY and frame.fin:
            link.frame(frame.data)
        elif frame.opcode is Opcode.CLOSE:
            self._closed_by_peer()
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT, Opcode.BINARY):
            self._tell_closed(f"{BAD_FRAME}: a {frame.opcode.name} frame{'' if frame.fin else ' in fragments'} came")
            self.close(BAD_FRAME)

    def _closed_by_peer(self) -> None:
        received = self._protocol.close_rcvd
        reason = received.reason if received is not None else ""
        self._tell_closed(
            reason if code_of(reason) else f"{LOST}: the peer closed the connection: {reason or received}"
        )
        self._end_soon()

    def _broken(self) -> None:
        """The peer does not speak WebSocket, or sent more than is allowed."""
        error = self._protocol.parser_exc or self._protocol.handshake_exc
        code = TOO_LARGE if type(error).__name__ == "PayloadTooBig" else BAD_FRAME
        self._tell_closed(f"{LOST if isinstance(error, EOFError) else code}: {error}")
        self._end_soon()

    def _tell_closed(self, reason: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.closed(reason)

    # ----------------------------------------------------------------------------------------------- opening handshake

    def _request(self, request: Request) -> None:
        link, protocol = self._link, self._protocol
        if link is None or not isinstance(protocol, ServerProtocol):
            return
        if "Upgrade" in request.headers:
            protocol.send_response(protocol.accept(request))
            self._write()
            if protocol.state is State.OPEN:
                link.opened()
            return
        protocol.send_response(answer(self._mesh.options.http, request.method, request.path))
        self._link = None
        self._mesh.dismiss(link)
        self._end_soon()

    def _response(self) -> None:
        if self._link is not None and self._protocol.state is State.OPEN:
            self._mesh.attach(self._link, self)

    # ----------------------------------------------------------------------------------------------------------- wire

    def send(self, frame: bytes) -> None:
        """See `Wire.send`."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_binary(frame)
            self._write()

    def waiting(self) -> int:
        """See `Wire.waiting`."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def allow(self, size: int) -> None:
        """See `Wire.allow`."""
        self._protocol.max_message_size = size

    def ping(self) -> None:
        """See `Wire.ping`."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._write()

    def close(self, reason: str) -> None:
        """See `Wire.close`."""
        if self._protocol.state is State.CONNECTING:
            self.abort()
            return
        self._link = None
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(ENDED_BY_MESH, _shortened(reason))
        self._end_soon()

    def abort(self) -> None:
        """See `Wire.abort`."""
        self._link = None
        if self._transport is not None:
            self._transport.abort()
        elif self.dialling is not None:
            self.dialling.cancel()

    def _write(self) -> None:
        transport = self._transport
        for data in self._protocol.data_to_send():
            if transport is None or transport.is_closing():
                return
            if data:
                self._traffic.bytes_out += len(data)
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()

    def _end_soon(self) -> None:
        self._write()
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


def _shortened(reason: str) -> str:
    """A reason that fits into a close frame."""
    return reason.encode()[:MAX_CLOSE_TEXT].decode(errors="ignore")
