"""The call lane: every call ends, order holds through moves, a cast runs at most once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from registry.core.names import FAILED
from supervisor.errors import BadValue, CallTimeout, Deadlock, LinkLost, NotHandled, NotRegistered, WorkerCrashed
from tests.supervisor.town import SWORM, FakeNode, FakeRegistry, Town
from tests.supervisor.workers.samples import Slow
from tests.turns import until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def town() -> AsyncIterator[Town]:
    Slow.fresh()
    town = Town()
    yield town
    await town.close()
    assert all(node.is_clean() for node in town.nodes)


async def two(town: Town) -> tuple[FakeNode, FakeNode]:
    return await town.node("a"), await town.node("b")


# --------------------------------------------------------------------------------------------------------------- local


async def test_a_local_call_is_answered_without_a_turn_of_the_loop(town: Town) -> None:
    node = await town.node("a")
    town.registry.put("x", await node.start("x"))
    call = node.call("x", {"a": 1})
    with pytest.raises(StopIteration) as answered:
        call.send(None)
    assert answered.value.value == {"a": 1}


async def test_caller_and_worker_share_nothing(town: Town) -> None:
    node = await town.node("a")
    town.registry.put("x", await node.start("x"))
    sent = {"list": [1]}
    node.cast("x", sent)
    sent["list"].append(2)
    assert await node.call("x", "casts") == [{"list": [1]}]


async def test_an_unknown_name_is_told_at_once(town: Town) -> None:
    node = await town.node("a")
    with pytest.raises(NotRegistered, match="'x'"):
        await node.call("x", 1)
    with pytest.raises(NotRegistered):
        node.cast("x", 1)
    with pytest.raises(NotRegistered):
        await node.router.call("no-such-sworm", "x", 1, 1.0)


@pytest.mark.parametrize("verb", ["call", "cast"])
async def test_a_name_whose_node_departed_is_waited_for(town: Town, verb: str) -> None:
    node = await town.node("a")
    town.registry.put("x", "gone.1.7")
    town.registry.orphan("x")
    if verb == "call":
        waiting = asyncio.ensure_future(node.call("x", 1))
        await asyncio.wait({waiting}, timeout=0)
        town.registry.put("x", await node.start("x"))
        assert await waiting == 1
    else:
        node.cast("x", 1)
        town.registry.put("x", await node.start("x"))
        assert await node.call("x", "casts") == [1]


async def test_a_name_that_nobody_brings_back_is_not_there_at_the_deadline(town: Town) -> None:
    node = await town.node("a")
    town.registry.put("x", "gone.1.7")
    town.registry.orphan("x")
    with pytest.raises(NotRegistered):
        await node.call("x", 1, 0.05)


async def test_a_failed_process_is_told_at_once(town: Town) -> None:
    node = await town.node("a")
    town.registry.put("x", "a.1.7", FAILED)
    with pytest.raises(WorkerCrashed, match="not restarted any more"):
        await node.call("x", 1)


async def test_a_worker_that_calls_itself_gets_an_error(town: Town) -> None:
    node = await town.node("a")
    town.registry.put("x", await node.start("x", "Slow"))
    await town.turns()
    problems: list[BaseException] = []

    async def call_itself() -> None:
        try:
            await node.call("x", "inner")
        except Deadlock as error:
            problems.append(error)

    Slow.hook = call_itself
    Slow.gate("outer").set()
    assert await node.call("x", "outer") == "outer"
    assert len(problems) == 1


@pytest.mark.parametrize("where", ["a", "b"])
async def test_a_call_that_takes_too_long_leaves_nothing_behind(town: Town, where: str) -> None:
    nodes = dict(zip("ab", await two(town), strict=True))
    town.registry.put("x", await nodes[where].start("x", "Slow"))
    caller = nodes["a"]
    slow, queued = caller.calls("x", "one", "two", timeout=0.02)
    with pytest.raises(CallTimeout):
        await slow
    with pytest.raises(CallTimeout):
        await queued
    assert caller.is_clean()
    await asyncio.wait_for(asyncio.gather(*[until_expired(node) for node in nodes.values()]), 20)
    Slow.gate("one").set()
    Slow.gate("three").set()
    assert await caller.call("x", "three") == "three"
    assert "begin two" not in Slow.log


async def until_expired(node: FakeNode) -> None:
    await until(lambda: not any(node.router.deadlines.slots.values()))


@pytest.mark.parametrize("where", ["a", "b"])
async def test_a_cancelled_caller_leaves_nothing_behind(town: Town, where: str) -> None:
    nodes = dict(zip("ab", await two(town), strict=True))
    town.registry.put("x", await nodes[where].start("x", "Slow"))
    caller = nodes["a"]
    (task,) = caller.calls("x", "one", timeout=0.2)
    await town.turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caller.is_clean()
    Slow.gate("one").set()
    await asyncio.wait_for(until_expired(nodes[where]), 20)


# -------------------------------------------------------------------------------------------------------------- remote


async def test_a_call_reaches_another_node(town: Town) -> None:
    near, far = await two(town)
    town.registry.put("x", await far.start("x"))
    assert await near.call("x", {"deep": [b"1", None]}) == {"deep": [b"1", None]}
    near.cast("x", "a")
    near.cast("x", "b")
    assert await near.call("x", "casts") == ["a", "b"]


@pytest.mark.parametrize("target", ["Echo", "room"])
async def test_many_calls_at_once_keep_each_their_reply(town: Town, target: str) -> None:
    near, far = await two(town)
    args = ["cats"] if target == "room" else []
    town.registry.put("x", await far.start("x", target, *args))
    if target == "room":
        replies = await asyncio.gather(*near.calls("x", *["all"] * 50))
        assert replies == [["cats"]] * 50
    else:
        assert await asyncio.gather(*near.calls("x", *range(200))) == list(range(200))


async def test_what_went_wrong_there_is_told_here(town: Town) -> None:
    near, far = await two(town)
    town.registry.put("x", await far.start("x"))
    with pytest.raises(WorkerCrashed, match="not me"):
        await near.call("x", {"refuse": "not me"})
    with pytest.raises(WorkerCrashed, match="not a MessagePack value"):
        await near.call("x", "object")
    with pytest.raises(BadValue):
        await near.call("x", object())
    with pytest.raises(BadValue, match="at most 8388608 travel"):
        await near.call("x", b"x" * 9_000_000)
    with pytest.raises(WorkerCrashed, match="ValueError: no seat"):
        await near.call("x", {"raise": "no seat"})


async def test_refusals_stay_refusals_at_home(town: Town) -> None:
    near = await town.node("a")
    town.registry.put("x", await near.start("x"))
    with pytest.raises(NotHandled):
        await near.call("x", {"refuse": "not me"})


async def test_a_broken_link_ends_the_calls_that_wait(town: Town) -> None:
    near, far = await two(town)
    town.registry.put("x", await far.start("x", "Slow"))
    (call,) = near.calls("x", "one")
    await town.turns()
    assert Slow.log == ["begin one"]
    town.hub.sever("a.1", "b.1")
    with pytest.raises(LinkLost, match="may have been handled"):
        await call
    Slow.gate("one").set()
    Slow.gate("two").set()
    assert await near.call("x", "two") == "two"


async def test_a_node_that_is_gone_is_looked_for_until_the_deadline(town: Town) -> None:
    near = await town.node("a")
    town.registry.put("x", "b.1.1")
    with pytest.raises((NotRegistered, CallTimeout)):
        await near.call("x", 1, 0.05)
    town.registry.put("y", "b.1.2")
    (call,) = near.calls("y", 1)
    await town.turns()
    far = await town.node("b")
    far.serial = 1
    await far.start("y")
    assert await call == 1


async def test_a_stale_pid_is_looked_up_again(town: Town) -> None:
    near, far = await two(town)
    town.registry.put("x", "b.1.99")
    (call,) = near.calls("x", "hello")
    await town.turns()
    town.registry.put("x", await far.start("x"))
    assert await call == "hello"


async def test_a_stale_name_that_is_not_found_again_is_not_registered(town: Town) -> None:
    near, _ = await two(town)
    town.registry.put("x", "b.1.99")
    (call,) = near.calls("x", "hello", timeout=0.05)
    await town.turns()
    town.registry.drop("x")
    with pytest.raises(NotRegistered):
        await call


async def test_a_call_outlives_a_crash_that_it_did_not_cause(town: Town) -> None:
    near, far = await two(town)
    town.registry.put("x", await far.start("x", "Slow"))
    poison, innocent = near.calls("x", "raise", "fine")
    await town.turns()
    Slow.gate("raise").set()
    with pytest.raises(WorkerCrashed):
        await poison
    town.registry.put("x", await far.start("x", "Slow"))
    Slow.gate("fine").set()
    assert await innocent == "fine"


async def test_a_call_that_waits_for_a_process_which_then_fails_ends(town: Town) -> None:
    near, _ = await two(town)
    town.registry.put("x", "b.1.99")
    (call,) = near.calls("x", 1)
    await town.turns()
    town.registry.put("x", "b.1.99", FAILED)
    with pytest.raises(WorkerCrashed, match="not restarted"):
        await call


# --------------------------------------------------------------------------------------------------------------- moves


async def move(source: FakeNode, target: FakeNode, pid: str, name: str, casts: list[object]) -> str:
    """The last steps of a move, as two nodes' cores order them."""
    heir = await target.start(name, state=casts, is_open=False)
    target.workers.open_gate(target.serial)
    source.workers.bounce_gate(int(pid.rpartition(".")[2]), heir)
    return heir


