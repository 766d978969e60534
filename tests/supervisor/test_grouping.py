"""Further names and groups through the public verbs, in real shells with real workers of every kind.

A process of the operating system has one backend, so workers use the verbs in clusters of one shell here; what several
nodes do is asked of them by commands, and of agents in `tests/live`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from supervisor.backend import current_backend
from tests.supervisor import jobs
from tests.supervisor.shells import Running, cluster
from tests.turns import until

pytestmark = pytest.mark.asyncio

KINDS = {
    "class as task": ("Member", "task"),
    "class as process": ("Member", "process"),
    "coroutine": ("member", "task"),
    "coroutine as process": ("member", "process"),
}


@pytest_asyncio.fixture
async def three() -> AsyncIterator[list[Running]]:
    async with cluster(3) as running:
        yield running


@pytest_asyncio.fixture
async def one() -> AsyncIterator[Running]:
    async with cluster(1) as running:
        yield running[0]
        await running[0].shell.stop_workers("shutdown")


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def worker(request: pytest.FixtureRequest) -> dict[str, str]:
    """A worker that carries out verbs of the rooms, of every kind that takes messages."""
    target, isolation = request.param
    return {"target": f"tests.supervisor.jobs:{target}", "isolation": isolation}


async def told(node: Running, name: str, *verb: Any) -> Any:
    answer = await node.call(name, list(verb))
    assert answer["ok"], answer
    return answer["result"]


def pids(node: Running) -> dict[str, str]:
    return {name: found.pid for name, found in node.shell.node.replicas["rooms"].index.items()}


async def test_a_worker_uses_every_verb_on_names_and_groups(one: Running, worker: dict[str, str]) -> None:
    pid = (await one.register("lobby", **worker))["result"]["pid"]
    attic = (await one.register("attic"))["result"]["pid"]
    assert await told(one, "lobby", "name", "foyer") is True
    assert await told(one, "lobby", "name", "foyer") is False
    assert await told(one, "foyer", "whereis", "foyer") == pid
    assert await told(one, "foyer", "join", "all") is None
    assert await told(one, "foyer", "join of", "all", attic) is None
    assert await told(one, "foyer", "members", "all") == [attic, pid]
    assert await told(one, "foyer", "multi_call", "attic only", {"op": "get"}) == {}
    assert await told(one, "foyer", "join named", "counters", "attic") is None
    assert await told(one, "foyer", "publish", "counters", {"op": "increment"}) is None
    assert await told(one, "foyer", "multi_call", "counters", {"op": "get"}) == {"attic": 1}
    assert await told(one, "foyer", "leave", "all") is None
    assert await told(one, "foyer", "members", "all") == [attic]
    assert await told(one, "lobby", "join of", "all", "n9.1.1") == "NotRegistered"
    assert await told(one, "lobby", "join of", "all", "nonsense") == "NotRegistered"
    assert await told(one, "lobby", "leave named", "all", "nobody") == "NotRegistered"
    assert await told(one, "lobby", "unregister", "foyer") is None
    assert await told(one, "lobby", "unregister", "foyer") == "NotRegistered"
    assert pids(one) == {"lobby": pid, "attic": attic}


async def test_each_member_of_a_call_answers_for_itself(three: list[Running]) -> None:
    for name, target in (("good", "examples.counters:Counter"), ("bad", "tests.supervisor.jobs:Member")):
        await three[0].register(name, target)
        assert (await three[1].ask("join", group="all", name=name))["ok"]
    await until(lambda: all(len(node.shell.node.replicas["rooms"].members("all")) == 2 for node in three))
    answer = await three[2].ask("multi_call", group="all", message={"op": "increment"}, timeout_ms=20_000)
    replies = {name: (reply, error) for name, reply, error in answer["result"]}
    assert replies["good"] == (1, None)
    assert (replies["bad"][0], replies["bad"][1][0]) == (None, "worker_crashed")


@pytest.mark.parametrize("isolation", ["task", "process"])
async def test_a_worker_joins_and_takes_a_name_in_its_own_init(one: Running, isolation: str) -> None:
    """It does not wait for the answer to its own registration, which waits for it."""
    answer = await one.register("early", "tests.supervisor.jobs:Early", args=["bird"], isolation=isolation)
    assert answer["ok"], answer
    pid = answer["result"]["pid"]
    assert pids(one) == {"early": pid, "bird": pid}
    assert one.shell.node.replicas["rooms"].members("early") == [("early", pid)]


async def test_a_plain_function_registers_itself_and_is_gone_when_it_returns(one: Running) -> None:
    assert (await one.register("plain", "tests.supervisor.jobs:plain_member", args=["alias", "group"]))["ok"]
    await until(lambda: any(report.kind in ("exited", "crashed") for report in one.reports))
    assert [report.detail for report in one.reports if report.kind == "crashed"] == []
    replica = one.shell.node.replicas["rooms"]
    assert (replica.index, replica.groups) == ({}, {})


async def test_names_and_groups_are_asked_for_from_outside(three: list[Running]) -> None:
    pid = (await three[0].register("lobby"))["result"]["pid"]
    given = await three[1].ask("give_name", name="foyer", pid=pid)
    assert (given["ok"], given["result"]["pid"], given["result"]["already"]) == (True, pid, False)
    again = await three[2].ask("give_name", name="foyer", pid=pid)
    assert (again["ok"], again["result"]["already"]) == (True, True)
    for bad in ("n9.1.1", "x"):
        assert (await three[1].ask("give_name", name="cellar", pid=bad))["problem"] == "not_registered"
    assert (await three[1].ask("give_name", name="cellar", pid=5))["problem"] == "bad_value"
    joined = await three[2].ask("join", group="all", pid=pid)
    assert joined["result"]["origin"] == pid.rpartition(".")[0]
    assert (await three[2].ask("members", group="all"))["result"] == [["lobby", pid]]
    assert (await three[2].ask("get", name="lobby"))["result"]["groups"] == ["all"]
    assert (await three[2].ask("get", name="foyer"))["result"]["groups"] == []
    assert (await three[1].ask("join", group="", name="lobby"))["problem"] == "bad_value"
    assert (await three[1].ask("leave", group="all", name="lobby"))["ok"]
    assert (await three[1].ask("publish", group="all", message=1))["ok"]
    assert (await three[1].ask("unregister", name="foyer"))["ok"]
    assert (await three[1].call("lobby", {"op": "get"}))["result"] == 0


async def test_verbs_of_another_thread_reach_the_workers_loop(three: list[Running]) -> None:
    pid = (await three[0].register("lobby"))["result"]["pid"]
    rooms, backend = jobs.Rooms, current_backend()
    assert await asyncio.to_thread(lambda: rooms.sync.register_name("foyer", pid=pid)) is True
    await asyncio.to_thread(lambda: rooms.sync.join("all", pid))
    assert await asyncio.to_thread(lambda: rooms.sync.members("all")) == [pid]
    await asyncio.to_thread(lambda: rooms.sync.publish("all", {"op": "increment"}))
    replies = await asyncio.to_thread(lambda: rooms.sync.multi_call("all", {"op": "get"}))
    assert replies == {"lobby": 1}
    await asyncio.to_thread(lambda: rooms.sync.leave("all", name="lobby"))
    assert backend.members("rooms", "all") == []
    for wrong in (
        lambda: rooms.sync.join("all"),
        lambda: rooms.sync.join("all", pid, name="lobby"),
        lambda: rooms.sync.register_name("nook"),
        lambda: rooms.sync.register_name("nook", "examples.counters:Counter", pid=pid),  # type: ignore[call-overload]
        lambda: rooms.sync.register_name("nook", pid=pid, meta={"a": 1}),  # type: ignore[call-overload]
    ):
        with pytest.raises(ValueError, match=r"pid|target"):
            await asyncio.to_thread(wrong)
