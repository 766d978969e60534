"""Further names and groups: they stand with their process, wherever that goes, and end with it.

Named invariants: ties-follow, one-reply, claim-once.
"""

from __future__ import annotations

import pytest

from registry.core.ids import node_of
from registry.core.names import Spec
from supervisor.core.events import Asked, Defined, Reply
from supervisor.core.spec import Definition
from tests.scenarios.cluster import ANSWERS, ROOMS, Cluster, host_of

NODES = ("n1", "n2", "n3")
MOVE_FRAMES = ("Order", "TakeState", "Prepare", "Start", "Prepared", "Commit", "Opened", "Stop", "OrderDone", "Verdict")


def cluster_of(**definition: object) -> Cluster:
    cluster = Cluster()
    cluster.start(*NODES)
    cluster.settle()
    cluster.define("n1", **({"handoff": True} | definition))
    cluster.settle()
    return cluster


@pytest.fixture
def cluster() -> Cluster:
    return cluster_of()


def give(cluster: Cluster, name: str, pid: str, by: str = "n1", **more: object) -> Reply:
    """A further name for a pid."""
    return cluster.do(by, "register", name, spec=None, pid=pid, **more)


def tied(cluster: Cluster, name: str = "lobby") -> Reply:
    """A process with a further name and two groups."""
    reply = cluster.do("n1", "register", name)
    assert give(cluster, "foyer", reply.pid, by="n2").result == "started"
    for group in ("public", "loud"):
        assert cluster.do("n3", "join", name, group=group).result == "done"
    return reply


def assert_stands(cluster: Cluster, name: str = "lobby") -> None:
    """Everything is where the process is, as every node reads it."""
    cluster.check_once()
    for node in cluster.nodes:
        listed = cluster.listed(node)
        assert listed["foyer"] == listed[name]
        for group in ("public", "loud"):
            assert cluster.members(node, group) == [(name, listed[name][0])]


def assert_gone(cluster: Cluster) -> None:
    for node, running in cluster.nodes.items():
        replica = running.node.member.replica(ROOMS)
        assert cluster.listed(node) == {}
        live = [key for origin, key, _ in replica.entries() if origin not in replica.dead]
        assert [key for key in live if isinstance(key, str) or key[0] == "group"] == []
        assert running.node.context.further == {}


# ------------------------------------------------------------------------------------------------------- further names


def test_a_further_name_finds_the_same_process(cluster: Cluster) -> None:
    reply = cluster.do("n1", "register", "lobby")
    given = give(cluster, "foyer", reply.pid, by="n2")
    assert (given.result, given.pid) == ("started", reply.pid)
    assert cluster.listed("n3") == {"lobby": (reply.pid, "running"), "foyer": (reply.pid, "running")}
    assert sum(running.node.process_count for running in cluster.nodes.values()) == 1


def test_a_name_that_is_taken_is_not_given_even_to_its_own_process(cluster: Cluster) -> None:
    pid = tied(cluster).pid
    other = cluster.do("n2", "register", "attic").pid
    assert [give(cluster, name, pid).result for name in ("lobby", "foyer", "attic")] == ["already_started"] * 3
    assert give(cluster, "foyer", other).result == "already_started"
    assert cluster.do("n3", "register", "foyer").pid == pid


def test_claim_once(cluster: Cluster) -> None:
    pid = cluster.do("n1", "register", "lobby").pid
    replies = [give(cluster, "foyer", pid, by=node, claim="wish") for node in ("n1", "n1", "n3")]
    assert {reply.result for reply in replies} == {"started"}


@pytest.mark.parametrize("pid", ["n2.2.77", "n9.1.1", "nonsense", "n2.2.x"])
def test_a_pid_that_runs_nowhere_gets_no_name_and_no_group(cluster: Cluster, pid: str) -> None:
    assert give(cluster, "foyer", pid).result == "not_registered"
    assert cluster.do("n1", "join", "", pid=pid, group="public").result == "not_registered"
    assert cluster.do("n1", "leave", "", pid=pid, group="public").result == "not_registered"
    assert_gone(cluster)


def test_unregistering_a_further_name_leaves_the_process(cluster: Cluster) -> None:
    pid = tied(cluster).pid
    assert cluster.do("n2", "unregister", "foyer").result == "done"
    assert cluster.listed("n3") == {"lobby": (pid, "running")}
    assert cluster.do("n2", "unregister", "foyer").result == "not_registered"
    assert give(cluster, "foyer", pid).result == "started"
    assert_stands(cluster)


def test_unregistering_the_own_name_ends_everything(cluster: Cluster) -> None:
    tied(cluster)
    assert cluster.do("n3", "unregister", "lobby").result == "done"
    assert_gone(cluster)


