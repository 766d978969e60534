"""Starts, restarts and stops: listed before it is started, unlisted after it is gone, one crash loop costs itself.

Named invariants: runs-is-registered, intensity-is-per-process.
"""

from __future__ import annotations

import pytest

from registry.core.names import FAILED, RESTARTING, RUNNING, STARTING, Spec
from tests.scenarios.cluster import Cluster, host_of


def one_node(**definition: object) -> Cluster:
    cluster = Cluster()
    cluster.start("n1")
    cluster.settle()
    cluster.define("n1", **definition)
    cluster.settle()
    return cluster


def crash(cluster: Cluster, process: str = "lobby", times: int = 1) -> None:
    for _ in range(times):
        cluster.end_worker("n1", process, normal=False, detail="boom")
        cluster.pass_time(0.3)


def state(cluster: Cluster, process: str = "lobby") -> str:
    entry = cluster.entry("n1", process)
    return entry.state if entry else ""


def test_a_process_is_listed_before_its_worker_runs_and_open_only_after() -> None:
    cluster = one_node()
    cluster.held.add("Start")
    cluster.ask("n1", "register", "lobby")
    cluster.settle()
    assert state(cluster) == STARTING
    assert cluster.where("lobby") == []
    cluster.held.clear()
    cluster.settle()
    assert state(cluster) == RUNNING
    assert cluster.where("lobby") == ["n1"]


def test_a_process_is_unlisted_only_after_its_worker_is_gone() -> None:
    cluster = one_node()
    cluster.do("n1", "register", "lobby")
    cluster.held.add("Stop")
    request = cluster.ask("n1", "unregister", "lobby")
    cluster.settle()
    assert state(cluster) == RUNNING
    assert cluster.where("lobby") == []
    assert request not in cluster.replies
    cluster.held.clear()
    cluster.settle()
    assert state(cluster) == ""
    assert cluster.replies[request].result == "done"


def test_a_crash_makes_a_new_incarnation_with_a_higher_epoch() -> None:
    cluster = one_node()
    before = cluster.do("n1", "register", "lobby")
    crash(cluster)
    entry = cluster.entry("n1", "lobby")
    assert entry is not None
    assert entry.epoch > before.epoch
    assert entry.restarts == 1
    assert entry.claim == before.request
    assert cluster.check_once() == 1


def test_intensity_is_per_process() -> None:
    cluster = one_node(max_restarts=3, max_seconds=5.0)
    for process in ("lobby", "attic"):
        cluster.do("n1", "register", process)
    crash(cluster, times=3)
    assert state(cluster) == RUNNING
    crash(cluster)
    assert state(cluster) == FAILED
    assert cluster.where("attic") == ["n1"]
    crash(cluster, "attic")
    assert state(cluster, "attic") == RUNNING


def test_old_restarts_do_not_count() -> None:
    cluster = one_node(max_restarts=1, max_seconds=1.0)
    cluster.do("n1", "register", "lobby")
    for _ in range(5):
        crash(cluster)
        cluster.pass_time(2)
    assert state(cluster) == RUNNING


def test_restarts_back_off() -> None:
    cluster = one_node()
    cluster.do("n1", "register", "lobby")
    cluster.end_worker("n1", "lobby", normal=False)
    cluster.settle()
    assert state(cluster) == RUNNING  # the first at once
    cluster.end_worker("n1", "lobby", normal=False)
    cluster.settle()
    assert state(cluster) == RESTARTING
    cluster.pass_time(0.06)
    assert state(cluster) == RUNNING


@pytest.mark.parametrize("verb", ["unregister", "restart"])
@pytest.mark.parametrize("phase", ["restarting", "failed", "starting"])
def test_every_verb_works_in_every_phase(verb: str, phase: str) -> None:
    cluster = one_node(max_restarts=0 if phase == "failed" else 3)
    cluster.do("n1", "register", "lobby")
    if phase == "starting":
        cluster.held.add("Start")
    cluster.end_worker("n1", "lobby", normal=False)
    cluster.settle()
    if phase == "restarting":
        cluster.end_worker("n1", "lobby", normal=False)
        cluster.settle()
    assert state(cluster) == phase
    request = cluster.ask("n1", verb, "lobby")
    cluster.settle()
    cluster.held.clear()
    cluster.pass_time(1)
    assert cluster.replies[request].result == "done"
    assert cluster.check_once() == (verb == "restart")


def test_a_restart_whose_start_fails_counts_as_a_crash() -> None:
    cluster = one_node(max_restarts=2)
    cluster.held.add("Start")
    first = cluster.ask("n1", "register", "lobby")
    cluster.settle()
    cluster.held.clear()
    cluster.settle()
    worker = cluster.running_worker("n1", "lobby")
    process = cluster.nodes["n1"].node.context.processes[worker.start.serial]
    process.spec = Spec("bad:Worker")  # its code went away meanwhile
    crash(cluster, times=1)
    cluster.pass_time(2)
    assert cluster.replies[first].result == "started"
    assert state(cluster) == FAILED


def test_a_worker_that_ends_while_it_starts_is_a_failed_start() -> None:
    cluster = one_node(restart="temporary")
    cluster.held.add("Start")
    request = cluster.ask("n1", "register", "lobby")
    cluster.settle()
    cluster.end_worker("n1", "lobby", normal=False, detail="gone")
    cluster.settle()
    assert cluster.replies[request].result == "refused"
    assert cluster.replies[request].problem == "start_failed"


@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_a_first_start_that_ends_in_a_crash_is_answered_and_leaves_nothing(restart: str) -> None:
    """An answer other than 'started' leaves nothing registered, whatever the restart policy."""
    cluster = one_node(restart=restart)
    cluster.held.add("Start")
    request = cluster.ask("n1", "register", "lobby")
    cluster.settle()
    cluster.end_worker("n1", "lobby", normal=False, detail="gone")
    cluster.lose_kept()
    cluster.held.clear()
    cluster.pass_time(1)
    assert cluster.replies[request].result == "refused"
    assert cluster.check_once() == 0


def test_names_of_a_dead_node_come_back_and_those_of_others_are_untouched() -> None:
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1")
    cluster.settle()
    replies = {f"p{n}": cluster.do("n1", "register", f"p{n}") for n in range(24)}
    cluster.crash("n2")
    cluster.pass_time(2)
    assert cluster.check_once() == 24
    for process, reply in replies.items():
        entry = cluster.entry("n1", process)
        assert entry is not None
        moved = cluster.listed("n1")[process][0] != reply.pid
        assert moved == (host_of(reply) == "n2")
        assert (entry.epoch > reply.epoch) == moved
