"""Every verb, from within every kind of process; and what every kind of process is."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from registry.core.ids import is_pid, node_of
from tests.parity.cluster import KEEPER, WORKERS, Cluster, Told, result_of, wish
from tests.supervisor.processes import until

pytestmark = pytest.mark.live

#: Kinds of processes that take messages: target, isolation.
SCRIBES = {
    "class as task": ("Scribe", "task"),
    "class as process": ("Scribe", "process"),
    "coroutine": ("scribe", "task"),
    "coroutine as process": ("scribe", "process"),
}


def script(name: str, other: str) -> list[tuple[dict[str, Any], Any]]:
    """Every verb with the outcome it must have: a result, a predicate for one, or the name of an error.

    `other` is the pid of another process.
    """
    kept = f"{name}'s"
    return [
        (wish("register_name", f"{name}-a", KEEPER, [kept]), is_pid),
        (wish("register_name", f"{name}-a", KEEPER), "AlreadyStarted"),
        (wish("register_name", f"{name}-b", f"{WORKERS}:Failing"), "StartError"),
        (wish("register_name", f"{name}-b", "os:system"), "TargetNotAllowed"),
        (wish("register_name", f"{name}-b", f"{WORKERS}:nobody"), "TargetNotFound"),
        (wish("whereis_or_register_name", f"{name}-a", KEEPER), is_pid),
        (wish("whereis_or_register_name", f"{name}-b", KEEPER, kwargs={}), is_pid),
        (wish("whereis_name", f"{name}-b"), is_pid),
        (wish("whereis_name", f"{name}-c"), None),
        (wish("registered"), lambda names: {f"{name}-a", f"{name}-b"} <= {one for one, _ in names}),
        (wish("register_name", f"{name}-c", pid=other), True),
        (wish("register_name", f"{name}-c", pid=other), False),
        (wish("register_name", f"{name}-d", pid="n9.1.1"), "NotRegistered"),
        (wish("register_name", f"{name}-own"), True),
        (wish("whereis_name", f"{name}-own"), is_pid),
        (wish("join", name), None),
        (wish("join", name, other), None),
        (wish("join", name, name=f"{name}-a"), None),
        (wish("join", name, name=f"{name}-a"), None),
        (wish("join", name, "n9.1.1"), "NotRegistered"),
        (wish("join", name, name=f"{name}-d"), "NotRegistered"),
        (wish("members", name), lambda pids: len(pids) == 3 and other in pids),
        (wish("leave", name), None),
        (wish("leave", name, other), None),
        (wish("leave", name, other), None),
        (wish("leave", name, "n9.1.1"), "NotRegistered"),
        (wish("members", name), lambda pids: len(pids) == 1),
        (wish("publish", name, "news"), None),
        (wish("multi_call", name, "kept"), {f"{name}-a": [kept, "news"]}),
        (wish("multi_call", f"{name}-nobody", "kept"), {}),
        (wish("call", f"{name}-a", {"keep": b"\x00\xff"}), [kept, "news", b"\x00\xff"]),
        (wish("cast", f"{name}-a", "more"), None),
        (wish("call", f"{name}-a", "kept"), [kept, "news", b"\x00\xff", "more"]),
        (wish("call", f"{name}-d", "kept"), "NotRegistered"),
        (wish("cast", f"{name}-d", "kept"), "NotRegistered"),
        (wish("multi_call", name, "crash"), lambda replies: replies[f"{name}-a"]["error"] == "WorkerCrashed"),
        (wish("call", f"{name}-b", "crash"), "WorkerCrashed"),
        (wish("call", f"{name}-b", "kept"), []),
        (wish("call", "sleeps", "kept", timeout=0.2), "CallTimeout"),
        (wish("restart_name", f"{name}-a"), None),
        (wish("unregister_name", f"{name}-own"), None),
        (wish("unregister_name", f"{name}-own"), "NotRegistered"),
        (wish("unregister_name", f"{name}-c"), None),
        (wish("unregister_name", f"{name}-a"), None),
        (wish("unregister_name", f"{name}-b"), None),
        (wish("registered"), lambda names: {one for one, _ in names} & {f"{name}-{x}" for x in "abc"} == set()),
    ]


def check(name: str, steps: list[tuple[dict[str, Any], Any]], outcomes: list[dict[str, Any]]) -> None:
    """Each verb ended as it must."""
    for (verb, wanted), outcome in zip(steps, outcomes, strict=True):
        said = f"{name}: {verb['verb']} {verb['args']} {verb['kwargs']}: {outcome}"
        if isinstance(wanted, str):
            assert outcome.get("error") == wanted, said
            assert outcome["detail"], said
        elif callable(wanted):
            assert "result" in outcome, said
            assert wanted(outcome["result"]), said
        else:
            assert outcome == {"result": wanted}, said


def prepared(three: Cluster, name: str) -> list[tuple[dict[str, Any], Any]]:
    """The script for one kind of process, and what it needs."""
    three.do("n1", "whereis_or_register_name", "sleeps", f"{WORKERS}:Sleeping")
    other = three.do("n2", "register_name", f"{name}-other", KEEPER)
    three.known("sleeps", f"{name}-other")
    return script(name, other)


@pytest.mark.parametrize("sync", [False, True], ids=["awaited", "sync"])
@pytest.mark.parametrize(("target", "isolation"), SCRIBES.values(), ids=SCRIBES)
def test_every_verb_in_every_kind_that_takes_messages(three: Cluster, target: str, isolation: str, sync: bool) -> None:
    name = f"{target}-{isolation}-{sync}"
    steps = prepared(three, name)
    three.do("n1", "register_name", name, f"{WORKERS}:{target}", isolation=isolation)
    three.known(name)
    outcomes = []
    for verb, _ in steps:
        # From an asking task of its own thread a sync verb does not know who asks: it says so.
        outcomes.append(three.do("n3", "call", name, {**verb, "sync": sync}, timeout=60))
    check(name, steps, outcomes)
    for ended in (name, f"{name}-other"):
        three.do("n1", "unregister_name", ended)
    three.gone(name, f"{name}-other")


def test_every_verb_in_a_plain_function(three: Cluster) -> None:
    name = "plain-scribe"
    steps = prepared(three, name)
    three.do("n1", "register_name", name, f"{WORKERS}:Board", sworm="boards")
    three.do("n1", "register_name", name, f"{WORKERS}:plain_scribe", [[verb for verb, _ in steps]])
    pid, outcomes = until(lambda: three.do("n2", "call", name, "read", sworm="boards"), "it has written its outcomes")
    assert is_pid(pid)
    check(name, steps, outcomes)
    three.gone(name)
    three.do("n1", "unregister_name", f"{name}-other")


def test_a_plain_function_is_a_process_of_its_own_and_takes_no_messages(three: Cluster) -> None:
    pid = three.do("n1", "register_name", "idle", f"{WORKERS}:idle")
    three.known("idle")
    with pytest.raises(Told, match="takes no messages"):
        three.do("n2", "call", "idle", "anything")
    children = three.agents[node_of(pid)].children()
    assert children
    three.do("n1", "unregister_name", "idle")
    until(lambda: "idle is over" in three.log(node_of(pid)), "SIGTERM let it clean up")
    three.gone("idle")


@pytest.mark.parametrize("target", ["Keeper", "keeper"])
def test_a_task_lives_in_its_agent_and_an_isolated_one_beside_it(three: Cluster, target: str) -> None:
    where = {}
    for isolation in ("task", "process"):
        pid = three.do("n1", "register_name", f"where-{isolation}", f"{WORKERS}:{target}", isolation=isolation)
        three.known(f"where-{isolation}")
        agent = three.agents[node_of(pid)].process.pid
        where[isolation] = three.do("n2", "call", f"where-{isolation}", "os_pid")
        if isolation == "task":
            assert where[isolation] == agent
        else:
            assert agent in {parent.pid for parent in psutil.Process(where[isolation]).parents()}
        assert three.do("n2", "call", f"where-{isolation}", "who")[1:3] == [f"where-{isolation}", pid]
        three.do("n1", "unregister_name", f"where-{isolation}")
    until(lambda: not psutil.pid_exists(where["process"]), "its process is gone")


@pytest.mark.long
def test_a_worker_that_is_stuck_in_a_message_is_gone_before_the_verb_gives_up(three: Cluster) -> None:
    three.do("n1", "register_name", "stuck", f"{WORKERS}:Sleeping")
    three.known("stuck")
    with pytest.raises(Told, match="CallTimeout"):
        three.do("n2", "call", "stuck", "anything", timeout=0.2)
    assert three.do("n1", "unregister_name", "stuck") is None
    three.gone("stuck")


@pytest.mark.long
def test_an_isolated_process_that_ignores_every_word_is_killed_for_sure(three: Cluster) -> None:
    three.do("n1", "register_name", "stubborn", f"{WORKERS}:Stubborn", isolation="process")
    os_pid = three.do("n1", "call", "stubborn", "os_pid")
    three.do("n1", "unregister_name", "stubborn", timeout=60)
    assert not psutil.pid_exists(os_pid)
    three.gone("stubborn")


def test_a_coroutine_moves_with_the_state_of_its_mailbox(three: Cluster) -> None:
    pid = three.do("n1", "register_name", "mover", f"{WORKERS}:keeper", ["first"])
    three.known("mover")
    target = next(node for node in three.agents if node != node_of(pid))
    three.do("n2", "call", "mover", {"keep": "second"})
    assert three.do("n3", "handoff_name", "mover", target) is None
    moved = three.do("n3", "whereis_name", "mover")
    assert node_of(moved) == target
    assert three.do("n1", "call", "mover", "kept") == ["first", "second"]
    three.do("n1", "unregister_name", "mover")


def test_many_verbs_of_one_process_at_once_keep_each_their_answer(three: Cluster) -> None:
    names = [f"at-once{number}" for number in range(100)]
    outcomes = three.do_all("n2", [wish("register_name", name, KEEPER, [name]) for name in names])
    assert len({result_of(outcome) for outcome in outcomes}) == 100
    outcomes = three.do_all("n2", [wish("call", name, "kept") for name in names])
    assert [result_of(outcome) for outcome in outcomes] == [[name] for name in names]
    for outcome in three.do_all("n3", [wish("unregister_name", name) for name in names]):
        result_of(outcome)
    three.gone(*names)


@pytest.mark.parametrize("isolation", ["task", "process"])
def test_what_is_acknowledged_during_handoffs_is_in_the_state(three: Cluster, isolation: str) -> None:
    name = f"busy-{isolation}"
    pid = three.do("n1", "register_name", name, f"{WORKERS}:Keeper", isolation=isolation)
    three.known(name)
    begun = node_of(pid)
    nodes = [*(node for node in three.agents if node != begun), begun]
    wishes = []
    for target in nodes:  # each move has updates before, beside and behind it
        wishes += [wish("call", name, {"keep": f"{target}-{number}"}, timeout=30) for number in range(20)]
        wishes.append(wish("handoff_name", name, target, timeout=30))
    outcomes = three.do_all("n2", wishes)
    acknowledged = {
        one["args"][1]["keep"]
        for one, outcome in zip(wishes, outcomes, strict=True)
        if one["verb"] == "call" and "result" in outcome
    }
    assert len(acknowledged) == 60, [outcome for outcome in outcomes if "error" in outcome][:3]
    kept = three.do("n3", "call", name, "kept")
    assert acknowledged <= set(kept)
    assert len(kept) == len(set(kept))
    assert any(
        "result" in outcome for one, outcome in zip(wishes, outcomes, strict=True) if one["verb"] == "handoff_name"
    )
    three.do("n1", "unregister_name", name)