def test_what_is_asked_of_a_further_name_is_asked_of_its_process(cluster: Cluster) -> None:
    pid = tied(cluster).pid
    assert cluster.do("n3", "restart", "foyer").result == "done"
    assert_stands(cluster)
    restarted = cluster.listed("n1")["lobby"][0]
    target = next(node for node in NODES if node != node_of(restarted))
    assert host_of(cluster.do("n2", "move", "foyer", to=target)) == target
    assert_stands(cluster)
    assert restarted != pid


# ------------------------------------------------------------------------------------------------------- they follow


def test_they_follow_through_a_crash(cluster: Cluster) -> None:
    reply = tied(cluster)
    epochs = {name: cluster.entry("n1", name).epoch for name in ("lobby", "foyer")}  # type: ignore[union-attr]
    cluster.end_worker(host_of(reply), "lobby", False, "ValueError")
    cluster.settle()
    assert_stands(cluster)
    for name, epoch in epochs.items():
        assert cluster.entry("n1", name).epoch > epoch, name  # type: ignore[union-attr]


def test_they_wait_for_a_restart_with_it(cluster: Cluster) -> None:
    reply = tied(cluster)
    for _ in range(2):
        cluster.end_worker(host_of(reply), "lobby", False, "ValueError")
        cluster.settle()
    assert cluster.listed("n2")["lobby"][1] == "restarting"
    assert cluster.listed("n2")["foyer"] == cluster.listed("n2")["lobby"]
    cluster.pass_time(5.0)
    assert_stands(cluster)


def test_a_process_that_ends_normally_leaves_with_all_its_names_and_groups(cluster: Cluster) -> None:
    reply = tied(cluster)
    cluster.end_worker(host_of(reply), "lobby", True)
    cluster.settle()
    assert_gone(cluster)


def test_they_move_in_one_change_set(cluster: Cluster) -> None:
    reply = tied(cluster)
    target = next(node for node in NODES if node != host_of(reply))
    running = cluster.nodes[target].node
    before = running.member.replica(ROOMS).version(running.origin)
    cluster.do("n1", "move", "lobby", to=target)
    assert_stands(cluster)
    assert running.member.replica(ROOMS).version(running.origin) == before + 1


@pytest.mark.parametrize("frame", MOVE_FRAMES)
@pytest.mark.parametrize("dies", ["source", "target"])
def test_whatever_dies_in_a_move_they_stand_with_their_process(frame: str, dies: str) -> None:
    cluster = cluster_of()
    source = host_of(tied(cluster))
    target = next(name for name in reversed(NODES) if name != source)
    cluster.held.add(frame)
    cluster.ask("n1", "move", "lobby", to=target)
    cluster.settle()
    cluster.crash(source if dies == "source" else target)
    cluster.held.clear()
    cluster.pass_time(6.0)
    assert_stands(cluster)


@pytest.mark.parametrize("frame", [frame for frame in MOVE_FRAMES if frame not in ANSWERS])
def test_whatever_is_lost_in_a_move_they_arrive_with_their_process(frame: str) -> None:
    cluster = cluster_of()
    source = host_of(tied(cluster))
    cluster.held.add(frame)
    cluster.ask("n1", "move", "lobby")
    cluster.settle()
    cluster.lose_kept()
    cluster.held.clear()
    cluster.pass_time(4.0)
    assert_stands(cluster)
    assert node_of(cluster.listed("n1")["lobby"][0]) != source


def test_a_source_that_stops_slowly_leaves_no_name_behind_when_its_own_one_is_given_anew(cluster: Cluster) -> None:
    """Its name is ended elsewhere and registered again here while its worker still stops: the new one has no ties."""
    source = host_of(tied(cluster))
    target = next(name for name in NODES if name != source)
    cluster.held.add(f"Stop>{source}")
    cluster.do("n1", "move", "lobby", to=target)
    assert cluster.do("n1", "unregister", "lobby").result == "done"
    assert host_of(cluster.do("n1", "register", "lobby")) == source
    cluster.held.clear()
    cluster.settle()
    assert cluster.check_once() == 1
    for running in cluster.nodes.values():
        replica = running.node.member.replica(ROOMS)
        assert list(replica.copy(cluster.nodes[source].node.origin).entries) == ["lobby"]
        assert not running.node.context.further


