"""While a node that was away holds its calls, messages wait before the gates; then they go on in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from registry.core.quorum import Lease
from supervisor.errors import CallTimeout
from tests.supervisor.town import Town

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    await town.close()


async def test_calls_wait_and_keep_their_order(town: Town) -> None:
    here, there = await town.node("n1"), await town.node("n2")
    town.registry.put("echo", await there.start("echo"))
    assert await here.call("echo", 0) == 0
    there.workers.hold_calls(True)
    calls = [*here.calls("echo", 1, 2), *there.calls("echo", 3)]
    await asyncio.wait(calls, timeout=0.2)
    assert not any(call.done() for call in calls)
    there.workers.hold_calls(False)
    assert await asyncio.gather(*calls) == [1, 2, 3]
    assert not there.workers.held
    assert await there.call("echo", 4) == 4


async def test_a_call_that_waits_too_long_leaves_nothing_behind(town: Town) -> None:
    node = await town.node("n1")
    town.registry.put("echo", await node.start("echo"))
    node.workers.hold_calls(True)
    with pytest.raises(CallTimeout):
        await node.call("echo", 1, timeout=0.05)
    assert not any(node.workers.held.values())
    node.workers.hold_calls(False)
    assert await node.call("echo", 2) == 2


async def test_a_gate_whose_lease_has_ended_lets_nothing_through(town: Town) -> None:
    node = await town.node("n1")
    pid = await node.start("echo", is_open=False)
    town.registry.put("echo", pid)
    lease = Lease(node.workers.clock() + 3600)
    node.workers.lease_gate(1, lease)
    node.workers.open_gate(1)
    assert await node.call("echo", 1) == 1
    lease.end()
    with pytest.raises(CallTimeout):
        await node.call("echo", 2, timeout=0.1)
    node.workers.lease_gate(1, Lease(node.workers.clock() + 3600))
    assert await node.call("echo", 3) == 3
