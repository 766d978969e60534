"""The runner around a tiny core: order, threads, ticks. A recording mesh stands in where the order is the point."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from registry.core.events import (
    Connect,
    Disconnect,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    Received,
    Report,
    Send,
    Ticked,
    Wake,
)
from registry.core.messages import Ack
from registry.mesh.protocol import Hello, Identity
from registry.runner import Hooks, Runner
from tests.turns import until

A, B = "a.1", "b.1"


def ack(number: int) -> Ack:
    return Ack({"s": {A: number}})


@dataclass(frozen=True)
class Start:
    serial: int


@dataclass(frozen=True)
class Answer:
    serial: int


class ScriptedCore:
    """Answers each event with whatever the test's rule says, and remembers what came."""

    def __init__(self, rule: Callable[[Any], list[Any]] = lambda event: []) -> None:
        self.rule = rule
        self.events: list[Any] = []
        self.inside = False

    def step(self, event: Any, now: float) -> list[Any]:
        assert not self.inside, "two threads inside one step"
        self.inside = True
        self.events.append(event)
        effects = self.rule(event)
        self.inside = False
        return effects


class RecordingMesh:
    """Remembers the calls made to it, and from which thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()
        self.standing: set[str] = set()
        self.identity = Identity(A, url="ws://self:1")

    def _note(self, *call: Any) -> None:
        self.threads.add(threading.get_ident())
        self.calls.append(call)

    def connect(self, url: str, origin: str | None = None) -> None:
        self._note("connect", url, origin)

    def disconnect(self, origin: str, reason: str) -> None:
        self._note("disconnect", origin, reason)

    def send(self, origin: str, message: Any) -> bool:
        self._note("send", origin, message)
        return True

    def links(self) -> set[str]:
        return self.standing


def hello(origin: str, url: str) -> Hello:
    return Hello(1, origin, "agent", "control", 0, url)


def run(
    scenario: Callable[[Any], Any],
    core: ScriptedCore,
    hooks: Hooks | None = None,
    join: tuple[str, ...] = (),
    **more: Any,
) -> RecordingMesh:
    """Run a coroutine function with a started runner; returns the mesh."""
    mesh = RecordingMesh()
    runner = Runner(core, time.time, hooks, **more)

    async def body() -> None:
        runner.start(mesh, join)  # type: ignore[arg-type]
        await scenario((runner, mesh))
        runner.stop()

    asyncio.run(asyncio.wait_for(body(), 30))
    return mesh


async def turn() -> None:
    """Let the loop turn once."""
    await asyncio.sleep(0)


def test_callbacks_of_the_mesh_become_events_in_order() -> None:
    core = ScriptedCore()

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        runner, _ = given
        runner.link_up(B, hello(B, "ws://b:1"))
        runner.received(B, ack(1))
        runner.link_down(B, "lost")
        runner.connect_failed("ws://b:1", B, True, "unreachable", None)

    run(scenario, core)
    assert core.events == [
        Ticked(), Joined(), LinkUp(B), Received(B, ack(1)), LinkDown(B, "lost"), LinkRefused(B, True, "unreachable"),
    ]  # fmt: skip


def test_effects_reach_mesh_and_owner_in_order() -> None:
    told: list[Any] = []
    effects = [
        Send(B, ack(1)),
        Start(1),
        Connect(B, "ws://b:1"),
        Report("crashed"),
        Send(B, ack(2)),
        Disconnect(B, "over"),
    ]
    core = ScriptedCore(lambda event: effects if isinstance(event, LinkUp) else [])

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        given[0].link_up(B, hello(B, ""))

    mesh = run(scenario, core, Hooks(effect=told.append, report=told.append))
    assert mesh.calls == [
        ("send", B, ack(1)), ("connect", "ws://b:1", B), ("send", B, ack(2)), ("disconnect", B, "over"),
    ]  # fmt: skip
    assert told == [Start(1), Report("crashed")]


def test_an_effect_that_waits_for_sends_comes_after_them() -> None:
    mesh_and_owner: list[Any] = []
    core = ScriptedCore(
        lambda event: [Send(B, ack(1)), Answer(1), Send(B, ack(2)), Start(2)] if isinstance(event, LinkUp) else []
    )

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        given[1].calls = mesh_and_owner
        given[0].link_up(B, hello(B, ""))

    run(scenario, core, Hooks(effect=mesh_and_owner.append), after_sends=[Answer])
    assert mesh_and_owner == [Start(2), ("send", B, ack(1)), Answer(1), ("send", B, ack(2))]


def test_an_event_entered_from_a_hook_is_stepped_after_the_effects_in_hand() -> None:
    told: list[Any] = []
    core = ScriptedCore(lambda event: [Start(1), Start(2)] if isinstance(event, LinkUp) else [])
    runner: Runner

    def effect(value: Any) -> None:
        told.append((value, len(core.events)))
        runner.enter(Answer(value.serial))

    runner = Runner(core, time.time, Hooks(effect=effect))
    mesh = RecordingMesh()

    async def body() -> None:
        runner.start(mesh)  # type: ignore[arg-type]
        runner.link_up(B, hello(B, ""))
        runner.stop()

    asyncio.run(body())
    before = len(core.events) - 2
    assert told == [(Start(1), before), (Start(2), before)]
    assert core.events[before:] == [Answer(1), Answer(2)]


def test_two_threads_enter_one_at_a_time_and_the_mesh_is_called_on_its_loop_only() -> None:
    rounds = 2_000
    order: list[int] = []
    counter = iter(range(10 * rounds))

    def rule(event: Any) -> list[Any]:
        if not isinstance(event, Start):
            return []
        number = next(counter)
        return [Send(B, ack(number)), Start(number), Answer(number)]

    core = ScriptedCore(rule)

    def effect(value: Any) -> None:
        if isinstance(value, Start):
            order.append(value.serial)

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        runner, mesh = given
        thread = threading.Thread(target=lambda: [runner.enter(Start(0)) for _ in range(rounds)])
        thread.start()
        for _ in range(rounds):
            runner.enter(Start(0))
            await turn()
        await until(lambda: not thread.is_alive() and len(mesh.calls) == 2 * rounds)
        thread.join()

    mesh = run(scenario, core, Hooks(effect=effect), after_sends=[Answer])
    assert mesh.threads == {threading.get_ident()}
    assert [call[2] for call in mesh.calls] == [ack(number) for number in range(2 * rounds)]
    assert order == sorted(order)
    assert len(order) == 2 * rounds


def test_an_event_from_another_thread_before_the_start_is_sent_at_the_start() -> None:
    core = ScriptedCore(lambda event: [Send(B, ack(1))] if isinstance(event, Start) else [])
    runner, mesh = Runner(core, time.time), RecordingMesh()
    runner.enter(Start(1))

    async def body() -> None:
        runner.start(mesh)  # type: ignore[arg-type]
        runner.stop()

    asyncio.run(body())
    assert mesh.calls == [("send", B, ack(1))]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_earliest_wish_to_wake_is_met_and_the_next_tick_brings_the_next(elsewhere: bool) -> None:
    start = time.time()

    def rule(event: Any) -> list[Any]:
        if isinstance(event, Start):
            return [Wake(start + 3600), Wake(start), Wake(start + 1800)]
        return []

    core = ScriptedCore(rule)

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        runner, _ = given
        if elsewhere:
            await asyncio.to_thread(runner.enter, Start(1))
        else:
            runner.enter(Start(1))
        await until(lambda: core.events.count(Ticked()) == 2)
        await turn()

    run(scenario, core)
    assert core.events.count(Ticked()) == 2  # the first one is that of the start; the later wishes were one with it


def test_nothing_ticks_after_the_end() -> None:
    core = ScriptedCore(lambda event: [Wake(0.0)])

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        given[0].stop()
        ticks = core.events.count(Ticked())
        given[0].enter(Start(1))
        for _ in range(5):
            await turn()
        assert core.events.count(Ticked()) == ticks

    run(scenario, core)


def test_a_refused_incarnation_is_told_to_the_owner() -> None:
    told: list[int] = []

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        given[0].connect_failed("ws://b:1", None, False, "ended: 7 is known", 7)

    run(scenario, ScriptedCore(), Hooks(refused=told.append))
    assert told == [7]


def test_the_owner_hears_once_for_each_entry_that_something_was_stepped() -> None:
    told: list[int] = []
    core = ScriptedCore()

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        told.clear()
        given[0].received(B, ack(1))
        given[0].received(B, ack(2))

    run(scenario, core, Hooks(stepped=lambda: told.append(1)))
    assert told == [1, 1]


def test_what_the_mesh_turned_away_is_reported() -> None:
    told: list[Report] = []

    async def scenario(given: tuple[Runner, RecordingMesh]) -> None:
        given[0].peer_refused("127.0.0.1:9", "n9.3", "cluster_key: no")
        given[0].message_refused(B, "bad_frame: 3")

    run(scenario, ScriptedCore(), Hooks(report=told.append))
    assert told == [
        Report("refused_peer", node="n9", detail="127.0.0.1:9: cluster_key: no"),
        Report("refused_message", node="b", detail="bad_frame: 3"),
    ]