@pytest.mark.parametrize("kind", ["join", "leave", "unregister", "name"])
def test_what_is_asked_during_a_move_waits_for_its_end(cluster: Cluster, kind: str) -> None:
    pid = tied(cluster).pid
    target = next(name for name in NODES if name != node_of(pid))
    cluster.held.add("Prepared")
    cluster.ask("n1", "move", "lobby", to=target)
    cluster.settle()
    match kind:
        case "name":
            request = cluster.ask("n2", "register", "parlour", spec=None, pid=pid)
        case "unregister":
            request = cluster.ask("n2", "unregister", "foyer")
        case _:
            request = cluster.ask("n2", kind, "lobby", group="loud")
    cluster.pass_time(0.3)
    assert request not in cluster.replies
    cluster.held.clear()
    cluster.pass_time(1.0)
    moved = cluster.listed("n1")["lobby"][0]
    assert (node_of(moved), cluster.check_once()) == (target, 1)
    # a pid that is over is nobody's any more; a name is found again
    assert cluster.replies[request].result == ("not_registered" if kind == "name" else "done")
    assert cluster.members("n3", "loud") == ([] if kind == "leave" else [("lobby", moved)])
    assert ("foyer" in cluster.listed("n3")) == (kind != "unregister")


# ------------------------------------------------------------------------------------------------------ death of a node


def test_they_are_restored_with_their_process(cluster: Cluster) -> None:
    reply = tied(cluster)
    cluster.crash(host_of(reply))
    cluster.pass_time(3.0)
    assert_stands(cluster)
    assert host_of(reply) != node_of(cluster.listed(min(cluster.nodes))["lobby"][0])


def test_a_further_name_that_sorts_behind_its_own_is_restored_once(cluster: Cluster) -> None:
    """Whoever restores both does so in one pass over the names: the second has been restored by the first. Of so many
    pairs some have one arbiter for both names.
    """
    count, pids = 40, {}
    for number in range(count):
        pid = pids[f"a{number}"] = cluster.do("n1", "register", f"a{number}").pid
        assert give(cluster, f"a{number}-further", pid).result == "started"
    cluster.crash("n1")
    cluster.pass_time(3.0)
    assert cluster.check_once() == count
    for node in cluster.nodes:
        listed = cluster.listed(node)
        assert {name: listed.get(f"{name}-further") for name in pids} == {name: listed[name] for name in pids}


def test_they_end_with_a_temporary_process() -> None:
    cluster = cluster_of(restart="temporary")
    reply = tied(cluster)
    cluster.crash(host_of(reply))
    cluster.pass_time(3.0)
    assert_gone(cluster)
    assert host_of(cluster.do(min(cluster.nodes), "register", "foyer")) in cluster.nodes


def test_a_further_name_taken_away_stays_away_when_its_node_dies(cluster: Cluster) -> None:
    reply = tied(cluster)
    cluster.do("n1", "unregister", "foyer")
    cluster.crash(host_of(reply))
    cluster.pass_time(3.0)
    assert "foyer" not in cluster.listed(min(cluster.nodes))
    assert cluster.check_once() == 1


# ------------------------------------------------------------------------------------------------------------- conflict


def test_a_further_name_that_loses_costs_only_that_name(cluster: Cluster) -> None:
    """On the larger side of a split somebody registers what is a further name on the smaller one."""
    pid = cluster.do("n1", "register", "lobby").pid
    alone = node_of(pid)
    others = [name for name in NODES if name != alone]
    cluster.cut([alone], others)
    cluster.pass_time(3.0)
    assert give(cluster, "foyer", pid, by=alone).result == "started"
    new = cluster.do(others[0], "register", "foyer")
    assert new.result == "started"
    cluster.heal()
    cluster.pass_time(6.0)
    listed = cluster.listed(alone)
    assert listed["foyer"][0] == new.pid
    assert cluster.check_once() == len(listed) == 2
    assert any("further name 'foyer' is lost" in line for line in cluster.log)


def test_a_split_that_heals_leaves_further_names_with_the_winner(cluster: Cluster) -> None:
    pid = tied(cluster).pid
    alone = node_of(pid)
    cluster.cut([alone], [name for name in NODES if name != alone])
    cluster.pass_time(5.0)
    cluster.heal()
    cluster.pass_time(6.0)
    assert_stands(cluster)
    assert cluster.listed("n1")["lobby"][0] != pid


# --------------------------------------------------------------------------------------------------------------- groups


@pytest.mark.parametrize("last", ["the winner's", "the loser's"])
def test_further_names_of_one_name_go_where_that_goes(cluster: Cluster, last: str) -> None:
    """Both sides of a split have the process and its further name; which of the further entries is newer, or says that
    it was authorised by a majority, does not matter."""
    pid = cluster.do("n1", "register", "lobby").pid
    give(cluster, "foyer", pid)
    alone = next(name for name in NODES if name != node_of(pid))
    cluster.cut([alone], [name for name in NODES if name != alone])
    cluster.pass_time(3.0)
    assert cluster.listed(alone)["foyer"] == cluster.listed(alone)["lobby"]
    for node in (alone, node_of(pid)) if last == "the winner's" else (node_of(pid), alone):
        assert cluster.do(node, "unregister", "foyer").result == "done"
        cluster.pass_time(0.1)
        assert give(cluster, "foyer", cluster.listed(node)["lobby"][0], by=node).result == "started"
    cluster.heal()
    cluster.pass_time(6.0)
    assert cluster.check_once() == 1
    for node in cluster.nodes:
        assert cluster.listed(node)["foyer"] == cluster.listed(node)["lobby"]


