"""The runner as the owner of a real mesh (the twin in memory), with a core that does what the test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from registry.core.events import Connect, Disconnect, Joined, LinkDown, LinkRefused, LinkUp, Received, Send
from registry.core.messages import KINDS, Ack
from registry.mesh.codec import Codec
from registry.mesh.memory import Hub, MemoryMesh
from registry.mesh.protocol import Hello, Identity, Options, Refusal
from registry.runner import Hooks, Runner
from tests.turns import until

KEY = b"k" * 32


class Core:
    """Remembers events; does once whatever it was told to do."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.wishes: list[Any] = []

    def step(self, event: Any, now: float) -> list[Any]:
        self.events.append(event)
        wishes, self.wishes = self.wishes, []
        return wishes

    def saw(self, *events: Any) -> bool:
        return all(event in self.events for event in events)


class Peer:
    """A core, its runner and its mesh."""

    def __init__(self, hub: Hub, origin: str, options: Options | None = None) -> None:
        self.core = Core()
        self.refused: list[int] = []
        self.runner = Runner(self.core, time.time, Hooks(refused=self.refused.append))
        self.mesh = MemoryMesh(hub, Identity(origin), KEY, Codec(KINDS), self.runner, options)

    async def start(self, port: int, *join: str) -> str:
        url = await self.mesh.listen("h", port)
        self.runner.start(self.mesh, join)
        return url

    def do(self, *effects: Any) -> None:
        self.core.wishes = list(effects)
        self.runner.enter("do")

    async def stop(self) -> None:
        self.runner.stop()
        await self.mesh.close()


def play(scenario: Callable[[Hub], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(Hub()), 30))


def test_a_join_links_both_sides_and_messages_arrive_in_order() -> None:
    async def scenario(hub: Hub) -> None:
        a, b = Peer(hub, "a.1"), Peer(hub, "b.1")
        url = await a.start(1)
        await b.start(2, url)
        await until(lambda: a.core.saw(LinkUp("b.1"), Joined()) and b.core.saw(LinkUp("a.1"), Joined()))
        assert b.core.events.index(LinkUp("a.1")) < b.core.events.index(Joined())
        a.do(*(Send("b.1", Ack({"s": {"a.1": number}})) for number in range(10)))
        await until(lambda: len([event for event in b.core.events if isinstance(event, Received)]) == 10)
        received = [event.message.versions["s"]["a.1"] for event in b.core.events if isinstance(event, Received)]
        assert received == list(range(10))
        a.do(Disconnect("b.1", "enough"))
        await until(lambda: isinstance(a.core.events[-1], LinkDown) and isinstance(b.core.events[-1], LinkDown))
        await asyncio.gather(a.stop(), b.stop())

    play(scenario)


def test_a_connect_that_finds_nobody_is_refused() -> None:
    async def scenario(hub: Hub) -> None:
        a = Peer(hub, "a.1")
        await a.start(1)
        a.do(Connect("b.1", "memory://h:9"))
        await until(lambda: isinstance(a.core.events[-1], LinkRefused))
        assert (a.core.events[-1].origin, a.core.events[-1].refused) == ("b.1", True)
        await a.stop()

    play(scenario)


def test_a_node_that_starts_first_finds_the_one_that_comes_later() -> None:
    async def scenario(hub: Hub) -> None:
        b = Peer(hub, "b.1")
        await b.start(2, "memory://h:1")
        await until(lambda: b.core.saw(Joined()))
        a = Peer(hub, "a.1")
        await a.start(1)
        await until(lambda: b.core.saw(LinkUp("a.1")))
        assert b.core.events.count(Joined()) == 1
        await asyncio.gather(a.stop(), b.stop())

    play(scenario)


def test_a_node_that_lost_its_last_peer_dials_again() -> None:
    async def scenario(hub: Hub) -> None:
        a, b = Peer(hub, "a.1"), Peer(hub, "b.1")
        url = await a.start(1)
        await b.start(2, url)
        await until(lambda: b.core.saw(LinkUp("a.1")))
        hub.sever("a.1", "b.1")
        await until(lambda: b.core.events.count(LinkUp("a.1")) == 2)
        await asyncio.gather(a.stop(), b.stop())

    play(scenario)


def test_the_own_url_among_those_to_join_does_no_harm() -> None:
    async def scenario(hub: Hub) -> None:
        a = Peer(hub, "a.1")
        await a.start(1, "memory://h:1")
        await until(lambda: a.core.saw(Joined()))
        assert not any(isinstance(event, LinkUp) for event in a.core.events)
        await a.stop()

    play(scenario)


def test_a_used_incarnation_is_told_to_its_owner() -> None:
    def admit(hello: Hello) -> Refusal | None:
        return Refusal("it is over", 7)

    async def scenario(hub: Hub) -> None:
        a, b = Peer(hub, "a.1", Options(admit=admit)), Peer(hub, "b.1")
        url = await a.start(1)
        await b.start(2, url)
        await until(lambda: b.refused == [7])
        await asyncio.gather(a.stop(), b.stop())

    play(scenario)
