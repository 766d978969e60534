"""Claims at the arbiter: one at a time for each name, served in an agreed view only, answered once each.

Named invariants: one-reply, claim-once, epoch-once, acknowledged-survives, no-view-no-answer.
"""

from __future__ import annotations

import pytest

from registry.core.ids import node_of
from registry.core.names import Spec
from supervisor.core.events import Asked, Reply
from tests.scenarios.cluster import ROOMS, Cluster, host_of

NODES = ("n1", "n2", "n3")


def cluster_of(*names: str, **definition: object) -> Cluster:
    cluster = Cluster()
    cluster.start(*names)
    cluster.settle()
    cluster.define(names[0], **definition)
    cluster.settle()
    return cluster


@pytest.fixture
def cluster() -> Cluster:
    return cluster_of(*NODES)


def arbiter_of(cluster: Cluster, process: str) -> str:
    return node_of(cluster.nodes[min(cluster.nodes)].node.context.placement.arbiter(ROOMS, process))


def name_decided_by(cluster: Cluster, node: str) -> str:
    return next(f"p{n}" for n in range(100) if arbiter_of(cluster, f"p{n}") == node)


# ------------------------------------------------------------------------------------------------------------ register


def test_many_callers_with_different_arguments_get_one_pid(cluster: Cluster) -> None:
    specs = [Spec("examples.counters:Counter", bytes([number])) for number in range(30)]
    requests = [cluster.ask(NODES[i % 3], "register", "lobby", spec=spec) for i, spec in enumerate(specs)]
    cluster.settle()
    replies = [cluster.replies[request] for request in requests]
    assert len({reply.pid for reply in replies}) == 1
    assert sorted(reply.result for reply in replies) == ["already_started"] * 29 + ["started"]
    assert cluster.check_once() == 1


def test_claim_once(cluster: Cluster) -> None:
    first = cluster.do("n1", "register", "lobby", claim="wish")
    again = cluster.do("n1", "register", "lobby", claim="wish")
    elsewhere = cluster.do("n3", "register", "lobby", claim="wish")
    assert {first.result, again.result, elsewhere.result} == {"started"}
    assert first.pid == again.pid == elsewhere.pid


def test_two_requests_of_one_claim_share_its_answer(cluster: Cluster) -> None:
    cluster.held.add("Start")
    requests = [cluster.ask("n1", "register", "lobby", claim="wish") for _ in range(2)]
    cluster.settle()
    cluster.held.clear()
    cluster.settle()
    one, other = (cluster.replies[request] for request in requests)
    assert one.pid == other.pid


def test_a_claim_finds_what_it_started_after_its_arbiter_died(cluster: Cluster) -> None:
    """The answer was lost with the arbiter; asked again, the same claim finds the restored process."""
    cluster.held.add("Verdict")
    request = cluster.ask("n1", "register", name_decided_by(cluster, "n2"), claim="wish")
    cluster.settle()
    assert request not in cluster.replies
    cluster.crash("n2")
    cluster.lose_kept()
    cluster.held.clear()
    cluster.pass_time(2)
    assert cluster.replies[request].result == "started"
    assert cluster.check_once() == 1


def test_a_claim_does_not_call_started_what_is_starting_yet(cluster: Cluster) -> None:
    """The arbiter changes while a worker starts: the same claim waits, and hears of the failure; so does another one,
    whose turn comes then.
    """
    name = name_decided_by(cluster, "n2")
    cluster.held |= {"Start>n2", "Verdict"}
    request = cluster.ask("n1", "register", name, claim="wish", spec=Spec("bad:Worker"))
    cluster.settle()
    cluster.cordon("n2")  # another node decides about the name from now on
    cluster.settle()
    cluster.held.discard("Verdict")
    cluster.pass_time(1)
    other = cluster.ask("n3", "register", name)
    cluster.pass_time(1)
    assert not {request, other} & cluster.replies.keys()
    cluster.held.clear()
    cluster.pass_time(2)
    assert (cluster.replies[request].result, cluster.replies[other].result) == ("refused", "started")


