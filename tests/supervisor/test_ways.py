"""Calls between nodes without a direct link: every call ends, order holds, a cast runs at most once; as over a link.

A cable between `a` and `c` is cut here without a word: the links of the two stand and carry nothing. `b` has both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from registry.core.messages import Want
from supervisor.errors import LinkLost, SwormError
from supervisor.lane import Call, Cast, NotPassed, Pass, Passed, Way
from supervisor.ways import STANDING
from tests.supervisor.town import FakeNode, Town
from tests.supervisor.workers.samples import Slow
from tests.turns import until

pytestmark = pytest.mark.asyncio


class Three:
    """a and c, which can be parted, and those that relay."""

    def __init__(self, town: Town, a: FakeNode, b: FakeNode, c: FakeNode) -> None:
        self.town, self.a, self.b, self.c = town, a, b, c

    def cut(self) -> None:
        self.town.hub.hold("a.1", "c.1")

    def reset(self) -> None:
        """The links break at once, and no new ones can be made."""
        self.town.hub.sever("a.1", "c.1")
        self.town.hub.hold("a.1", "c.1")

    def detour(self, relay: str = "b.1") -> None:
        """The cores of both have found a relay."""
        self.a.ways.detour("c.1", relay)
        self.c.ways.detour("a.1", relay)

    def heal(self) -> None:
        self.town.hub.release("a.1", "c.1")
        self.detour("")

    def is_direct(self) -> bool:
        """Nothing is between router and mesh any more, at either end."""
        return all(
            node.router.mesh is node.mesh and not node.ways.roads and other in node.mesh.links()
            for node, other in ((self.a, "c.1"), (self.c, "a.1"))
        )


@pytest_asyncio.fixture
async def three() -> AsyncIterator[Three]:
    Slow.fresh()
    town = Town()
    three = Three(town, await town.node("a"), await town.node("b"), await town.node("c"))
    town.registry.put("x", await three.c.start("x"))
    yield three
    Slow.gate("wait").set()
    await town.close()
    assert all(node.is_clean() for node in town.nodes)


async def casts_of(three: Three) -> list[Any]:
    found: list[Any] = await three.a.call("x", "casts")
    return found


async def test_a_call_without_a_link_goes_by_the_relay_and_its_answer_too(three: Three) -> None:
    three.reset()
    three.detour()
    assert await three.a.call("x", {"n": 1}) == {"n": 1}
    three.a.cast("x", 7)
    assert await casts_of(three) == [7]
    assert three.a.ways.roads["c.1"].relay == "b.1"
    assert not three.a.mesh.links() & {"c.1"}
    assert not three.b.ways.roads, "who relays is at neither end"


async def test_a_call_to_the_other_end_uses_the_way_that_stands(three: Three) -> None:
    three.town.registry.put("y", await three.a.start("y"))
    three.reset()
    three.detour()
    assert await three.a.call("x", 1) == 1
    assert await three.c.call("y", 2) == 2
    assert [len(node.ways.roads) for node in (three.a, three.c)] == [1, 1]


async def test_both_may_begin_at_once(three: Three) -> None:
    three.town.registry.put("y", await three.a.start("y"))
    three.reset()
    three.detour()
    assert await asyncio.gather(*three.a.calls("x", 1, 2), *three.c.calls("y", 3, 4)) == [1, 2, 3, 4]


async def test_calls_on_a_link_that_carries_nothing_end_when_the_detour_stands(three: Three) -> None:
    assert await three.a.call("x", 0) == 0
    three.cut()
    (lost,) = three.a.calls("x", 1)
    await three.town.turns()
    three.detour()
    with pytest.raises(LinkLost, match="silent, and reached by a relay"):
        await lost
    assert await three.a.call("x", 2) == 2


async def test_a_link_that_still_carries_calls_is_kept(three: Three) -> None:
    """Only the registry's link broke: it comes back soon, and no call is the worse for it."""
    assert await three.a.call("x", 0) == 0
    (slow,) = three.a.calls("x", 1)
    three.detour()
    assert await slow == 1
    for number in range(100):
        assert await three.a.call("x", number) == number
    assert three.a.mesh.links() == {"c.1"}
    three.detour("")
    assert three.is_direct()


async def test_a_dial_that_waits_behind_the_cut_goes_by_the_relay(three: Three) -> None:
    three.cut()
    (waiting,) = three.a.calls("x", 1)
    await three.town.turns()
    three.detour()
    assert await waiting == 1


async def test_after_the_cut_the_direct_link_carries_everything_again_in_order(three: Three) -> None:
    three.reset()
    three.detour()
    for number in range(50):
        three.a.cast("x", number)
    await until(lambda: "c.1" in three.a.ways.roads and three.a.ways.roads["c.1"].state is STANDING)
    three.heal()
    number = 50
    while not three.is_direct():
        three.a.cast("x", number)
        number += 1
        await asyncio.sleep(0)
    for last in range(number, number + 50):
        three.a.cast("x", last)
    assert await casts_of(three) == list(range(number + 50)), "none is lost, repeated or overtaken"


