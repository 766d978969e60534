"""Shells with real meshes and workers: registering, calling, leaving, and what a blocked worker must not cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from registry.core.directory import LEFT
from supervisor.agent import Agent, Wish
from supervisor.config import AgentConfig, first_incarnation
from supervisor.shell import Superseded
from tests.supervisor import jobs
from tests.supervisor.shells import KEY, Running, cluster, start, together
from tests.turns import until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def three() -> AsyncIterator[list[Running]]:
    async with cluster(3) as running:
        yield running


@pytest_asyncio.fixture
async def one() -> AsyncIterator[Running]:
    async with cluster(1) as running:
        yield running[0]


def where(name: str, nodes: list[Running]) -> set[Any]:
    """Where the nodes say that a name is, as pids; None: unknown."""
    return {found.pid if (found := node.shell.node.lookup("rooms", name)) else None for node in nodes}


async def test_a_name_is_found_and_called_from_every_node(three: list[Running]) -> None:
    answer = await three[0].register("lobby", args=[5])
    pid = answer["result"]["pid"]
    assert answer["ok"]
    await until(lambda: where("lobby", three) == {pid})
    for number, node in enumerate(three):
        assert (await node.call("lobby", {"op": "increment"}))["result"] == 6 + number


async def test_a_name_has_one_process_whoever_asks_at_once(three: list[Running]) -> None:
    asking = [three[n % 3].register("one", args=[n], claim=f"claim {n}") for n in range(50)]
    answers = await asyncio.gather(*asking)
    assert [answer["ok"] for answer in answers].count(True) == 1
    assert {answer["result"]["pid"] for answer in answers} == where("one", three)
    assert {answer["problem"] for answer in answers if not answer["ok"]} == {"already_started"}


async def test_the_same_claim_at_two_nodes_is_one_wish(three: list[Running]) -> None:
    first, second = await asyncio.gather(*(node.register("one", claim="mine") for node in three[:2]))
    assert first["ok"]
    assert second["ok"]
    assert first["result"]["pid"] == second["result"]["pid"]


async def test_a_batch_is_answered_once_in_the_order_of_its_items(three: list[Running]) -> None:
    items = [{"name": f"r{n}", "target": "examples.counters:Counter", "args": [n]} for n in range(1000)]
    items[10]["name"] = "r9"
    items[20]["target"] = "os:system"
    items[30]["name"] = "x" * 300
    items[40]["isolation"] = "thread"
    items[50]["args"] = "no list"
    answer = await three[0].ask("register_batch", items=items)
    results = answer["result"]
    problems = {n: result["problem"] for n, result in enumerate(results) if not result["ok"]}
    assert problems == {
        10: "already_started", 20: "target_not_allowed", 30: "bad_value", 40: "bad_value", 50: "bad_value"
    }  # fmt: skip
    assert len(results) == 1000
    assert len({node["node"] for result in results if (node := result["result"])}) == 3
    assert (await three[1].call("r999", {"op": "get"}))["result"] == 999


async def test_an_empty_batch_is_answered(one: Running) -> None:
    assert (await one.ask("register_batch", items=[]))["result"] == []


async def test_a_dead_node_s_names_come_back_once_each(three: list[Running]) -> None:
    items = [{"name": f"r{n}", "target": "examples.counters:Counter"} for n in range(60)]
    await three[0].ask("register_batch", items=items)
    dead, left = three[2], three[:2]
    asked = three[0].shell.node  # who asked has read its own writes; the others may be a turn behind
    epochs = {name: found.entry.epoch for name, found in asked.replicas["rooms"].index.items()}
    dead.ended = True
    await dead.shell.close()  # without a word: no drain
    await together(left)
    alive = {one.origin for one in left}

    def all_back() -> bool:
        index = left[0].shell.node.replicas["rooms"].index
        running = [found for found in index.values() if found.origin in alive and found.entry.state == "running"]
        return len(running) == 60

    await until(all_back)
    index = left[1].shell.node.replicas["rooms"].index
    await until(lambda: all(found.origin in alive for found in index.values()))
    assert sum(one.shell.node.process_count for one in left) == 60
    moved = [name for name, found in index.items() if found.entry.epoch > epochs[name]]
    assert moved
    answers = await asyncio.gather(*(left[0].call(name, {"op": "get"}) for name in index))
    assert all(answer["ok"] for answer in answers)


async def test_a_drained_node_leaves_with_every_state_elsewhere(three: list[Running]) -> None:
    items = [{"name": f"r{n}", "target": "examples.counters:Counter", "args": [n]} for n in range(60)]
    await three[0].ask("register_batch", items=items)
    leaving, left = three[0], three[1:]
    assert leaving.shell.node.process_count > 0
    leaving.shell.drain(20.0, leave=True)
    await asyncio.wait_for(leaving.shell.ended, 30)
    assert leaving.shell.left_behind == ()
    assert leaving.shell.node.process_count == 0
    leaving.ended = True
    await leaving.shell.close()
    answers = await asyncio.gather(*(left[0].call(f"r{n}", {"op": "get"}) for n in range(60)))
    assert [answer["result"] for answer in answers] == list(range(60))
    assert sum(one.shell.node.process_count for one in left) == 60


@pytest.mark.parametrize("told_to_end", [False, True])
async def test_a_drain_is_cancelled_unless_the_agent_itself_was_told_to_end(
    three: list[Running], told_to_end: bool
) -> None:
    one = three[0]
    items = [{"name": f"s{n}", "target": "tests.supervisor.jobs:NeverGives"} for n in range(12)]
    await one.ask("register_batch", items=items)
    listed = one.shell.node.process_count
    assert listed > 0
    one.shell.told_to_end = told_to_end
    await one.ask("drain", deadline_s=60)
    for _ in range(2):  # who had no answer asks again
        answer = await one.ask("cancel_drain")
    status = one.shell.node.member.record.status
    if told_to_end:
        assert (answer["problem"], status, one.shell.leaving) == ("not_cancellable", "draining", True)
    else:
        assert (answer["result"], status, one.shell.leaving) == ({"processes": listed}, "up", False)


async def test_a_node_alone_says_what_it_leaves_behind(one: Running) -> None:
    await one.register("last")
    one.shell.drain(20.0, leave=True)
    await asyncio.wait_for(one.shell.ended, 30)
    assert one.shell.left_behind == (("rooms", "last"),)


async def test_stopping_the_workers_ends_them_where_they_are(three: list[Running]) -> None:
    items = [{"name": f"r{n}", "target": "examples.counters:Counter"} for n in range(30)]
    await three[0].ask("register_batch", items=items)
    listed = three[0].shell.node.process_count
    await three[0].shell.stop_workers("shutdown")
    assert three[0].shell.side.workers.running == {}
    assert three[0].shell.node.process_count == listed  # nothing was told to the others, so nothing moves
    assert where("r0", three[1:]) == where("r0", three[:1])


async def test_a_higher_incarnation_of_the_name_takes_over(three: list[Running]) -> None:
    old = three[2]
    url = three[0].shell.mesh.identity.url
    new = await start("n3", (url,), incarnation=old.shell.incarnation + 5)
    try:
        await together([*three[:2], new])
        with pytest.raises(Superseded):
            await asyncio.wait_for(old.shell.ended, 30)
    finally:
        await new.shell.close()


async def test_a_node_that_leaves_may_hear_that_it_is_over_before_it_is_done(three: list[Running]) -> None:
    leaving = three[2].shell
    with leaving.runner.lock:
        leaving.node.member.set_status(LEFT)
    leaving._refused(leaving.incarnation)
    assert not leaving.ended.done()
    leaving._refused(leaving.incarnation + 1)
    assert isinstance(leaving.ended.exception(), Superseded)


async def test_a_used_incarnation_is_told_the_last_one(three: list[Running]) -> None:
    used = three[2].shell.incarnation
    late = await start("n3", (three[0].shell.mesh.identity.url,), incarnation=used - 1)
    try:
        with pytest.raises(Superseded) as raised:
            await asyncio.wait_for(late.shell.ended, 30)
        assert raised.value.last == used
        assert not raised.value.was_up
    finally:
        await late.shell.close()


async def test_a_blocked_worker_costs_neither_liveness_nor_the_commands_of_others(three: list[Running]) -> None:
    jobs.GO_ON.clear()
    answer = await three[0].register("blocked", "tests.supervisor.jobs:Blocking")
    host = next(node for node in three if node.origin.startswith(answer["result"]["node"] + "."))
    try:
        assert (await host.call("blocked", 1, timeout_ms=100))["problem"] == "call_timeout"
        assert (await host.call("blocked", 1, timeout_ms=100))["detail"].startswith(
            "the workers of this node are blocked"
        )
        assert (await host.ask("ping"))["ok"]
        assert (await host.ask("get", name="blocked"))["result"]["state"] == "running"
        cast = await host.ask("cast", name="blocked", message=1, deadline=time.time() + 0.2)
        assert cast["problem"] == "no_answer"
        others = [node for node in three if node is not host]
        await until(lambda: host.shell.side.blocked)
        ready = json.loads(host.pages("/readyz").body)  # type: ignore[union-attr]
        assert (ready["status"], ready["workers_blocked"], len(ready["peers"])) == ("up", True, 2)
        assert where("blocked", others) == {answer["result"]["pid"]}
    finally:
        jobs.GO_ON.set()
    assert (await host.call("blocked", 1))["result"] == "went on"
    await until(lambda: not host.shell.side.blocked)


async def test_workers_use_the_same_verbs(one: Running) -> None:
    await one.register("asking", "tests.supervisor.jobs:Asking")

    async def does(message: Any) -> Any:
        answer = await one.call("asking", message)
        assert answer["ok"], answer
        return answer["result"]

    pid = await does({"register": "made"})
    assert await does({"whereis": "made"}) == pid
    assert [name for name, _ in await does({"registered": True})] == ["asking", "made"]
    await does({"cast": "made", "message": {"op": "increment"}})
    assert await does({"call": "made", "message": {"op": "get"}}) == 8
    await does({"restart": "made"})
    assert await does({"whereis": "made"}) != pid
    await does({"unregister": "made"})
    assert await does({"whereis": "made"}) is None
    await does({"register": "other"})
    refused = await one.call("asking", {"handoff": "other", "to": None})
    assert (refused["ok"], refused["problem"]) == (False, "worker_crashed")  # there is no other node


async def test_an_agent_told_that_its_incarnation_is_used_starts_anew_with_a_higher_one(three: list[Running]) -> None:
    url = three[0].shell.mesh.identity.url
    future = first_incarnation() + 10**9  # as after a clock that was set back
    before = await start("n4", (url,), incarnation=future)
    await together([*three, before])
    await before.shell.close()
    agent = Agent(AgentConfig("n4", KEY, join=(url,), preset="local"))
    running = asyncio.create_task(agent.main())

    def is_there() -> bool:
        found = [member for member in three[0].shell.node.members() if member.node == "n4" and member.state == "alive"]
        return [member.incarnation for member in found if member.record.status == "up"] == [future + 1]

    await until(is_there)
    agent.tell(Wish.SHUTDOWN)
    assert await asyncio.wait_for(running, 30) == 0


async def test_an_agent_whose_name_was_taken_over_ends(three: list[Running]) -> None:
    url = three[0].shell.mesh.identity.url
    agent = Agent(AgentConfig("n4", KEY, join=(url,), preset="local"))
    running = asyncio.create_task(agent.main())
    await until(lambda: any(m.node == "n4" and m.record.status == "up" for m in three[0].shell.node.members()))
    thief = await start("n4", (url,))
    try:
        assert await asyncio.wait_for(running, 30) == 1
    finally:
        await thief.shell.close()
