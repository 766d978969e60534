"""The mesh within one process: the same links, handshakes and limits as over sockets, on wires that are queues.

Law: deterministic on a given loop: frames arrive in the order sent, one a turn, and nothing is lost but by a verb of
the `Hub`. The verbs are what networks do to TCP: `hold` (a partition: frames wait, dials get no answer), `release`,
`sever` (links break, what was under way is lost) and `crash` (a node is gone without a word).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from registry.core.ids import Origin
from registry.mesh.codec import Codec
from registry.mesh.handshake import MAX_HANDSHAKE_FRAME
from registry.mesh.link import Link
from registry.mesh.protocol import LOST, TOO_LARGE, UNREACHABLE, Handler, Identity, Options, code_of
from registry.mesh.switchboard import Switchboard
from registry.mesh.wire import End

Pair = frozenset[Origin]


class Hub:
    """The network that memory meshes share."""

    def __init__(self) -> None:
        self._listeners: dict[str, MemoryMesh] = {}
        self._wires: list[MemoryWire] = []
        self._held: dict[Pair, deque[Callable[[], None]]] = {}
        self._port = 0

    # -------------------------------------------------------------------------------------------------- faults, on
    # demand

    def hold(self, one: Origin, other: Origin) -> None:
        """Part two nodes: nothing passes between them, and nothing is lost yet."""
        self._held.setdefault(frozenset((one, other)), deque())

    def release(self, one: Origin, other: Origin) -> None:
        """Heal: what waited passes now, in order."""
        for delivery in self._held.pop(frozenset((one, other)), ()):
            self._soon(delivery)

    def sever(self, one: Origin, other: Origin) -> None:
        """Break every link between two nodes; both sides learn it, what was under way is lost."""
        pair = frozenset((one, other))
        for wire in [wire for wire in self._wires if wire.pair == pair]:
            wire.break_down()

    def lose(self, origin: Origin, other: Origin) -> None:
        """Break every link between two nodes, but let only `origin` notice: the other side's link is half open."""
        pair = frozenset((origin, other))
        for wire in [wire for wire in self._wires if wire.pair == pair and wire.origin == origin]:
            wire.break_off()

    def crash(self, origin: Origin) -> None:
        """A node is gone: its links break, nobody listens at its URLs, and it hears nothing of it itself."""
        self._listeners = {url: mesh for url, mesh in self._listeners.items() if mesh.identity.origin != origin}
        for wire in [wire for wire in self._wires if origin in wire.pair]:
            wire.break_down(silent=origin)

    # --------------------------------------------------------------------------------------------------- for its meshes

    def listen(self, mesh: MemoryMesh, host: str, port: int) -> str:
        """Give a mesh its URL. Raises `OSError` when somebody has it."""
        if not port:
            self._port += 1
            port = self._port
        url = f"memory://{host}:{port}"
        if url in self._listeners:
            raise OSError(f"{url} is in use")
        self._listeners[url] = mesh
        return url

    def leave(self, mesh: MemoryMesh) -> None:
        """A mesh listens no more."""
        self._listeners = {url: other for url, other in self._listeners.items() if other is not mesh}

    def dial(self, url: str, mesh: MemoryMesh, link: Link) -> None:
        """Connect a link to whoever listens at a URL."""
        listener = self._listeners.get(url)
        if listener is None:
            self._soon(lambda: link.failed(True, f"{UNREACHABLE}: nobody listens at {url}"))
            return
        pair = frozenset((mesh.identity.origin, listener.identity.origin))
        self.carry(pair, lambda: self._connect(url, mesh, link, pair))

    def _connect(self, url: str, mesh: MemoryMesh, link: Link, pair: Pair) -> None:
        listener = self._listeners.get(url)
        if listener is None:
            link.failed(True, f"{UNREACHABLE}: nobody listens at {url}")
            return
        near = MemoryWire(self, mesh.identity.origin, pair, url)
        far = MemoryWire(self, listener.identity.origin, pair, mesh.identity.origin)
        near.other, far.other = far, near
        self._wires += (near, far)
        accepted = listener.accept(far)
        if accepted is None:
            near.end = link
            far.break_down()
            return
        near.end, far.end = link, accepted
        mesh.attach(link, near)
        accepted.opened()

    def carry(self, pair: Pair, delivery: Callable[[], None]) -> None:
        """Deliver in a later turn, after whatever was carried between these two before."""
        held = self._held.get(pair)
        if held is not None:
            held.append(delivery)
        else:
            self._soon(delivery)

    def forget(self, wire: MemoryWire) -> None:
        """A wire has ended."""
        if wire in self._wires:
            self._wires.remove(wire)

    def _soon(self, delivery: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(delivery)


class MemoryWire:
    """One end of a connection: what it sends arrives at the other end, in order."""

    def __init__(self, hub: Hub, origin: Origin, pair: Pair, address: str) -> None:
        self.hub = hub
        self.origin = origin  #: whose end this is
        self.pair = pair
        self.address = address
        self.other: MemoryWire | None = None
        self.end: End | None = None
        self._allowed = MAX_HANDSHAKE_FRAME
        self._waiting = 0
        self._is_open = True

    def send(self, frame: bytes) -> None:
        """See `Wire.send`."""
        if self._is_open:
            self._waiting += len(frame)
            self.hub.carry(self.pair, lambda: self._arrive(frame))

    def waiting(self) -> int:
        """See `Wire.waiting`."""
        return self._waiting

    def allow(self, size: int) -> None:
        """See `Wire.allow`."""
        self._allowed = size

    def ping(self) -> None:
        """See `Wire.ping`."""
        if self._is_open:
            self.hub.carry(self.pair, self._pinged)

    def close(self, reason: str) -> None:
        """See `Wire.close`."""
        if self._is_open:
            self._shut()
            known = reason if code_of(reason) else f"{LOST}: the peer closed the connection: {reason}"
            self.hub.carry(self.pair, lambda: self._tell_other(known))

    def abort(self) -> None:
        """See `Wire.abort`."""
        if self._is_open:
            self._shut()
            self.hub.carry(self.pair, lambda: self._tell_other(f"{LOST}: the connection ended without a word"))

    def break_down(self, silent: Origin = "") -> None:
        """The network ends this wire: what is under way is lost, and its end learns it in a later turn."""
        end, self.end = self.end, None
        was_open = self._is_open
        self._shut()
        if self.other is not None and self.other._is_open:  # noqa: SLF001 - the other end of the same wire
            self.other.break_down(silent)
        if was_open and end is not None and self.origin != silent:
            asyncio.get_running_loop().call_soon(end.closed, f"{LOST}: the connection ended without a word")

    def break_off(self) -> None:
        """Only this end learns that the wire is gone; the other sends into the void."""
        end = self.end
        if self.other is not None:
            self.other.other = None
        self._shut()
        if end is not None:
            asyncio.get_running_loop().call_soon(end.closed, f"{LOST}: the connection ended without a word")

    def _shut(self) -> None:
        self._is_open = False
        self.end = None
        self.hub.forget(self)

    def _arrive(self, frame: bytes) -> None:
        self._waiting -= len(frame)
        if self.other is not None:
            self.other.take(frame)

    def take(self, frame: bytes) -> None:
        """A frame of the other end arrives here."""
        end = self.end
        if end is None:
            return
        if len(frame) > self._allowed:
            reason = f"{TOO_LARGE}: a frame of {len(frame)} bytes came; at most {self._allowed} are allowed"
            self.close(reason)
            end.closed(reason)
            return
        end.heard()
        end.frame(frame)

    def _pinged(self) -> None:
        for wire in (self, self.other):
            if wire is not None and wire.end is not None:
                wire.end.heard()

    def _tell_other(self, reason: str) -> None:
        other = self.other
        if other is not None and other.end is not None:
            end = other.end
            other._shut()  # noqa: SLF001 - the other end of the same wire
            end.closed(reason)


class MemoryMesh(Switchboard):
    """The `Mesh` of tests and of nodes that live in one process."""

    def __init__(
        self,
        hub: Hub,
        identity: Identity,
        key: bytes,
        codec: Codec,
        handler: Handler,
        options: Options | None = None,
    ) -> None:
        """Raises `ValueError` for a key that is too short or an identity that no peer would take."""
        super().__init__(identity, key, codec, handler, options)
        self._hub = hub

    async def _listen(self, host: str, port: int) -> str:
        return self._hub.listen(self, host, port)

    def _dial(self, url: str, link: Link) -> None:
        self._hub.dial(url, self, link)

    async def _shut(self) -> None:
        self._hub.leave(self)
