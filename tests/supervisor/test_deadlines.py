"""Many deadlines on one timer."""

from __future__ import annotations

import asyncio

import pytest

from supervisor.deadlines import Deadlines

pytestmark = pytest.mark.asyncio


class Item:
    def __init__(self) -> None:
        self.due_slot = 0
        self.at = 0.0
        self.expired = asyncio.Event()

    def expire(self) -> None:
        self.at = asyncio.get_running_loop().time()
        self.expired.set()


async def test_what_is_due_expires_in_order_and_never_early() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    begun = loop.time()
    later, sooner = Item(), Item()
    deadlines.add(later, 0.1)
    deadlines.add(sooner, 0.02)
    await asyncio.wait_for(later.expired.wait(), 20)
    assert sooner.at - begun >= 0.02
    assert later.at - begun >= 0.1
    assert sooner.at < later.at


async def test_what_is_discarded_never_expires() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    gone, witness = Item(), Item()
    deadlines.add(gone, 0.01)
    deadlines.add(witness, 0.05)
    deadlines.discard(gone)
    deadlines.discard(gone)
    await asyncio.wait_for(witness.expired.wait(), 20)
    assert not gone.expired.is_set()
    assert deadlines.slots == {}


async def test_deadlines_of_any_length_share_few_slots() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    for number in range(10_000):
        deadlines.add(Item(), 5 + number / 1_000_000)
        deadlines.add(Item(), 3_600 + number / 1_000_000)
    assert len(deadlines.slots) < 50
    deadlines.close()
    assert deadlines.timer is None
