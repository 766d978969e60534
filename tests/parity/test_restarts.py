"""What becomes of a process whose worker ends: each kind of restart, the limit of each process, and an operator."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.parity.cluster import KEEPER, WORKERS, Cluster, Told
from tests.supervisor.processes import until

pytestmark = pytest.mark.live

KINDS = [("Keeper", "task"), ("Keeper", "process"), ("keeper", "task"), ("keeper", "process")]


def crash(cluster: Cluster, name: str, sworm: str) -> None:
    """Its caller, on another node, hears of it."""
    cluster.known(name, sworm=sworm)
    with pytest.raises(Told, match="WorkerCrashed: RuntimeError: as asked"):
        cluster.do("n2", "call", name, "crash", sworm=sworm)


def newer(cluster: Cluster, name: str, sworm: str, epoch: int) -> dict[str, object]:
    """It, once it runs with a higher epoch."""

    def seen() -> dict[str, object]:
        item = cluster.item("n1", name, sworm)
        return item if item.get("state") == "running" and item["epoch"] > epoch else {}

    return dict(until(seen, f"{name} runs again"))


@pytest.mark.parametrize(("target", "isolation"), KINDS)
def test_a_transient_process_is_restarted_after_a_crash_and_not_after_its_end(
    three: Cluster, target: str, isolation: str
) -> None:
    name = f"transient-{target}-{isolation}"
    pid = three.do("n1", "register_name", name, f"{WORKERS}:{target}", ["first"], isolation=isolation)
    three.do("n1", "register_name", f"{name}-alias", pid=pid)
    three.do("n1", "join", "transients", pid)
    before = three.item("n1", name)
    three.do("n1", "call", name, {"keep": "lost"})
    crash(three, name, "rooms")
    after = newer(three, name, "rooms", before["epoch"])
    assert (after["restarts"], after["node"]) == (1, before["node"])
    assert three.do("n1", "call", name, "who") == ["rooms", name, after["pid"], after["epoch"]]
    assert three.do("n3", "call", f"{name}-alias", "kept") == ["first"]
    three.everywhere("it is in its group", lambda node: three.do(node, "members", "transients") == [after["pid"]])
    three.do("n1", "call", name, "finish")
    three.gone(name, f"{name}-alias")


@pytest.mark.parametrize(("target", "isolation"), KINDS)
def test_a_temporary_process_is_not_restarted(three: Cluster, target: str, isolation: str) -> None:
    name = f"temporary-{target}-{isolation}"
    three.do("n1", "register_name", name, f"{WORKERS}:{target}", isolation=isolation, sworm="passing")
    crash(three, name, "passing")
    three.gone(name, sworm="passing")


@pytest.mark.parametrize(("target", "isolation"), KINDS)
def test_a_permanent_process_is_restarted_even_after_its_end(three: Cluster, target: str, isolation: str) -> None:
    name = f"permanent-{target}-{isolation}"
    three.do("n1", "register_name", name, f"{WORKERS}:{target}", isolation=isolation, sworm="lasting")
    epoch = three.item("n1", name, "lasting")["epoch"]
    three.do("n1", "call", name, "finish", sworm="lasting")
    epoch = newer(three, name, "lasting", epoch)["epoch"]
    crash(three, name, "lasting")
    newer(three, name, "lasting", epoch)
    three.do("n1", "unregister_name", name, sworm="lasting")
    three.gone(name, sworm="lasting")


def test_a_permanent_function_that_returns_again_and_again_fails_and_costs_nobody_else(three: Cluster) -> None:
    three.do("n1", "register_name", "again", f"{WORKERS}:brief", sworm="lasting")
    failed = three.item_once("n2", "again", "failed", "lasting")
    assert failed["restarts"] == 3
    three.do("n3", "unregister_name", "again", sworm="lasting")
    three.gone("again", sworm="lasting")


def test_a_function_that_raises_is_restarted_with_back_off_until_it_fails(three: Cluster) -> None:
    three.do("n1", "register_name", "faulty", f"{WORKERS}:faulty", sworm="fragile")
    failed = three.item_once("n2", "faulty", "failed", "fragile")
    assert failed["restarts"] == 1
    assert "ValueError: no seat for a function" in three.log(str(failed["node"]))
    three.do("n3", "unregister_name", "faulty", sworm="fragile")


@pytest.mark.parametrize("sync", [False, True], ids=["awaited", "sync"])
def test_the_limit_is_each_processs_own_and_an_operator_restarts_what_failed(three: Cluster, sync: bool) -> None:
    names = [f"limited-{sync}-{number}" for number in range(12)]
    for name in names:
        three.do("n1", "register_name", name, KEEPER, ["fresh"], sworm="fragile")
    items = {name: three.item("n1", name, "fragile") for name in names}
    unlucky = names[0]
    neighbours = [name for name in names[1:] if items[name]["node"] == items[unlucky]["node"]]
    assert neighbours
    crash(three, unlucky, "fragile")
    newer(three, unlucky, "fragile", items[unlucky]["epoch"])
    crash(three, unlucky, "fragile")
    failed = three.item_once("n3", unlucky, "failed", "fragile")
    with pytest.raises(Told, match="WorkerCrashed"):
        three.do("n2", "call", unlucky, "kept", sworm="fragile")
    for name in neighbours:
        assert three.item("n1", name, "fragile")["pid"] == items[name]["pid"]
        assert three.do("n2", "call", name, "kept", sworm="fragile") == ["fresh"]
    three.do("n2", "restart_name", unlucky, sworm="fragile", sync=sync)
    assert three.do("n2", "call", unlucky, "kept", sworm="fragile") == ["fresh"]
    assert newer(three, unlucky, "fragile", failed["epoch"])["node"] == failed["node"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: three.do("n1", "unregister_name", name, sworm="fragile"), names))
    three.gone(*names, sworm="fragile")