async def test_calls_under_way_while_it_heals_are_answered(three: Three) -> None:
    three.reset()
    three.detour()
    assert await three.a.call("x", 0) == 0
    three.heal()
    number = 0
    while not three.is_direct():
        calls = three.a.calls("x", *range(number, number + 5))
        assert await asyncio.gather(*calls) == list(range(number, number + 5))
        number += 5


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_breaks_a_cast_runs_once_at_most_and_in_order(three: Three, seed: int) -> None:
    """parked-once, for a cable that goes and comes: later ones are never before earlier ones."""
    number = 0
    for round_ in range(6):
        match (seed + round_) % 3:
            case 0:
                three.reset()
                three.detour()
            case 1:
                three.heal()
            case _:
                three.town.hub.sever("b.1", "a.1" if seed % 2 else "c.1")
        for _ in range(15 + 5 * seed):
            three.a.cast("x", number)
            number += 1
            await three.town.turns(1 + (number * (seed + 3)) % 4)
    three.heal()
    await until(lambda: not three.a.router.dialling and not three.a.router.holds.held)
    await three.town.turns(100)
    seen = await casts_of(three)
    assert seen == sorted(set(seen))
    assert seen[-1] == number - 1


async def test_when_the_relay_goes_calls_end_and_the_next_ones_take_another(three: Three) -> None:
    other = await three.town.node("d")
    three.town.registry.put("x", await three.c.start("x", "Slow"))
    three.reset()
    three.detour()
    (lost,) = three.a.calls("x", "wait")
    await until(lambda: "c.1" in three.a.router.linked)
    await three.town.turns()
    three.town.hub.crash("b.1")
    with pytest.raises(LinkLost):
        await lost
    three.detour(other.origin)
    three.town.registry.put("z", await three.c.start("z"))
    assert await three.a.call("z", 5) == 5
    assert three.a.ways.roads["c.1"].relay == other.origin


async def test_another_word_of_the_core_ends_the_way(three: Three) -> None:
    await three.town.node("d")
    three.reset()
    three.detour()
    assert await three.a.call("x", 1) == 1
    three.detour("d.1")
    assert await three.a.call("x", 2) == 2
    assert three.a.ways.roads["c.1"].relay == "d.1"


async def test_without_any_relay_a_call_ends_in_time(three: Three) -> None:
    three.reset()
    three.detour()
    three.town.hub.crash("c.1")
    with pytest.raises(SwormError):
        await three.a.call("x", 1, timeout=0.3)


async def test_the_far_end_is_gone_and_the_relay_says_so(three: Three) -> None:
    three.reset()
    three.detour()
    three.town.registry.put("x", await three.c.start("x", "Slow"))
    (lost,) = three.a.calls("x", "wait")
    await until(lambda: "c.1" in three.a.router.linked)
    three.town.hub.crash("c.1")
    with pytest.raises(LinkLost, match=r"b\.1 does not relay"):
        await lost


async def test_a_name_that_moves_across_the_cut_keeps_its_order(three: Three) -> None:
    three.reset()
    three.detour()
    for number in range(20):
        three.a.cast("x", number)
    assert await casts_of(three) == list(range(20))
    pid = await three.b.start("x", is_open=True)
    for number in range(20, 40):
        three.a.cast("x", number)
    three.c.workers.freeze_gate(1)
    for number in range(40, 60):
        three.a.cast("x", number)
    three.town.registry.put("x", pid)
    await three.town.turns()
    three.c.workers.bounce_gate(1, pid)
    for number in range(60, 80):
        three.a.cast("x", number)
    seen = await casts_of(three)
    assert seen == sorted(seen)
    assert seen[-1] == 79


# ------------------------------------------------------------------------------------------------------ what is refused

CALL = Call(1, "chat", "x", 1, 1_000, b"\xc0")


@pytest.mark.parametrize(
    ("sender", "message", "answer"),
    [
        ("a", Pass("b.1", CALL), "a Call to b.1 is not relayed"),
        ("a", Pass("a.1", CALL), "a Call to a.1 is not relayed"),
        ("a", Pass("c.1", Want("chat", "c.1", 0)), "a Want to c.1 is not relayed"),
        ("a", Pass("c.1", Pass("d.1", CALL)), "a Pass to c.1 is not relayed"),
        ("a", Pass("z.1", CALL), "b.1 has no direct link to z.1"),
        ("a", Pass("z.1", Way(1, opens=True)), "b.1 has no direct link to z.1"),
    ],
)
async def test_what_is_not_passed_on_is_answered(three: Three, sender: str, message: Pass, answer: str) -> None:
    told: list[Any] = []

    def tell(origin: str, message: Any) -> bool:
        told.append((origin, message))
        return True

    three.b.mesh.send = tell  # type: ignore[method-assign]
    three.b.ways.forward(f"{sender}.1", message)
    assert told == [(f"{sender}.1", NotPassed(message.to, answer))]


@pytest.mark.parametrize(
    "message",
    [
        Passed("b.1", Cast(1, "chat", "x", 1, b"\xc0")),
        Passed("c.1", Cast(1, "chat", "x", 1, b"\xc0")),
        Passed("z.1", Cast(1, "chat", "x", 1, b"\xc0")),
        Passed("a.1", Passed("b.1", Cast(1, "chat", "x", 1, b"\xc0"))),
    ],
)
async def test_what_no_third_node_can_have_sent_does_nothing(
    three: Three, message: Passed, caplog: pytest.LogCaptureFixture
) -> None:
    three.c.ways.forward("b.1", message)
    assert f"refused a {type(message.message).__name__} that b.1 relayed from {message.source!r}" in caplog.text
    assert not three.c.ways.roads
    assert await casts_of(three) == []
