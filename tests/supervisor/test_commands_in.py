"""The door for commands: what is obeyed once, what is dropped and reported, and what each verb answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.supervisor.shells import ROOMS, Running, cluster
from tests.turns import until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def one() -> AsyncIterator[Running]:
    async with cluster(1) as running:
        yield running[0]


def dropped(node: Running) -> list[str]:
    return [report.detail for report in node.reports if report.kind == "command_dropped"]


async def test_a_command_for_another_incarnation_is_dropped_reported_and_told(one: Running) -> None:
    answer = await one.ask("register", name="a", target="examples.counters:Counter", incarnation=7)
    assert (answer["ok"], answer["problem"], answer["node"]) == (False, "other_incarnation", "n1")
    assert one.shell.node.process_count == 0
    assert len(dropped(one)) == 1
    assert "register" in dropped(one)[0]


async def test_a_command_after_its_deadline_is_dropped_and_reported(one: Running) -> None:
    answer = await one.ask("register", name="a", target="examples.counters:Counter", deadline=time.time() - 3600)
    assert answer["problem"] == "too_late"
    assert one.shell.node.process_count == 0
    assert "3600" in dropped(one)[0]


async def test_a_command_that_comes_twice_runs_once(one: Running) -> None:
    await one.register("a")
    for _ in range(3):
        one.send("call", id="same", name="a", message={"op": "increment"}, timeout_ms=1000)
    await until(lambda: "same" in one.answers.by_id)
    assert (await one.call("a", {"op": "get"}))["result"] == 1


@pytest.mark.parametrize(
    "fields",
    [{"v": 2}, {"id": 1}, {"incarnation": "7"}, {"deadline": None}, {"answer_to": 5}, {"v": True}],
)
async def test_what_is_no_command_is_dropped_and_reported(one: Running, fields: dict[str, Any]) -> None:
    one.send("ping", **fields)
    assert len(dropped(one)) == 1
    assert one.answers.count == 0


async def test_a_command_without_a_verb_is_dropped(one: Running) -> None:
    one.send(None)  # type: ignore[arg-type]
    assert len(dropped(one)) == 1


@pytest.mark.parametrize("payload", [None, 5, "ping", [], {}])
async def test_what_is_not_even_a_map_is_dropped(one: Running, payload: Any) -> None:
    one.incoming.take(payload)
    assert len(dropped(one)) == 1


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("register", {"name": "", "target": "examples.counters:Counter"}),
        ("register", {"name": "x" * 10_000, "target": "examples.counters:Counter"}),
        ("register", {"name": 5, "target": "examples.counters:Counter"}),
        ("register", {"name": "a", "target": 5}),
        ("register", {"name": "a", "target": "examples.counters:Counter", "sworm": "No Slug"}),
        ("register", {"name": "a", "target": "examples.counters:Counter", "meta": []}),
        ("register", {"name": "a", "target": "examples.counters:Counter", "definition": {"colour": "red"}}),
        ("register_batch", {"items": "many"}),
        ("register_batch", {"items": [5]}),
        ("unregister", {}),
        ("call", {"name": "a"}),
        ("handoff", {"name": "a", "to": "No Slug"}),
        ("drain", {"deadline_s": -1}),
        ("drain", {"deadline_s": "soon"}),
    ],
)
async def test_a_bad_field_is_refused_with_a_sentence(one: Running, op: str, fields: dict[str, Any]) -> None:
    answer = await one.ask(op, **fields)
    assert (answer["ok"], answer["problem"]) == (False, "bad_value")
    assert answer["detail"]


async def test_an_unknown_verb_is_refused(one: Running) -> None:
    assert (await one.ask("explode"))["problem"] == "unknown_op"


async def test_a_stopping_node_obeys_nothing_any_more(one: Running) -> None:
    one.incoming.closed = True
    assert (await one.register("a"))["problem"] == "stopping"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("os:system", "target_not_allowed"),
        ("examples.counters:Nobody", "target_not_found"),
        ("examples.nowhere:Counter", "target_not_found"),
        ("examples.counters:Worker", "target_not_found"),  # reached through another module's import
        ("tests.supervisor.jobs:Failing", "start_failed"),
    ],
)
async def test_a_target_that_cannot_start_says_why_and_leaves_nothing(one: Running, target: str, problem: str) -> None:
    answer = await one.register("a", target)
    assert (answer["ok"], answer["problem"], answer["result"]["pid"]) == (False, problem, "")
    assert one.shell.node.lookup("rooms", "a") is None
    # It was registered for a moment; at this version a reader's copy shows nothing of it any more.
    stands = (answer["result"]["origin"], answer["result"]["version"])
    assert stands == (one.shell.origin, one.shell.node.replicas["rooms"].version(one.shell.origin))


async def test_a_worker_s_own_error_is_told(one: Running) -> None:
    assert "no such seat" in (await one.register("a", "tests.supervisor.jobs:Failing"))["detail"]
    await one.register("b", "tests.supervisor.jobs:Crashing")
    answer = await one.call("b", 1)
    assert (answer["problem"], answer["detail"]) == ("worker_crashed", "RuntimeError: boom")


async def test_get_shows_the_process_as_the_contract_says(one: Running) -> None:
    before = time.time()
    result = (await one.register("a", args=[5], meta={"owner": "me"}))["result"]
    item = (await one.ask("get", name="a"))["result"]
    started = item.pop("started_at")
    assert before - 1 <= started <= time.time() + 1
    assert item == {
        "sworm": "rooms", "name": "a", "pid": result["pid"], "node": "n1", "epoch": result["epoch"],
        "state": "running", "target": "examples.counters:Counter", "args": [5], "kwargs": {}, "isolation": "task",
        "groups": [], "meta": {"owner": "me"}, "restarts": 0,
    }  # fmt: skip
    assert (await one.ask("list"))["result"]["items"] == [{**item, "started_at": started}]


async def test_what_is_not_registered_is_told_by_each_verb(one: Running) -> None:
    for op, more in (
        ("get", {}), ("unregister", {}), ("restart", {}), ("handoff", {}), ("cast", {"message": 1}),
        ("call", {"message": 1, "timeout_ms": 1000}),
    ):  # fmt: skip
        assert (await one.ask(op, name="nobody", **more))["problem"] == "not_registered", op


async def test_unregister_and_restart_say_where_it_shows(one: Running) -> None:
    first = (await one.register("a"))["result"]
    again = (await one.ask("restart", name="a"))["result"]
    assert again["pid"] != first["pid"]
    assert again["epoch"] > first["epoch"]
    gone = await one.ask("unregister", name="a")
    assert gone["ok"]
    assert gone["result"]["origin"] == one.origin
    assert gone["result"]["version"] > again["version"]


async def test_a_definition_comes_with_the_command_that_needs_it(one: Running) -> None:
    newer = ROOMS._replace(revision=2, isolation="task", max_restarts=9)
    answer = await one.ask("define", definition=newer._asdict())
    assert answer["result"] == {"revision": 2}
    assert one.shell.node.definitions["rooms"].max_restarts == 9
    await one.ask("define", definition=ROOMS._asdict())  # an older one changes nothing
    assert one.shell.node.definitions["rooms"] == newer


async def test_a_sworm_that_nobody_defined_is_refused(one: Running) -> None:
    answer = await one.register("a", sworm="halls", definition=None)
    assert answer["problem"] == "unknown_sworm"


async def test_ping_cordon_and_uncordon(one: Running) -> None:
    assert (await one.ask("ping"))["result"] == {
        "name": "n1", "incarnation": one.shell.incarnation, "status": "up", "processes": 0
    }  # fmt: skip
    assert (await one.ask("cordon"))["result"] == {"status": "cordoned"}
    assert (await one.register("a"))["problem"] == "no_node"
    assert (await one.ask("uncordon"))["result"] == {"status": "up"}
    assert (await one.register("a"))["ok"]


async def test_a_drain_by_command_may_stay(one: Running) -> None:
    await one.register("a")
    answer = await one.ask("drain", deadline_s=5, leave=False)
    assert answer["result"] == {"processes": 1}
    assert not one.shell.leaving
    assert one.shell.node.member.record.status == "draining"


async def test_where_nothing_drains_a_cancel_is_done(one: Running) -> None:
    assert (await one.ask("cancel_drain"))["ok"]
    assert one.shell.node.member.record.status == "up"


async def test_an_agent_that_was_told_to_end_does_not_give_its_drain_up(one: Running) -> None:
    one.shell.told_to_end = True
    refused = await one.ask("cancel_drain")
    assert (refused["ok"], refused["problem"]) == (False, "not_cancellable")
