"""A whole observer among members on a memory mesh, with real tables and a real broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connections

from registry.bell import DEFINITIONS
from registry.core.events import Ticked
from registry.core.ids import incarnation_of
from registry.core.member import Member, MemberConfig
from registry.core.membership import PRESETS
from registry.core.messages import DIRECTORY, KINDS
from registry.core.names import Registration
from registry.mesh.codec import Codec
from registry.mesh.memory import Hub, MemoryMesh
from registry.mesh.protocol import Handler, Identity, Mesh, Options, Refusal
from registry.models import Node, ObserverTerm, Process, Sworm
from registry.observer import Observer, ObserverConfig
from registry.runner import Runner
from registry.stream import GROUP
from tests.registry.rows import entry

pytestmark = pytest.mark.django_db(transaction=True)

KEY = b"k" * 32
LIMIT = 40


class Agent:
    """A member that runs nothing but says that it does."""

    def __init__(self, hub: Hub, origin: str) -> None:
        self.hub, self.origin = hub, origin
        self.runner = Runner(None, time.time)  # type: ignore[arg-type]
        self.mesh = MemoryMesh(hub, Identity(origin), KEY, Codec(KINDS), self.runner)

    async def start(self, *join: str) -> str:
        url = await self.mesh.listen("agent", 0)
        self.member = Member(self.origin, MemberConfig(PRESETS["local"], url=url), time.time())
        self.runner.core = self.member
        self.runner.start(self.mesh, join)
        return url

    def write(self, sworm: str, names: dict[str, Registration | None]) -> None:
        self.member.write(sworm, names)
        self.runner.enter(Ticked())


class Scene:
    """One agent, and whatever observers a scenario wants."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.agent = Agent(self.hub, "n1.1")
        self.url = ""
        self.running: list[tuple[Observer, asyncio.Task[bool]]] = []
        self.began: list[str] = []

    def observer(
        self, name: str = "observer", clock: Callable[[], float] = time.time
    ) -> tuple[Observer, asyncio.Task[bool]]:
        def make_mesh(identity: Identity, handler: Handler, options: Options) -> Mesh:
            return MemoryMesh(self.hub, identity, KEY, Codec(KINDS), handler, options)

        config = ObserverConfig(PRESETS["local"], settings.REDIS_URL, name, join=(self.url,))
        observer = Observer(config, make_mesh, get_channel_layer(), lambda: self.began.append(name), clock)
        self.running.append((observer, asyncio.create_task(observer.run())))
        return self.running[-1]

    async def play(self, scenario: Callable[[Scene], Awaitable[None]]) -> None:
        self.url = await self.agent.start()
        try:
            async with asyncio.timeout(LIMIT):
                await scenario(self)
        finally:
            for observer, task in self.running:
                observer.stop()
                await task
            self.agent.runner.stop()
            await self.agent.mesh.close()
            await get_channel_layer().flush()
            await sync_to_async(connections.close_all)()


def play(scenario: Callable[[Scene], Awaitable[None]]) -> None:
    asyncio.run(Scene().play(scenario))


async def until(condition: Callable[[], Any]) -> None:
    """Ask the tables until they say so."""
    while not await sync_to_async(condition)():
        await sync_to_async(connections.close_all)()


def names() -> set[str]:
    return set(Process.objects.values_list("name", flat=True))


def test_what_an_agent_says_becomes_rows_and_a_frame() -> None:
    async def scenario(scene: Scene) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        scene.observer()
        await until(lambda: Node.objects.filter(name="n1", status="alive").exists())
        scene.agent.write("s", {"a": entry(1)})
        rows: list[Any] = []
        while not rows:
            rows = (await layer.receive(channel))["frame"]["upserts"]["rows"]
        assert rows[0][:4] == ["s", "a", "n1.1.1", "n1"]
        await until(lambda: names() == {"a"})

    play(scenario)


def test_a_new_definition_reaches_the_agents_when_it_is_announced() -> None:
    async def scenario(scene: Scene) -> None:
        scene.observer()
        await until(lambda: ObserverTerm.objects.exclude(holder="").exists())
        await sync_to_async(Sworm.objects.create)(name="rooms", revision=2)
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL)
        await client.publish(DEFINITIONS, b"")
        await client.aclose()
        key = ("definition", "rooms")
        await until(lambda: any(key in copy.entries for copy in scene.agent.member.directory.values()))

    play(scenario)


def test_an_observer_that_is_told_to_end_leaves_the_mesh_and_its_term() -> None:
    async def scenario(scene: Scene) -> None:
        observer, task = scene.observer()
        await until(lambda: Node.objects.filter(name="n1", status="alive").exists())
        observer.stop()
        assert await task is True
        assert (await sync_to_async(ObserverTerm.objects.get)()).holder == ""
        states = {member.node: member.state for member in scene.agent.member.members()}
        assert states.get("observer", "left") == "left"  # or it is over and forgotten by now
        rows = await sync_to_async(lambda: dict(Node.objects.values_list("name", "status")))()
        assert rows == {"n1": "alive"}  # what it saw while leaving is not written

    play(scenario)


def test_a_standby_takes_over_when_the_writer_ends() -> None:
    async def scenario(scene: Scene) -> None:
        first, task = scene.observer()
        await until(lambda: scene.began)
        scene.observer("standby")
        first.stop()
        await task
        await until(lambda: scene.began == ["observer", "standby"])
        scene.agent.write("s", {"a": entry(1)})
        await until(lambda: names() == {"a"})

    play(scenario)


def test_a_writer_whose_term_is_taken_ends_and_says_so() -> None:
    async def scenario(scene: Scene) -> None:
        _, task = scene.observer()
        await until(lambda: scene.began)
        await sync_to_async(ObserverTerm.objects.update)(term=99, holder="other.1")
        assert await task is False

    play(scenario)


def test_an_incarnation_that_is_over_begins_again_as_a_newer_one() -> None:
    async def scenario(scene: Scene) -> None:
        late = int(time.time() * 1000) + 3_600_000
        with scene.agent.runner.lock:
            scene.agent.member.write(DIRECTORY, {("ended", "observer"): (late,)})
        scene.agent.mesh.options = Options(admit=_admit(scene.agent.member))
        scene.observer()
        await until(lambda: Node.objects.filter(name="n1").exists())
        holder = (await sync_to_async(ObserverTerm.objects.get)()).holder
        assert incarnation_of(holder) == late + 1

    play(scenario)


def _admit(member: Member) -> Callable[[Any], Any]:
    def admit(hello: Any) -> Refusal | None:
        last = member.admit(hello.origin)
        return None if last is None else Refusal("over", last)

    return admit