@pytest.mark.parametrize("caller", ["a", "b", "c"])
async def test_nothing_is_lost_or_overtaken_in_a_move(town: Town, caller: str) -> None:
    nodes = {name: await town.node(name) for name in "abc"}
    here = nodes[caller]
    pid = await nodes["a"].start("x")
    town.registry.put("x", pid)
    for number in range(5):
        here.cast("x", number)
    assert await here.call("x", "casts") == [0, 1, 2, 3, 4]
    nodes["a"].workers.freeze_gate(1)
    for number in range(5, 10):
        here.cast("x", number)
    (call,) = here.calls("x", "casts")
    await town.turns()
    heir = await move(nodes["a"], nodes["b"], pid, "x", [0, 1, 2, 3, 4])
    for number in range(10, 15):
        here.cast("x", number)
    town.registry.put("x", heir)
    for number in range(15, 20):
        here.cast("x", number)
    seen = await here.call("x", "casts")
    assert seen == list(range(20))
    assert await call == list(range(10))
    nodes["a"].workers.stop(1, "moved")
    assert await here.call("x", "casts") == list(range(20))


@pytest.mark.parametrize("caller", ["a", "c"])
async def test_later_messages_wait_when_the_registry_knows_of_the_move_first(town: Town, caller: str) -> None:
    nodes = {name: await town.node(name) for name in "abc"}
    here = nodes[caller]
    pid = await nodes["a"].start("x")
    town.registry.put("x", pid)
    assert await here.call("x", 1) == 1
    nodes["a"].workers.freeze_gate(1)
    here.cast("x", 0)
    await town.turns()
    heir = await nodes["b"].start("x", state=[])
    town.registry.put("x", heir)
    here.cast("x", 1)
    (call,) = here.calls("x", "casts")
    await town.turns()
    assert not call.done()
    nodes["a"].workers.bounce_gate(1, heir)
    assert await call == [0, 1]


