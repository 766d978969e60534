"""Names, as the original's own suite has them: registering, finding, racing, ending; on three real nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.core.ids import is_pid, node_of
from supervisor import BadDefinition, Sworm
from tests.parity.cluster import KEEPER, WORKERS, Cluster, Told, result_of, wish
from tests.supervisor.processes import until

pytestmark = pytest.mark.live

NODES = ("n1", "n2", "n3")


@pytest.mark.parametrize("sync", [False, True], ids=["awaited", "sync"])
def test_register_whereis_registered_unregister(three: Cluster, sync: bool) -> None:
    pid = three.do("n1", "register_name", "one", KEEPER, ["tea"], sync=sync)
    assert three.do("n1", "whereis_name", "one", sync=sync) == pid
    assert ["one", pid] in three.do("n1", "registered", sync=sync)
    three.known("one")
    assert three.do("n2", "call", "one", "kept", sync=sync) == ["tea"]
    three.do("n2", "cast", "one", "milk", sync=sync)
    until(lambda: three.do("n1", "call", "one", "kept", sync=sync) == ["tea", "milk"], "the cast has come")
    assert three.do("n2", "unregister_name", "one", sync=sync) is None
    assert three.do("n2", "whereis_name", "one", sync=sync) is None
    for verb, *more in (("unregister_name",), ("call", 1), ("cast", 1)):
        with pytest.raises(Told, match="NotRegistered"):
            three.do("n2", verb, "one", *more, sync=sync)
    three.gone("one")


@pytest.mark.parametrize("sync", [False, True], ids=["awaited", "sync"])
def test_whereis_or_register_starts_once_and_then_finds(three: Cluster, sync: bool) -> None:
    pid = three.do("n1", "whereis_or_register_name", "maybe", KEEPER, ["first"], sync=sync)
    for node in NODES:
        assert three.do(node, "whereis_or_register_name", "maybe", KEEPER, [node], sync=sync) == pid
    assert three.do("n3", "call", "maybe", "kept") == ["first"]
    three.do("n3", "unregister_name", "maybe")


def test_a_name_that_is_taken_is_refused_with_the_pid_that_has_it(three: Cluster) -> None:
    pid = three.do("n1", "register_name", "taken", KEEPER)
    for node in NODES:
        with pytest.raises(Told) as raised:
            three.do(node, "register_name", "taken", KEEPER, ["other", "arguments"])
        assert (raised.value.error, raised.value.pid) == ("AlreadyStarted", pid)
    three.do("n1", "unregister_name", "taken")


def test_ten_who_race_for_a_name_are_one_winner_and_nine_who_learn_its_pid(three: Cluster) -> None:
    def ask(node: str) -> list[dict[str, object]]:
        return three.do_all(node, [wish("register_name", "race", KEEPER) for _ in range(10 if node == "n1" else 0)])

    for _ in range(3):
        outcomes = ask("n1")
        (pid,) = [outcome["result"] for outcome in outcomes if "result" in outcome]
        losers = [(outcome["error"], outcome["pid"]) for outcome in outcomes if "error" in outcome]
        assert losers == [("AlreadyStarted", pid)] * 9
        three.do("n1", "unregister_name", "race")


def test_racers_of_different_nodes_and_arguments_get_one_pid(three: Cluster) -> None:
    def ask(node: str) -> list[dict[str, object]]:
        wishes = [wish("register_name", f"apart{number}", KEEPER, [node, number]) for number in range(20)]
        return three.do_all(node, wishes)

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(ask, NODES))
    for number in range(20):
        told = [told[number] for told in outcomes]
        (pid,) = [one["result"] for one in told if "result" in one]
        assert {one["pid"] for one in told if "error" in one} <= {pid}
        assert {three.item(node, f"apart{number}")["pid"] for node in NODES} == {pid}


def test_whereis_during_a_racing_start_is_a_pid_or_nothing(three: Cluster) -> None:
    slow = [f"{WORKERS}:SlowStart", [0.2]]
    for node in NODES:
        wishes = [wish("register_name", "slow", *slow) for _ in range(3)]
        wishes += [wish("whereis_name", "slow") for _ in range(20)]
        wishes += [wish("whereis_or_register_name", "slow", *slow) for _ in range(3)]
        outcomes = three.do_all(node, wishes)
        pids = {outcome["result"] for outcome in outcomes if "result" in outcome} - {None}
        pids |= {outcome["pid"] for outcome in outcomes if "error" in outcome}
        assert len(pids) == 1
        assert all(is_pid(pid) for pid in pids)
        three.do(node, "unregister_name", "slow")


def test_a_new_name_is_known_to_whoever_registered_it_and_soon_to_all(three: Cluster) -> None:
    for node in NODES:
        names = [f"seen-from-{node}-{number}" for number in range(20)]
        pids = {}
        for name in names:  # one after the other, each read at once: most of them were placed on other nodes
            pids[name] = three.do(node, "register_name", name, KEEPER)
            assert three.do(node, "whereis_name", name) == pids[name]
        assert len({node_of(pid) for pid in pids.values()}) > 1
        three.everywhere("all names are known", lambda node, pids=pids: pids.items() <= three.registered(node).items())
        for outcome in three.do_all(node, [wish("unregister_name", name) for name in names]):
            assert result_of(outcome) is None
        three.gone(*names)


@pytest.mark.parametrize(
    ("target", "isolation"),
    [("Keeper", "task"), ("Keeper", "process"), ("keeper", "task"), ("keeper", "process")],
)
def test_a_process_that_ends_normally_leaves_every_registry(three: Cluster, target: str, isolation: str) -> None:
    name = f"ending-{target}-{isolation}"
    pid = three.do("n1", "register_name", name, f"{WORKERS}:{target}", isolation=isolation)
    three.do("n1", "register_name", f"{name}-alias", pid=pid)
    three.do("n1", "join", "leavers", pid)
    three.everywhere("it is known", lambda node: three.item(node, name).get("pid") == pid)
    three.do("n2", "call", name, "finish")
    three.gone(name, f"{name}-alias")
    three.everywhere("the group is empty", lambda node: three.do(node, "members", "leavers") == [])


def test_a_function_that_returns_leaves_the_registry(three: Cluster) -> None:
    assert is_pid(three.do("n1", "register_name", "brief", f"{WORKERS}:brief"))
    three.gone("brief")


@pytest.mark.parametrize("sync", [False, True], ids=["awaited", "sync"])
def test_joining_and_leaving_a_group_is_repeatable(three: Cluster, sync: bool) -> None:
    pids = [three.do(node, "register_name", f"in-{node}", KEEPER, [node]) for node in NODES]
    for _ in range(2):
        for node, pid in zip(NODES, pids, strict=True):
            assert three.do("n1", "join", "club", pid, sync=sync) is None
            assert three.do(node, "join", "club", name=f"in-{node}", sync=sync) is None
    three.everywhere("all are in", lambda node: three.do(node, "members", "club", sync=sync) == pids)
    assert three.do("n2", "multi_call", "club", "kept", sync=sync) == {f"in-{node}": [node] for node in NODES}
    assert three.do("n2", "publish", "club", "news", sync=sync) is None
    for node in NODES:
        until(lambda node=node: three.do("n3", "call", f"in-{node}", "kept") == [node, "news"], "the news has come")  # type: ignore[misc]
    for _ in range(2):
        assert three.do("n3", "leave", "club", pids[0], sync=sync) is None
    three.everywhere("one is out", lambda node: three.do(node, "members", "club", sync=sync) == pids[1:])
    for node in NODES:
        three.do("n1", "unregister_name", f"in-{node}")
    three.everywhere("it is empty", lambda node: three.do(node, "members", "club") == [])


@pytest.mark.parametrize("pid", ["n1.1.1", "n9.5.5", "nonsense"])
def test_a_pid_that_is_not_the_sworms_is_refused(three: Cluster, pid: str) -> None:
    for verb in ("join", "leave"):
        with pytest.raises(Told, match="NotRegistered"):
            three.do("n2", verb, "club", pid)
    with pytest.raises(Told, match="NotRegistered"):
        three.do("n2", "register_name", "nobody", pid=pid)


def test_a_process_of_another_sworm_is_no_member(three: Cluster) -> None:
    foreign = three.do("n1", "register_name", "foreigner", KEEPER, sworm="stateless")
    with pytest.raises(Told, match="NotRegistered"):
        three.do("n2", "join", "club", foreign)
    three.do("n1", "unregister_name", "foreigner", sworm="stateless")


def test_a_pid_has_one_then_two_names_and_one_delegate_only(three: Cluster) -> None:
    before = sum(three.processes_of(node) for node in NODES)
    pid = three.do("n1", "register_name", "own", KEEPER, ["kept"])
    for node in NODES:
        assert three.do(node, "register_name", f"alias-{node}", pid=pid) is True
        assert three.do(node, "register_name", f"alias-{node}", pid=pid) is False
        assert three.do(node, "whereis_name", f"alias-{node}") == pid
    assert sum(three.processes_of(node) for node in NODES) == before + 1
    three.everywhere("its names are known", lambda node: list(three.registered(node).values()).count(pid) == 4)
    three.do("n3", "call", "alias-n1", {"keep": "more"})
    assert three.do("n2", "call", "own", "kept") == ["kept", "more"]
    three.do("n2", "unregister_name", "alias-n2")
    assert three.do("n2", "whereis_name", "alias-n2") is None
    assert three.do("n1", "whereis_name", "own") == pid
    three.do("n3", "unregister_name", "own")
    three.gone("own", "alias-n1", "alias-n3")


def test_a_pid_of_another_sworm_gets_a_name_that_ends_with_it(three: Cluster) -> None:
    pid = three.do("n1", "register_name", "host", KEEPER, sworm="stateless")
    for guest in ("guest", "guest-too"):
        assert three.do("n2", "register_name", guest, pid=pid) is True
        three.known(guest)
        assert three.do("n3", "join", "guests", name=guest) is None
    assert three.do("n2", "call", "guest", "who") == [
        "stateless",
        "host",
        pid,
        three.item("n1", "host", "stateless")["epoch"],
    ]
    assert three.do("n2", "unregister_name", "guest") is None
    three.everywhere("it is gone", lambda node: three.do(node, "whereis_name", "guest") is None)
    assert three.do("n3", "whereis_name", "host", sworm="stateless") == pid
    three.do("n1", "unregister_name", "host", sworm="stateless")
    three.gone("guest-too")
    three.everywhere("the group is empty", lambda node: three.do(node, "members", "guests") == [])


@pytest.mark.parametrize(
    ("target", "args", "isolation", "error", "detail"),
    [
        ("Failing", [], "task", "StartError", "ValueError: no such seat"),
        ("Failing", [], "process", "StartError", "ValueError: no such seat"),
        ("failing", [], "task", "StartError", "missing 1 required positional argument: 'seat'"),
        ("failing", [], "process", "StartError", "missing 1 required positional argument: 'seat'"),
        ("Keeper", {"more": 1}, "task", "StartError", "unexpected keyword argument 'more'"),
        ("idle", [1], "task", "StartError", "TypeError: too many positional arguments"),
        ("nobody", [], "task", "TargetNotFound", "has no nobody"),
    ],
)
@pytest.mark.parametrize("verb", ["register_name", "whereis_or_register_name"])
def test_a_start_error_reaches_the_caller(
    three: Cluster, verb: str, target: str, args: object, isolation: str, error: str, detail: str
) -> None:
    more = {"kwargs": args} if isinstance(args, dict) else {"args": args}
    for node in NODES:
        with pytest.raises(Told) as raised:
            three.do(node, verb, "never", f"{WORKERS}:{target}", isolation=isolation, **more)
        assert raised.value.error == error
        assert detail in raised.value.detail
        assert three.do(node, "whereis_name", "never") is None


def test_a_target_that_is_not_allowed_is_refused(three: Cluster) -> None:
    with pytest.raises(Told, match="TargetNotAllowed"):
        three.do("n1", "register_name", "never", "os:system", ["true"])


def test_the_strategy_option_is_honoured_and_an_unknown_one_refused(three: Cluster) -> None:
    """`uniform` places a name where the hash says, whoever asks."""
    first: list[str] = []
    for node in NODES:
        outcomes = three.do_all(node, [wish("register_name", f"spread{number}", KEEPER) for number in range(30)])
        places = [node_of(result_of(outcome)) for outcome in outcomes]
        assert set(places) == set(NODES)
        first = first or places
        assert places == first
        for outcome in three.do_all(node, [wish("unregister_name", f"spread{number}") for number in range(30)]):
            result_of(outcome)
    with pytest.raises(BadDefinition, match="nearest"):
        type("Odd", (Sworm,), {"name": "odd", "distribution_strategy": "nearest"})
