"""What the mesh's tests share: an owner that notes everything, and a world of meshes on sockets or in memory.

Law: nobody sleeps here. Waiting is for a callback that makes a condition true, with a generous limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from registry.core.ids import Origin
from registry.core.messages import KINDS
from registry.mesh.codec import Codec
from registry.mesh.memory import Hub, MemoryMesh
from registry.mesh.protocol import Hello, Identity, Message, Options
from registry.mesh.switchboard import Switchboard
from registry.mesh.websocket import WebSocketMesh

KEY = bytes(range(32))
LIMIT = 20.0


class Owner:
    """A handler that notes what it is told, in order, and sees to it that no callback comes from within a method."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.hellos: dict[Origin, Hello] = {}
        self.up: set[Origin] = set()
        self.inside = False
        self.on_received: Callable[[Origin, Message], object] | None = None
        self._changed = asyncio.Event()

    def _note(self, *what: Any) -> None:
        assert not self.inside, f"{what} was told from within a method of the mesh"
        self.told.append(what)
        self._changed.set()

    def link_up(self, origin: Origin, hello: Hello) -> None:
        assert origin not in self.up
        self.up.add(origin)
        self.hellos[origin] = hello
        self._note("up", origin)

    def link_down(self, origin: Origin, reason: str) -> None:
        assert origin in self.up
        self.up.discard(origin)
        self._note("down", origin, reason)

    def connect_failed(self, url: str, origin: Origin | None, refused: bool, reason: str, last: int | None) -> None:
        self._note("failed", url, origin, refused, reason, last)

    def received(self, origin: Origin, message: Message) -> None:
        assert origin in self.up
        self._note("got", origin, message)
        if self.on_received is not None:
            self.on_received(origin, message)

    def message_refused(self, origin: Origin, reason: str) -> None:
        self._note("bad", origin, reason)

    def peer_refused(self, address: str, origin: Origin | None, reason: str) -> None:
        self._note("refused", origin, reason)

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [what[1:] for what in self.told if what[0] == kind]

    def messages(self) -> list[Message]:
        return [what[2] for what in self.told if what[0] == "got"]

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"never came to be; told so far: {self.told}") from None

    async def until_told(self, kind: str, count: int = 1) -> tuple[Any, ...]:
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


class World:
    """Meshes that can reach each other, of one implementation."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.hub = Hub()
        self.meshes: dict[Origin, Switchboard] = {}
        self.paused: list[asyncio.Transport] = []

    def mesh(self, origin: Origin, key: bytes = KEY, options: Options | None = None, **own: Any) -> tuple[Any, Owner]:
        owner, codec, identity = Owner(), Codec(KINDS), Identity(origin, **own)
        mesh: Switchboard
        if self.kind == "memory":
            mesh = MemoryMesh(self.hub, identity, key, codec, owner, options)
        else:
            mesh = WebSocketMesh(identity, key, codec, owner, options)
        self.meshes[origin] = mesh
        return mesh, owner

    async def pair(self, **options: Any) -> tuple[Any, Owner, Any, Owner]:
        """Two linked meshes, n1 and n2; n2 dialled."""
        one, first = self.mesh("n1.1", options=Options(**options))
        two, second = self.mesh("n2.1", options=Options(**options))
        await one.listen("127.0.0.1", 0)
        await two.listen("127.0.0.1", 0)
        two.connect(one.identity.url, "n1.1")
        await first.until_told("up")
        await second.until_told("up")
        return one, first, two, second

    def _transports(self, *origins: Origin) -> list[asyncio.Transport]:
        """The sockets of these nodes' links to each other; both ends are in this process."""
        wires: list[Any] = [
            link.wire for origin in origins for peer, link in self.meshes[origin]._links.items() if peer in origins
        ]
        return [wire._transport for wire in wires]

    def sever(self, one: Origin, other: Origin) -> None:
        if self.kind == "memory":
            self.hub.sever(one, other)
        else:
            for transport in self._transports(one, other):
                transport.abort()

    def hold(self, one: Origin, other: Origin) -> None:
        """Nothing that was sent is read any more."""
        if self.kind == "memory":
            self.hub.hold(one, other)
        else:
            self.paused = self._transports(one, other)
            for transport in self.paused:
                transport.pause_reading()

    async def close(self) -> None:
        for transport in self.paused:
            transport.resume_reading()
        for mesh in self.meshes.values():
            await mesh.close()
