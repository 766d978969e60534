"""What the tests of calls share: nodes with real workers and routers, a registry that tests write, meshes in memory.

Law: nobody sleeps here. The registry is one for all nodes unless a test gives one its own view of it.
"""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

import asyncio
from typing import Any

from registry.core.ids import Origin, Pid, pid_of
from registry.core.names import RUNNING, Located, Registration, Spec
from registry.mesh.codec import Codec
from registry.mesh.memory import Hub, MemoryMesh
from registry.mesh.protocol import CALLS, Identity
from supervisor import lane
from supervisor.calls import Router
from supervisor.core.events import StartWorker, WorkerFailed, WorkerStarted
from supervisor.ways import Ways
from supervisor.workers.executor import WorkerEvent, Workers
from supervisor.workers.values import pack, pack_arguments

KEY = bytes(range(32))
SAMPLES = "tests.supervisor.workers.samples"
LIMIT = 20.0
SWORM = "chat"


class FakeReplica:
    """One sworm's registry."""

    def __init__(self) -> None:
        self.index: dict[str, Located] = {}
        self.lost: dict[str, Located] = {}  #: claims of a departed node
        self.orphaned: set[str] = set()

    def claims(self, name: str) -> list[Located]:
        return [self.lost[name]] if name in self.lost else []


class FakeRegistry:
    """What one node knows of who runs what, and of who is where."""

    def __init__(self) -> None:
        self.replicas = {SWORM: FakeReplica()}
        self.urls: dict[Origin, str] = {}

    def call_url(self, origin: Origin) -> str:
        return self.urls.get(origin, "")

    def put(self, name: str, pid: Pid, state: str = RUNNING) -> None:
        origin, _, serial = pid.rpartition(".")
        entry = Registration(int(serial), int(serial), "", state, 1, 0, 0, None)
        self.replicas[SWORM].index[name] = Located(pid, origin, entry)
        self.replicas[SWORM].orphaned.discard(name)

    def drop(self, name: str) -> None:
        del self.replicas[SWORM].index[name]

    def orphan(self, name: str) -> None:
        """The node of a name departs; nobody has brought it back yet."""
        replica = self.replicas[SWORM]
        replica.lost[name] = replica.index.pop(name)
        replica.orphaned.add(name)


class FakeNode:
    """A node without a core: workers, router, mesh, and the test as its will."""

    def __init__(self, hub: Hub, origin: Origin, registry: FakeRegistry) -> None:
        self.origin = origin
        self.registry = registry
        self.events: list[WorkerEvent] = []
        self.changed = asyncio.Event()
        self.workers = Workers(asyncio.get_running_loop(), self._emit, ["tests", "examples"])
        self.router = Router(origin, registry, self.workers)
        self.ways = Ways(self.router, registry)
        codec = Codec(lane.KINDS, lane.LANE_ENVELOPES)
        self.mesh = MemoryMesh(hub, Identity(origin, lane=CALLS), KEY, codec, self.ways)
        self.ways.attach(self.mesh)
        self.serial = 0

    def _emit(self, event: WorkerEvent) -> None:
        self.events.append(event)
        self.changed.set()

    async def start(self, name: str, target: str = "Echo", *args: Any, state: Any = None, is_open: bool = True) -> Pid:
        """Start a worker; returns its pid. It is not registered."""
        self.serial += 1
        serial, pid = self.serial, pid_of(self.origin, self.serial)
        spec = Spec(f"{SAMPLES}:{target}", pack_arguments(list(args), {}))
        stateful = state is not None
        self.workers.start(StartWorker(serial, SWORM, name, pid, serial, spec, (), pack(state), stateful))
        async with asyncio.timeout(LIMIT):
            while not [event for event in self.events if event.serial == serial]:
                self.changed.clear()
                await self.changed.wait()
        assert not [e for e in self.events if isinstance(e, WorkerFailed)], self.events
        assert WorkerStarted(serial) in self.events
        if is_open:
            self.workers.open_gate(serial)
        return pid

    async def call(self, name: str, message: Any, timeout: float = LIMIT) -> Any:
        return await self.router.call(SWORM, name, message, timeout)

    def calls(self, name: str, *messages: Any, timeout: float = LIMIT) -> list[asyncio.Task[Any]]:
        """Calls under way, begun in this order."""
        return [asyncio.create_task(self.call(name, message, timeout)) for message in messages]

    def cast(self, name: str, message: Any) -> None:
        self.router.cast(SWORM, name, message)

    def is_clean(self) -> bool:
        """Nothing of any call is left."""
        router = self.router
        return not (router.pending or router.dialling or router.holds.held or any(router.deadlines.slots.values()))


class Town:
    """Nodes that can call each other."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.registry = FakeRegistry()
        self.nodes: list[FakeNode] = []

    async def node(self, name: str, registry: FakeRegistry | None = None) -> FakeNode:
        node = FakeNode(self.hub, f"{name}.1", registry or self.registry)
        url = await node.mesh.listen("127.0.0.1", 0)
        self.nodes.append(node)
        for known in {id(each.registry): each.registry for each in self.nodes}.values():
            known.urls = {each.origin: each.mesh.identity.url for each in self.nodes}
        assert url
        return node

    async def turns(self, count: int = 30) -> None:
        """Let everything that is on its way arrive."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for node in self.nodes:
            node.router.close()
            await node.workers.stop_all("shutdown", LIMIT)
            await node.mesh.close()