def test_a_node_that_takes_processes_again_decides_only_once_all_have_heard_of_it() -> None:
    """The others have heard of its cordon, not of its end, and decide without it: their word of the view before the
    cordon, which held the same nodes, counts no more.
    """
    cluster = cluster_of("n1", "n2")
    name = name_decided_by(cluster, "n2")
    cluster.held.add("Delta>n1")
    cluster.cordon("n2")
    cluster.settle()
    cluster.cordon("n2", False)
    cluster.settle()
    cluster.deliver_kept(1)
    asked = [cluster.ask(node, "register", name) for node in ("n1", "n2")]
    cluster.settle()
    assert len(cluster.where(name)) == 1
    cluster.held.clear()
    cluster.pass_time(1)
    assert sorted(cluster.replies[request].result for request in asked) == ["already_started", "started"]
    assert cluster.check_once() == 1


def test_a_refused_start_leaves_nothing_and_the_next_claim_is_free(cluster: Cluster) -> None:
    refused = cluster.do("n1", "register", "lobby", spec=Spec("bad:Worker"))
    assert (refused.result, refused.problem) == ("refused", "target_not_found")
    assert cluster.check_once() == 0
    assert cluster.do("n1", "register", "lobby").result == "started"


def test_claims_behind_a_failing_start_are_served_next(cluster: Cluster) -> None:
    cluster.held.add("Start")
    bad = cluster.ask("n1", "register", "lobby", spec=Spec("bad:Worker"))
    cluster.settle()
    good = [cluster.ask(node, "register", "lobby") for node in NODES]
    cluster.settle()
    cluster.held.clear()
    cluster.settle()
    assert cluster.replies[bad].result == "refused"
    assert sorted(cluster.replies[r].result for r in good) == ["already_started", "already_started", "started"]


def test_an_unknown_sworm_is_refused_at_once(cluster: Cluster) -> None:
    node = cluster.nodes["n1"].node
    (reply,) = [
        e
        for e in node.step(_asked("feeds"), cluster.now)
        if isinstance(e, Reply)
    ]  # fmt: skip
    assert (reply.result, reply.problem) == ("refused", "unknown_sworm")


def _asked(sworm: str) -> Asked:
    return Asked("r", "register", sworm, "lobby", 2e9, "c", Spec("examples.counters:Counter"))


# ------------------------------------------------------------------------------------------------- unregister, restart


def test_unregister_of_what_is_not_there(cluster: Cluster) -> None:
    assert cluster.do("n1", "unregister", "lobby").result == "not_registered"


def test_unregister_names_one_incarnation_when_it_is_told_to(cluster: Cluster) -> None:
    first = cluster.do("n1", "register", "lobby")
    second = cluster.do("n2", "restart", "lobby")
    assert cluster.do("n1", "unregister", "lobby", pid=first.pid).result == "not_registered"
    assert cluster.do("n1", "unregister", "lobby", pid=second.pid).result == "done"
    assert cluster.check_once() == 0


def test_epoch_grows_with_each_incarnation_of_a_name(cluster: Cluster) -> None:
    epochs = [cluster.do("n1", "register", "lobby").epoch]
    for verb in ("restart", "move", "move", "restart", "move"):
        cluster.do("n2", verb, "lobby")
        entry = cluster.entry("n1", "lobby")
        assert entry is not None
        epochs.append(entry.epoch)
    cluster.do("n3", "unregister", "lobby")
    epochs.append(cluster.do("n1", "register", "lobby").epoch)
    assert epochs == sorted(set(epochs))


def test_epoch_once_though_a_name_was_ended_under_a_faster_clock() -> None:
    cluster = Cluster()
    cluster.skew("n2", 4.0)
    cluster.start(*NODES)
    cluster.settle()
    cluster.define("n1")
    cluster.settle()
    name = name_decided_by(cluster, "n2")
    first = cluster.do("n1", "register", name)
    cluster.do("n1", "unregister", name)
    cluster.cordon("n2")
    cluster.settle()
    second = cluster.do("n1", "register", name)
    assert host_of(second) != host_of(first)
    assert second.epoch > first.epoch


def test_an_order_that_is_lost_is_given_again_and_obeyed_once(cluster: Cluster) -> None:
    cluster.do("n1", "register", "lobby")
    cluster.do("n1", "move", "lobby", to=next(n for n in NODES if n != arbiter_of(cluster, "lobby")))
    cluster.dropped.add("OrderDone")
    request = cluster.ask("n1", "restart", "lobby")
    cluster.pass_time(2)  # ordered every half second, each time without an answer
    assert request not in cluster.replies
    cluster.dropped.clear()
    cluster.pass_time(2)
    assert cluster.replies[request].result == "done"
    assert sum("restarted lobby" in line for line in cluster.log) == 1


# --------------------------------------------------------------------------------------------------------------- views


