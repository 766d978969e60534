"""The faults that the memory twin brings on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from registry.core.messages import Want
from registry.mesh.protocol import Options
from tests.registry.mesh.owners import World

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    made = World("memory")
    yield made
    await made.close()


def want(number: int) -> Want:
    return Want("rooms", "n1.1", number)


async def test_what_is_held_arrives_in_order_once_released(world: World) -> None:
    one, first, two, second = await world.pair()
    three, third = world.mesh("n3.1")
    three.connect(one.identity.url, "n1.1")
    await third.until_told("up")
    world.hub.hold("n2.1", "n1.1")
    for number in range(5):
        one.send("n2.1", want(number))
        two.send("n1.1", want(number))
        one.send("n3.1", want(number))
        one._flush()
    await third.until(lambda: len(third.messages()) == 5)
    assert first.messages() == second.messages() == []
    world.hub.release("n1.1", "n2.1")
    await first.until(lambda: len(first.messages()) == 5)
    await second.until(lambda: len(second.messages()) == 5)
    assert first.messages() == second.messages() == [want(number) for number in range(5)]


async def test_a_dial_across_a_partition_gets_no_answer_in_time(world: World) -> None:
    one, _ = world.mesh("n1.1")
    two, second = world.mesh("n2.1", options=Options(handshake_timeout=0.05))
    url = await one.listen("127.0.0.1", 0)
    world.hub.hold("n1.1", "n2.1")
    two.connect(url, "n1.1")
    failed = await second.until_told("failed")
    assert failed[:3] == (url, "n1.1", False)
    assert failed[3].startswith("timeout: ")


async def test_a_severed_link_loses_what_was_under_way(world: World) -> None:
    one, first, _, second = await world.pair()
    world.hub.hold("n1.1", "n2.1")
    one.send("n2.1", want(1))
    one._flush()
    world.hub.sever("n1.1", "n2.1")
    world.hub.release("n1.1", "n2.1")
    await first.until_told("down")
    await second.until_told("down")
    assert second.messages() == []


async def test_a_loss_that_one_side_has_noticed_makes_room_for_its_new_link(world: World) -> None:
    for loser, keeper in (("n1.1", "n2.1"), ("n2.1", "n1.1")):
        world.meshes.clear()
        await world.pair()
        world.hub.lose(loser, keeper)
        lost, kept = world.meshes[loser], world.meshes[keeper]
        lost_owner, kept_owner = lost._handler, kept._handler
        await lost_owner.until_told("down")  # type: ignore[attr-defined]
        assert kept.links() == {loser}
        lost.connect(kept.identity.url, keeper)
        await lost_owner.until_told("up", 2)  # type: ignore[attr-defined]
        await kept_owner.until_told("up", 2)  # type: ignore[attr-defined]
        assert kept_owner.of("down")[0][1].startswith("replaced: ")  # type: ignore[attr-defined]
        assert lost_owner.of("failed") == []  # type: ignore[attr-defined]


async def test_a_crashed_node_is_gone_without_a_word_and_hears_nothing(world: World) -> None:
    one, first, _, second = await world.pair()
    url = world.meshes["n2.1"].identity.url
    world.hub.crash("n2.1")
    assert (await first.until_told("down"))[1].startswith("lost: ")
    one.connect(url, "n2.1")
    assert (await first.until_told("failed"))[2] is True
    assert second.of("down") == []


async def test_the_same_story_is_told_the_same_way_each_time(world: World) -> None:
    stories = []

    async def story() -> None:
        other = World("memory")
        one, first, two, second = await other.pair()
        second.on_received = two.send
        for number in range(20):
            one.send("n2.1", want(number))
        await first.until(lambda: len(first.messages()) == 20)
        other.hub.sever("n1.1", "n2.1")
        await first.until_told("down")
        await second.until_told("down")
        stories.append((first.told, second.told))
        await other.close()

    await story()
    await story()
    assert stories[0] == stories[1]