async def test_a_node_that_does_not_know_yet_is_told_where_to_try(town: Town) -> None:
    nodes = {name: await town.node(name) for name in "ab"}
    behind = FakeRegistry()
    caller = await town.node("c", behind)
    pid = await nodes["a"].start("x")
    behind.put("x", pid)
    nodes["a"].workers.freeze_gate(1)
    (call,) = caller.calls("x", "hello")
    await town.turns()
    await move(nodes["a"], nodes["b"], pid, "x", [])
    assert await call == "hello"


async def test_a_mark_does_not_wait_for_a_process_that_was_thawed(town: Town) -> None:
    nodes = {name: await town.node(name) for name in "abc"}
    pid = await nodes["a"].start("x")
    town.registry.put("x", pid)
    here = nodes["c"]
    assert await here.call("x", 1) == 1
    nodes["a"].workers.freeze_gate(1)
    here.cast("x", 0)
    await town.turns()
    town.registry.put("x", await nodes["b"].start("x", state=[]))
    (call,) = here.calls("x", "casts")
    await town.turns()
    nodes["a"].workers.open_gate(1)
    assert await call == []


async def test_a_hold_ends_when_the_old_place_is_gone(town: Town) -> None:
    nodes = {name: await town.node(name) for name in "abc"}
    town.registry.put("x", await nodes["a"].start("x"))
    here = nodes["c"]
    assert await here.call("x", 1) == 1
    nodes["a"].workers.freeze_gate(1)
    here.cast("x", 0)
    await town.turns()
    town.registry.put("x", await nodes["b"].start("x", state=[]))
    (call,) = here.calls("x", "casts")
    await town.turns()
    town.hub.sever("a.1", "c.1")
    assert await call == []


async def test_a_cast_that_never_finds_its_name_is_dropped_and_told(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    near, _ = await two(town)
    near.router.cast_patience = 0.02
    town.registry.put("x", "b.1.99")
    near.cast("x", 1)
    await town.turns()
    town.registry.drop("x")
    await asyncio.wait_for(until_expired(near), 20)
    await until(near.is_clean)  # the hold ends at its next look
    assert f"{SWORM}/x" in caplog.text


async def test_a_leaving_node_ends_its_calls(town: Town) -> None:
    near, far = await two(town)
    town.registry.put("x", await far.start("x", "Slow"))
    (call,) = near.calls("x", "one")
    await town.turns()
    near.router.close()
    with pytest.raises(LinkLost, match="leaving"):
        await call
    Slow.gate("one").set()
    await asyncio.wait_for(until_expired(far), 20)