def test_joining_and_leaving_are_repeatable(cluster: Cluster) -> None:
    pid = cluster.do("n1", "register", "lobby").pid
    for kind, members in (("join", [("lobby", pid)]), ("leave", [])):
        for node in NODES:
            assert cluster.do(node, kind, "", pid=pid, group="public").result == "done"
            assert cluster.do(node, kind, "lobby", group="public").result == "done"
            assert [cluster.members(each, "public") for each in NODES] == [members] * 3


def test_an_unknown_name_joins_nothing(cluster: Cluster) -> None:
    assert cluster.do("n2", "join", "nobody", group="public").result == "not_registered"
    assert cluster.do("n2", "leave", "nobody", group="public").result == "not_registered"
    assert_gone(cluster)


def test_a_process_that_starts_may_join_a_group_and_take_a_name(cluster: Cluster) -> None:
    """As a worker's `init` does: its own registration is not answered before."""
    cluster.held.add("Start")
    request = cluster.ask("n1", "register", "lobby")
    cluster.settle()
    pid, state = cluster.listed("n2")["lobby"]
    assert (state, request in cluster.replies) == ("starting", False)
    assert cluster.do("n2", "join", "", pid=pid, group="public").result == "done"
    assert give(cluster, "foyer", pid).result == "started"
    cluster.held.clear()
    cluster.settle()
    assert cluster.replies[request].pid == pid
    assert cluster.members("n3", "public") == [("lobby", pid)]
    assert cluster.check_once() == 1


# --------------------------------------------------------------------------------------------------------------- guests

BOTS = "bots"


def guest(cluster: Cluster) -> Reply:
    """A process of the rooms with a name among the bots."""
    for node in NODES:
        cluster.give(node, Defined(Definition(BOTS, 1)))
    cluster.settle()
    reply = cluster.do("n1", "register", "lobby")
    assert ask_bots(cluster, "n2", "register", "doorman", pid=reply.pid).result == "started"
    assert ask_bots(cluster, "n3", "join", "doorman", group="staff").result == "done"
    assert ask_bots(cluster, "n3", "join", "", pid=reply.pid, group="night").result == "done"
    for node in cluster.nodes.values():
        replica = node.node.member.replica(BOTS)
        assert {name: best.pid for name, best in replica.index.items()} == {"doorman": reply.pid}
        assert replica.members("staff") == replica.members("night") == [("doorman", reply.pid)]
    return reply


def ask_bots(cluster: Cluster, node: str, kind: str, name: str, **more: str) -> Reply:
    cluster.requests += 1
    request = f"b{cluster.requests}"
    cluster.give(node, Asked(request, kind, BOTS, name, cluster.now + 5.0, request, **more))  # type: ignore[arg-type]
    cluster.settle()
    return cluster.replies[request]


def assert_no_bots(cluster: Cluster) -> None:
    for running in cluster.nodes.values():
        replica = running.node.member.replica(BOTS)
        assert (replica.index, replica.members("staff"), replica.members("night")) == ({}, [], [])


@pytest.mark.parametrize("end", ["crash", "exit", "restart", "move", "node", "own", "name"])
def test_a_guests_name_ends_with_its_incarnation(cluster: Cluster, end: str) -> None:
    reply = guest(cluster)
    host = host_of(reply)
    match end:
        case "crash" | "exit":
            cluster.end_worker(host, "lobby", end == "exit", "ValueError")
        case "restart":
            cluster.do("n2", "restart", "lobby")
        case "move":
            cluster.do("n2", "move", "lobby")
        case "node":
            cluster.crash(host)
        case "own":
            cluster.do("n2", "unregister", "lobby")
        case "name":
            assert ask_bots(cluster, "n1", "unregister", "doorman").result == "done"
    cluster.pass_time(3.0)
    assert_no_bots(cluster)
    assert cluster.check_once() == (0 if end in ("exit", "own") else 1)
    assert ask_bots(cluster, min(cluster.nodes), "register", "doorman", spec=Spec("good:Bot")).result == "started"  # type: ignore[arg-type]


def test_a_guest_is_neither_moved_nor_restarted_by_that_name(cluster: Cluster) -> None:
    guest(cluster)
    for kind in ("restart", "move"):
        reply = ask_bots(cluster, "n1", kind, "doorman")
        assert (reply.result, "another sworm" in reply.detail) == ("refused", True)