def test_no_view_no_answer(cluster: Cluster) -> None:
    """While the others have not reported the same view, claims wait; the deadline ends the wait."""
    name = name_decided_by(cluster, "n1")
    cluster.held.add("Delta>n1")
    cluster.start("n4")
    cluster.pass_time(0.1)
    assert not cluster.nodes["n1"].node.member.ready or arbiter_of(cluster, name) == "n1"
    cluster.held.clear()
    cluster.pass_time(1)
    assert cluster.do("n1", "register", name).result == "started"
    assert cluster.check_once() == 1


def test_one_reply_at_the_deadline_when_nobody_answers(cluster: Cluster) -> None:
    name = name_decided_by(cluster, "n2")
    cluster.dropped.add("Claim")
    request = cluster.ask("n1", "register", name, wait=1.0)
    cluster.pass_time(0.9)
    assert request not in cluster.replies
    cluster.pass_time(0.2)
    assert cluster.replies[request].result == "no_answer"
    cluster.dropped.clear()
    cluster.pass_time(3)
    assert sum(line.startswith(f"n1: {request} ") for line in cluster.log) == 1


def test_registering_goes_on_while_a_node_joins(cluster: Cluster) -> None:
    requests = []
    for number in range(12):
        requests.append(cluster.ask(NODES[number % 3], "register", f"p{number}"))
        if number == 4:
            cluster.start("n4")
        if number % 4 == 0:
            cluster.settle()
    cluster.pass_time(1)
    assert {cluster.replies[request].result for request in requests} == {"started"}
    assert cluster.check_once() == 12


def test_no_node_is_said_when_nobody_hosts(cluster: Cluster) -> None:
    for name in NODES:
        cluster.cordon(name)
    cluster.settle()
    reply = cluster.do("n1", "register", "lobby")
    assert (reply.result, reply.problem) == ("refused", "no_node")


# ------------------------------------------------------------------------------------------------------ acknowledgement


@pytest.mark.parametrize("caller", NODES)
def test_acknowledged_survives(cluster: Cluster, caller: str) -> None:
    """Whoever asked, at the moment of the answer one more live node holds the entry: the host may die right then."""
    cluster.held.add("Ack")
    reply_to = {}
    for number in range(6):
        reply_to[f"p{number}"] = cluster.ask(caller, "register", f"p{number}")
    cluster.settle()
    for process, request in reply_to.items():
        reply = cluster.replies.get(request)
        if reply is not None:
            holders = [name for name in NODES if name != host_of(reply) and cluster.entry(name, process)]
            assert holders
    cluster.held.clear()
    cluster.settle()
    assert all(cluster.replies[request].result == "started" for request in reply_to.values())
    victim = host_of(cluster.replies[reply_to["p0"]])
    cluster.crash(victim)
    cluster.pass_time(2)
    assert cluster.check_once() == 6


def test_the_own_write_is_read_at_once(cluster: Cluster) -> None:
    for number in range(10):
        caller = NODES[number % 3]
        reply = cluster.do(caller, "register", f"p{number}")
        assert cluster.listed(caller)[f"p{number}"][0] == reply.pid


def test_an_acknowledgement_that_is_lost_is_found_again(cluster: Cluster) -> None:
    name = name_decided_by(cluster, "n1")
    cluster.dropped.add("Ack")
    request = cluster.ask("n1", "register", name)
    cluster.settle()
    assert request not in cluster.replies
    cluster.unlink("n1", "n2")
    cluster.unlink("n1", "n3")
    cluster.dropped.clear()
    cluster.pass_time(3)
    assert cluster.replies[request].result == "started"


def test_many_that_wait_for_one_acknowledgement_ask_for_it_once(cluster: Cluster) -> None:
    cluster.dropped.add("Ack")
    names = [name for name in (f"q{number}" for number in range(120)) if arbiter_of(cluster, name) == "n1"]
    requests = [cluster.ask("n1", "register", name) for name in names]
    cluster.settle()
    asks = cluster.nodes["n1"].node.asks
    asked = asks._turn
    cluster.pass_time(2)
    assert asks._turn > asked
    assert asks._turn - asked < len(names), "the work of a wait grows with the time it lasts, not with who waits"
    cluster.dropped.clear()
    cluster.pass_time(3)
    assert {cluster.replies[request].result for request in requests} == {"started"}


def test_alone_a_node_acknowledges_by_itself() -> None:
    cluster = cluster_of("n1")
    assert cluster.do("n1", "register", "lobby").result == "started"
