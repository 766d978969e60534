"""Where processes go: only to eligible nodes, by the sworm's strategy, and at most once however orders fare.

Named invariants: only-eligible, one-order-one-process, counts-are-kept, acknowledged-survives, one-reply,
ended-stays-ended, ended-is-named.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.frozen import frozen
from registry.core.ids import node_of
from registry.core.messages import Order
from registry.core.names import Spec
from supervisor.core import transfer
from tests.laws import law
from tests.scenarios.cluster import ROOMS, Cluster, host_of

BAD = Spec("bad:Worker")


def started(nodes: dict[str, dict[str, Any]], **definition: Any) -> Cluster:
    """A cluster of nodes with these labels and capacities, and a definition."""
    cluster = Cluster()
    for name, config in nodes.items():
        cluster.start(name, config=lambda member, config=config: replace(member, **config))  # type: ignore[misc]
    cluster.settle()
    if "constraints" in definition:
        definition["constraints"] = frozen(definition["constraints"])
    cluster.define(min(nodes), **definition)
    cluster.settle()
    return cluster


def zones(**zones: str) -> dict[str, dict[str, Any]]:
    return {name: {"labels": {"zone": zone}} for name, zone in zones.items()}


def hosts(cluster: Cluster) -> Counter[str]:
    replica = cluster.nodes[min(cluster.nodes)].node.member.replica(ROOMS)
    return Counter(node_of(found.origin) for found in replica.index.values())


def arbiter(cluster: Cluster, process: str) -> str:
    return node_of(cluster.nodes[min(cluster.nodes)].node.context.placement.arbiter(ROOMS, process))


def decided_by(cluster: Cluster, node: str) -> str:
    """A name that a node decides about."""
    return next(f"p{n}" for n in range(1000) if arbiter(cluster, f"p{n}") == node)


strategies = st.sampled_from(["uniform", "uniform_random", "least_loaded"])


@law(15)
@given(strategies, st.lists(st.sampled_from("abc"), min_size=2, max_size=4), st.sampled_from(["a", ["a", "b"]]))
def test_only_eligible_nodes_run_anything(strategy: str, labels: list[str], wanted: Any) -> None:
    nodes = zones(**{f"n{n + 1}": zone for n, zone in enumerate(labels)})
    cluster = started(nodes, distribution_strategy=strategy, constraints={"zone": wanted})
    fit = {name for name, given in nodes.items() if given["labels"]["zone"] in wanted}
    for number in range(8):
        reply = cluster.do("n1", "register", f"p{number}")
        if fit:
            assert host_of(reply) in fit
        else:
            assert (reply.result, reply.problem) == ("refused", "no_node")
            assert "zone is a" in reply.detail
    assert cluster.check_once() == (8 if fit else 0)


@pytest.mark.parametrize("strategy", ["uniform_random", "least_loaded"])
def test_names_are_spread_over_all_nodes(strategy: str) -> None:
    cluster = started({"n1": {}, "n2": {}, "n3": {}}, distribution_strategy=strategy)
    for number in range(30):
        cluster.do("n1", "register", f"p{number}")
    assert set(hosts(cluster)) == {"n1", "n2", "n3"}
    assert cluster.check_once() == 30


def test_least_loaded_goes_by_count_and_capacity() -> None:
    cluster = started(
        {"n1": {}, "n2": {"capacity": 2.0}, "n3": {"capacity": 5.0}}, distribution_strategy="least_loaded"
    )
    for number in range(40):
        cluster.do("n1", "register", f"p{number}")
    assert hosts(cluster) == {"n1": 5, "n2": 10, "n3": 25}
    for number in range(20):
        cluster.do("n1", "unregister", f"p{number}")
    for number in range(40, 60):
        cluster.do("n2", "register", f"p{number}")
    assert hosts(cluster) == {"n1": 5, "n2": 10, "n3": 25}


def test_what_was_ordered_and_is_not_here_yet_counts() -> None:
    cluster = started({"n1": {}, "n2": {}, "n3": {}}, distribution_strategy="least_loaded")
    cluster.held.add("Start")
    names = [name for name in map("p{}".format, range(60)) if arbiter(cluster, name) == "n1"][:9]
    for name in names:
        cluster.ask("n1", "register", name)
    cluster.pass_time(0.1)
    assert hosts(cluster) == {"n1": 3, "n2": 3, "n3": 3}
    cluster.held.clear()
    cluster.settle()
    assert all(not running.node.choosing.coming for running in cluster.nodes.values())
    assert cluster.check_once() == 9


def test_a_node_hosts_only_the_sworms_it_was_started_with() -> None:
    cluster = started({"n1": {"sworms": ("bots",)}, "n2": {"sworms": ("rooms", "bots")}})
    assert {host_of(cluster.do("n1", "register", f"p{n}")) for n in range(9)} == {"n2"}
    reply = cluster.do("n1", "move", "p0", to="n1")
    assert (reply.problem, reply.detail) == ("no_node", "n1 does not host rooms")
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.do("n1", "register", "q").problem == "no_node"
    assert sum("waiting" in line for line in cluster.log) == 9
    cluster.start("n3")
    cluster.pass_time(2)
    assert cluster.check_once() == 9


@pytest.mark.parametrize("kind", ["Order", "OrderDone"])
def test_one_order_one_process_though_frames_are_lost(kind: str) -> None:
    cluster = started(zones(n1="a", n2="b"), constraints={"zone": "b"})
    name = decided_by(cluster, "n1")
    cluster.dropped.add(kind)
    request = cluster.ask("n1", "register", name)
    cluster.pass_time(1.2)
    assert request not in cluster.replies
    cluster.dropped.clear()
    cluster.pass_time(1)
    assert cluster.replies[request].result == "started"
    assert cluster.check_once() == 1
    assert len(cluster.nodes["n2"].workers) == 1


def test_an_order_that_comes_late_or_again_starts_nothing() -> None:
    cluster = started(zones(n1="a", n2="b"), constraints={"zone": "b"})
    name = decided_by(cluster, "n1")
    cluster.held.add("Order>n2")
    request = cluster.ask("n1", "register", name, wait=1.0)
    cluster.pass_time(1.5)
    assert cluster.replies[request].result == "no_answer"
    cluster.held.clear()
    cluster.pass_time(1)
    assert cluster.nodes["n2"].workers == {}
    assert cluster.do("n1", "register", name).result == "started"
    assert cluster.check_once() == 1


def test_a_start_error_reaches_the_caller_and_leaves_nothing() -> None:
    cluster = started(zones(n1="a", n2="b"), constraints={"zone": "b"})
    for name in ("p0", "p1", "p2", "p3"):
        reply = cluster.do("n1", "register", name, spec=BAD)
        assert (reply.result, reply.problem) == ("refused", "target_not_found")
    assert cluster.check_once() == 0


def test_equal_claims_start_one_process_wherever_it_went() -> None:
    cluster = started(zones(n1="a", n2="b", n3="b"), constraints={"zone": "b"})
    name = decided_by(cluster, "n1")
    first = cluster.do("n1", "register", name, claim="c1")
    again = cluster.do("n2", "register", name, claim="c1")
    other = cluster.do("n3", "register", name, claim="c2")
    assert [reply.result for reply in (first, again, other)] == ["started", "started", "already_started"]
    assert len({reply.pid for reply in (first, again, other)}) == 1


def test_the_arbiter_dies_while_another_node_starts_the_process() -> None:
    cluster = started(zones(n1="a", n2="a", n3="b"), constraints={"zone": "b"})
    name = decided_by(cluster, "n1")
    cluster.held.add("Start")
    request = cluster.ask("n2", "register", name, wait=20.0)
    cluster.settle()
    cluster.crash("n1")
    cluster.pass_time(2)
    cluster.held.clear()
    cluster.pass_time(3)
    assert cluster.replies[request].result == "started"
    assert cluster.check_once() == 1


def test_the_chosen_node_dies_before_it_has_started_the_process() -> None:
    cluster = started(zones(n1="a", n2="b", n3="b"), constraints={"zone": "b"})
    name = decided_by(cluster, "n1")
    cluster.held.add("Start")
    request = cluster.ask("n1", "register", name, wait=20.0)
    cluster.settle()
    (chosen,) = [name for name in ("n2", "n3") if cluster.nodes[name].workers]
    cluster.crash(chosen)
    cluster.held.clear()
    cluster.pass_time(4)
    assert cluster.replies[request].result == "started"
    assert cluster.check_once() == 1


def test_a_dead_nodes_processes_go_where_they_may_with_what_is_tied_to_them() -> None:
    cluster = started(zones(n1="a", n2="b", n3="b"), constraints={"zone": "b"})
    names = [f"p{n}" for n in range(12)]
    for name in names:
        pid = cluster.do("n1", "register", name).pid
        assert cluster.do("n1", "register", f"{name}'", spec=None, pid=pid).result == "started"
        cluster.do("n1", "join", name, group="all")
    cluster.crash("n2")
    cluster.pass_time(3)
    assert hosts(cluster) == {"n3": 24}
    assert cluster.check_once() == 12
    assert [name for name, _ in cluster.members("n1", "all")] == sorted(names)


@pytest.mark.parametrize("kind", ["Order", "OrderDone"])
def test_restoring_goes_on_though_frames_are_lost(kind: str) -> None:
    cluster = started(zones(n1="a", n2="b", n3="b"), constraints={"zone": "b"})
    for number in range(8):
        cluster.do("n1", "register", f"p{number}")
    cluster.dropped.add(kind)
    cluster.crash("n2")
    cluster.pass_time(3)
    cluster.dropped.clear()
    cluster.pass_time(3)
    assert hosts(cluster) == {"n3": 8}
    assert cluster.check_once() == 8
    assert all(not running.node.arbiter.orders for running in cluster.nodes.values())


@pytest.mark.parametrize("inline", [transfer.INLINE, 0])
def test_a_state_that_was_found_goes_along_to_the_node_that_may_run_the_process(
    inline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "INLINE", inline)
    cluster = started(zones(n1="a", n2="b", n3="b", n4="b"), constraints={"zone": "b"}, handoff=True)
    names = [name for name in map("p{}".format, range(60)) if arbiter(cluster, name) == "n1"][:6]
    for number, name in enumerate(names):
        cluster.do("n1", "register", name)
        cluster.send_to(name, 10 + number)
        if node_of(cluster.nodes["n1"].node.lookup(ROOMS, name).origin) != "n2":  # type: ignore[union-attr]
            cluster.do("n1", "move", name, to="n2")
    cluster.held.add("Prepared")
    for name in names:
        cluster.ask("n1", "move", name, to="n3")
    cluster.pass_time(0.2)
    cluster.crash("n2")
    cluster.pass_time(0.1)
    cluster.lose_kept()
    cluster.held.clear()
    cluster.pass_time(4)
    assert cluster.check_once() == 6
    values = {
        w.start.name: w.value
        for r in cluster.nodes.values()
        for w in r.workers.values()
        if w.running and w.gate.is_open
    }
    assert values == {name: 10 + number for number, name in enumerate(names)}
    assert set(hosts(cluster)) <= {"n3", "n4"}
    assert all(not running.node.arbiter.restoring.giving for running in cluster.nodes.values())


def test_an_order_whose_state_is_fetched_for_another_one_is_answered_all_the_same() -> None:
    """A view later another arbiter orders the same, with the same state; the first one must not wait for ever."""
    cluster = started(zones(n1="a", n2="a", n3="a"))
    host = cluster.nodes["n1"].node
    first, second = (cluster.nodes[name].node.member.origin for name in ("n2", "n3"))
    cluster.held.add("Piece")
    order = Order(
        f"{first}/1", 1, "restore", ROOMS, "lobby", Spec("chat:Room"), 1 << 52, "n9.1.1", host.member.view.id,
        int(cluster.now * 1000) + 600_000, 1, claim="c", stateful=True, taken_at=7, size=transfer.INLINE + 1,
    )  # fmt: skip
    host.orders.receive(first, order)
    host.orders.receive(first, order)
    assert order.id in host.orders.underway
    cluster.start("n4")
    cluster.settle()
    assert order.view != host.member.view.id
    host.orders.receive(second, order._replace(id=f"{second}/1", view=host.member.view.id))
    assert [*host.orders.underway] == [f"{first}/1", f"{second}/1"]
    cluster.held.clear()
    cluster.pass_time(2.0)
    assert host.orders.underway == {}
    assert {host.orders.answers[f"{arbiter}/1"].result for arbiter in (first, second)} == {"retry"}


def test_who_waits_for_a_node_is_reported_once_and_can_be_ended() -> None:
    cluster = started(zones(n1="a", n2="b", n3="a"), constraints={"zone": "b"})
    pid = cluster.do("n1", "register", "p0").pid
    cluster.do("n1", "register", "further", spec=None, pid=pid)
    cluster.do("n1", "register", "p1")
    cluster.crash("n2")
    cluster.pass_time(10)
    assert sum("waiting p0" in line for line in cluster.log) == 1
    assert sum(len(running.node.arbiter.restoring.stranded) for running in cluster.nodes.values()) == 2
    earlier = f"{pid.rpartition('.')[0]}.999"
    assert cluster.do("n3", "unregister", "p0", pid=earlier).result == "not_registered"
    assert sum(len(running.node.arbiter.restoring.stranded) for running in cluster.nodes.values()) == 2
    assert cluster.do("n3", "unregister", "p0", pid=pid).result == "done"
    cluster.start("n4", config=lambda config: replace(config, labels={"zone": "b"}))
    cluster.pass_time(3)
    assert set(cluster.listed("n1")) == {"p1"}
    assert cluster.check_once() == 1
    assert all(not running.node.arbiter.restoring.stranded for running in cluster.nodes.values())


def test_who_waits_outlives_further_incarnations_of_its_node() -> None:
    """The end of a later incarnation, which ran nothing, is not the end of the one whose processes wait.

    A node that was cut off ends the later one and has never heard of the earlier one: it takes its names all the same.
    """
    cluster = started(zones(n1="a", n2="b"), constraints={"zone": "b"})
    names = {f"p{number}" for number in range(12)}
    for name in sorted(names):
        assert cluster.do("n1", "register", name).result == "started"
    cluster.crash("n2")
    cluster.pass_time(2)
    cluster.cut(["n1"], ["n2", "n3"])
    for name in ("n2", "n3"):
        cluster.start(name, config=lambda config: replace(config, labels={"zone": "a"}))
        cluster.pass_time(2)
    over = cluster.nodes["n2"].node.origin
    cluster.crash("n2")
    cluster.start("n2", config=lambda config: replace(config, labels={"zone": "a"}))
    cluster.pass_time(3)
    assert cluster.nodes["n3"].node.member.is_over(over)
    cluster.heal()
    cluster.link("n1", "n3")
    cluster.pass_time(4)
    assert {node_of(cluster.nodes["n1"].node.context.placement.arbiter(ROOMS, name)) for name in names} >= {"n1", "n3"}
    cluster.crash("n1")
    cluster.pass_time(3)
    cluster.start("n4", config=lambda config: replace(config, labels={"zone": "b"}))
    cluster.pass_time(3)
    assert set(cluster.listed("n3")) == names
    assert set(hosts(cluster)) == {"n4"}
    assert cluster.check_once() == len(names)


def test_names_unregistered_while_a_node_was_away_stay_gone_when_it_is_back() -> None:
    """It still holds what an incarnation that is over said; nobody takes it, those neither who came meanwhile."""
    cluster = started(zones(n1="a", n2="b", n3="a"), constraints={"zone": "b"})
    names = [f"p{number}" for number in range(8)]
    for name in names:
        assert cluster.do("n1", "register", name).result == "started"
    over = cluster.nodes["n2"].node.origin
    cluster.crash("n2")
    cluster.pass_time(2)
    cluster.cut(["n3"], ["n1", "n2", "n4", "n5"])
    cluster.pass_time(4)
    for name in names:
        assert cluster.do("n1", "unregister", name).result == "done"
    for name in ("n2", "n4", "n2", "n5"):
        if name in cluster.nodes:
            cluster.crash(name)
        cluster.start(name, config=lambda config: replace(config, labels={"zone": "b"}))
        cluster.pass_time(3)
    assert cluster.nodes["n1"].node.member.is_over(over)
    assert over in cluster.nodes["n3"].node.member.directory
    cluster.heal()
    cluster.pass_time(6)
    assert cluster.check_once() == 0
    assert all(over not in running.node.member.directory for running in cluster.nodes.values())


def test_relaxed_constraints_bring_back_what_waits() -> None:
    cluster = started(zones(n1="a", n2="b"), constraints={"zone": "b"})
    cluster.do("n1", "register", "p0")
    cluster.crash("n2")
    cluster.pass_time(2)
    cluster.define("n1", constraints=())
    cluster.pass_time(1)
    assert hosts(cluster) == {"n1": 1}
    assert cluster.check_once() == 1


def test_a_temporary_process_does_not_wait_for_a_node() -> None:
    cluster = started(zones(n1="a", n2="b"), constraints={"zone": "b"}, restart="temporary")
    cluster.do("n1", "register", "p0")
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 0
    assert not cluster.nodes["n1"].node.arbiter.restoring.stranded


@pytest.mark.parametrize("strategy", ["uniform", "uniform_random", "least_loaded"])
def test_a_drain_goes_to_eligible_nodes_only(strategy: str) -> None:
    cluster = started(
        zones(n1="a", n2="b", n3="b"), constraints={"zone": "b"}, distribution_strategy=strategy, handoff=True
    )
    for number in range(8):
        cluster.do("n1", "register", f"p{number}")
        cluster.send_to(f"p{number}", number)
    cluster.drain("n2")
    cluster.pass_time(2)
    assert [line for line in cluster.log if "drained" in line] == ["n2: drained"]
    assert hosts(cluster) == {"n3": 8}
    values = {w.start.name: w.value for w in cluster.nodes["n3"].workers.values() if w.running}
    assert values == {f"p{number}": number for number in range(8)}


def test_a_draining_node_with_nowhere_to_go_leaves_its_processes_waiting() -> None:
    cluster = started(zones(n1="a", n2="b"), constraints={"zone": "b"})
    cluster.do("n1", "register", "p0")
    cluster.drain("n2", wait=2.0)
    cluster.pass_time(4)
    assert "n2: drained, leaving p0" in cluster.log
    cluster.crash("n2")
    cluster.pass_time(2)
    assert any("waiting p0" in line for line in cluster.log)
    cluster.start("n2", config=lambda config: replace(config, labels={"zone": "b"}))
    cluster.pass_time(3)
    assert hosts(cluster) == {"n2": 1}


def test_a_registration_costs_the_same_however_many_are_registered() -> None:
    """Counts are kept, not taken: choosing looks at nodes, never at names."""
    cluster = started({"n1": {}, "n2": {}}, distribution_strategy="least_loaded")
    for number in range(50):
        cluster.do("n1", "register", f"p{number}")
    for running in cluster.nodes.values():
        replica = running.node.member.replica(ROOMS)
        assert running.node.member.repair.processes == Counter(found.origin for found in replica.index.values())


# ------------------------------------------------------------------------------------------------ a strategy of its own


def test_a_users_own_strategy_is_asked_and_obeyed() -> None:
    cluster = started(zones(n1="a", n2="b", n3="a"), distribution_strategy="own:last", constraints={"zone": "a"})
    for number in range(6):
        cluster.do("n1", "register", f"p{number}")
    assert hosts(cluster) == {"n3": 6}
    assert host_of(cluster.do("n1", "move", "p0")) == "n1"
    cluster.crash("n3")
    cluster.pass_time(3)
    assert hosts(cluster) == {"n1": 6}
    assert cluster.check_once() == 6


@pytest.mark.parametrize(
    ("strategy", "problem", "detail"),
    [
        ("own:bad", "strategy_failed", "own:bad raised ValueError: no"),
        ("own:nowhere", "strategy_failed", "own:nowhere chose 'n99' for 'p0', which is none of n1, n2"),
        ("own:none", "no_node", "own:none wants none of n1, n2 for 'p0'"),
    ],
)
def test_a_bad_strategy_is_an_error_for_who_registers(strategy: str, problem: str, detail: str) -> None:
    cluster = started({"n1": {}, "n2": {}}, distribution_strategy=strategy)
    reply = cluster.do("n1", "register", "p0")
    assert (reply.result, reply.problem, reply.detail) == ("refused", problem, detail)
    assert cluster.check_once() == 0
    assert sum("strategy_failed" in line for line in cluster.log if "r1" not in line) == (problem == "strategy_failed")


@pytest.mark.parametrize("strategy", ["own:bad", "own:nowhere"])
def test_what_runs_goes_somewhere_though_the_strategy_fails(strategy: str) -> None:
    cluster = started(zones(n1="a", n2="b", n3="b"), constraints={"zone": "b"}, handoff=True)
    for number in range(6):
        cluster.do("n1", "register", f"p{number}")
    cluster.define("n1", distribution_strategy=strategy)
    cluster.settle()
    cluster.drain("n2")
    cluster.pass_time(2)
    assert hosts(cluster) == {"n3": 6}
    cluster.crash("n2")
    cluster.crash("n3")
    cluster.start("n4", config=lambda config: replace(config, labels={"zone": "b"}))
    cluster.pass_time(3)
    assert hosts(cluster) == {"n4": 6}
    assert cluster.check_once() == 6


def test_a_strategy_that_answers_late_finds_another_view() -> None:
    cluster = started({"n1": {}, "n2": {}, "n3": {}}, distribution_strategy="own:last")
    names = [f"p{n}" for n in range(9)]
    cluster.held.add("Choose")
    requests = [cluster.ask("n2", "register", name, wait=30.0) for name in names]
    cluster.settle()
    cluster.crash("n3")
    cluster.pass_time(2)
    cluster.held.clear()
    cluster.pass_time(2)
    assert {cluster.replies[request].result for request in requests} == {"started"}
    assert hosts(cluster) == {"n2": 9}
    assert cluster.check_once() == 9
    assert all(not running.node.choosing.open for running in cluster.nodes.values())


def test_a_node_that_dies_while_the_strategy_thinks_of_it_gets_nothing() -> None:
    cluster = started({"n1": {}, "n2": {}, "n3": {}}, distribution_strategy="own:last")
    for number in range(6):
        cluster.do("n1", "register", f"p{number}")
    cluster.held.add("Choose")
    cluster.crash("n3")
    cluster.pass_time(2)
    cluster.crash("n2")
    cluster.pass_time(2)
    cluster.held.clear()
    cluster.pass_time(2)
    assert hosts(cluster) == {"n1": 6}
    assert cluster.check_once() == 6
