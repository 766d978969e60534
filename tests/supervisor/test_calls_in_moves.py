"""Messages during moves, at random: what one node sends to one name is handled in order, each call gets its reply, each
cast runs once, and nothing vanishes, however moves, sends and the registry's news interleave.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.supervisor.town import FakeNode, Town
from tests.supervisor.workers.samples import Slow

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def town() -> AsyncIterator[Town]:
    Slow.fresh()
    made = Town()
    yield made
    await made.close()
    assert all(node.is_clean() for node in made.nodes)


class Mail:
    """What three nodes have sent to one name, and the way of that name from node to node."""

    def __init__(self, nodes: list[FakeNode], chance: random.Random) -> None:
        self.nodes, self.chance = nodes, chance
        self.numbers = dict.fromkeys((node.origin for node in nodes), 0)
        self.calls: list[tuple[list[object], asyncio.Task[object]]] = []

    async def send(self) -> None:
        """One node sends a message, as a cast or a call."""
        node = self.chance.choice(self.nodes)
        self.numbers[node.origin] += 1
        message = [node.origin, self.numbers[node.origin]]
        if self.chance.random() < 0.6:
            node.cast("x", message)
        else:
            self.calls += [(message, task) for task in node.calls("x", message)]
            await asyncio.sleep(0)  # it is sent in the first turn of its task

    async def some(self, town: Town) -> None:
        """A few messages, and a few turns of the loop, in any order."""
        for _ in range(self.chance.randint(0, 8)):
            await self.send()
            if self.chance.random() < 0.4:
                await town.turns(self.chance.randint(1, 6))


@pytest.mark.parametrize("seed", range(25))
async def test_order_holds_and_nothing_vanishes(town: Town, seed: int) -> None:
    chance = random.Random(seed)
    nodes = [await town.node(name) for name in "abc"]
    mail = Mail(nodes, chance)
    here = chance.choice(nodes)
    pid = await here.start("x", "Mailbox", state=[])
    town.registry.put("x", pid)
    for _ in range(chance.randint(1, 6)):
        await mail.some(town)
        there = chance.choice([node for node in nodes if node is not here])
        serial = int(pid.rpartition(".")[2])
        here.workers.freeze_gate(serial)
        await mail.some(town)
        state = await taken(here, serial)
        await mail.some(town)
        heir = await there.start("x", "Mailbox", state=state, is_open=False)
        await mail.some(town)
        there.workers.open_gate(there.serial)
        here.workers.bounce_gate(serial, heir)
        await mail.some(town)
        town.registry.put("x", heir)
        await mail.some(town)
        here.workers.stop(serial, "moved")
        here, pid = there, heir
    await mail.some(town)
    replies = [(message, await task) for message, task in mail.calls]
    assert all(reply == message for message, reply in replies)
    for node in nodes:
        await node.call("x", "all")  # behind everything that this node has sent
    handled = await nodes[0].call("x", "all")
    for origin, last in mail.numbers.items():
        found = [number for sender, number in handled if sender == origin]
        assert (origin, found) == (origin, list(range(1, last + 1)))


async def taken(node: FakeNode, serial: int) -> list[object]:
    """The state of a frozen process."""
    executor = node.workers.running[serial]
    worker = executor.worker  # type: ignore[attr-defined]
    return list(worker.letters)
