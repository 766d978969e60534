"""Checkpoints: the state of a process whose node dies goes on elsewhere, as old as is told; nothing else uses it.

Named invariants: checkpoint-is-of-the-incarnation, runs-is-registered.
"""

from __future__ import annotations

from collections import Counter

import pytest

from supervisor.core import checkpoints
from supervisor.core.checkpoints import WIDTH
from supervisor.core.events import TakeCheckpoint
from supervisor.core.restoring import Restoring
from supervisor.core.spec import Definition, check
from tests.scenarios.cluster import ROOMS, Cluster

#: Seconds until a dead node's names run elsewhere.
LONG = 6.0


def keeping(count: int = 3, copies: int = 1, ballast: int = 0, **definition: object) -> Cluster:
    cluster = Cluster()
    cluster.ballast = ballast
    cluster.start(*(f"n{number}" for number in range(1, count + 1)))
    cluster.settle()
    cluster.define("n1", checkpoint_interval_ms=1_000, checkpoint_copies=copies, **definition)
    cluster.settle()
    cluster.do("n1", "register", "lobby")
    return cluster


def home(cluster: Cluster) -> str:
    (name,) = cluster.where("lobby")
    return name


def number(cluster: Cluster) -> int:
    return cluster.running_worker(home(cluster), "lobby").value


def copies(cluster: Cluster) -> dict[str, bytes]:
    return {
        name: copy.state
        for name, running in cluster.nodes.items()
        for slot, copy in running.node.checkpoints.kept.items()
        if slot == (ROOMS, "lobby")
    }


@pytest.mark.parametrize("ballast", [0, 300_000])
@pytest.mark.parametrize("wanted", [1, 2])
def test_so_many_other_nodes_keep_the_newest(wanted: int, ballast: int) -> None:
    cluster = keeping(copies=wanted, ballast=ballast)
    cluster.send_to("lobby", 5)
    cluster.pass_time(1.5)
    cluster.send_to("lobby", 2)
    cluster.pass_time(1.5)
    kept = copies(cluster)
    assert len(kept) == wanted
    assert home(cluster) not in kept
    assert {int(state) for state in kept.values()} == {7}


@pytest.mark.parametrize("ballast", [0, 300_000])
def test_a_state_outlives_its_node_and_its_age_is_told(ballast: int) -> None:
    cluster = keeping(ballast=ballast)
    cluster.send_to("lobby", 5)
    cluster.pass_time(2.0)
    cluster.crash(home(cluster))
    cluster.pass_time(LONG)
    assert (cluster.check_once(), number(cluster)) == (1, 5)
    age = cluster.running_worker(home(cluster), "lobby").start.restored_age_ms
    assert age is not None
    assert 0 <= age <= 2_000
    assert any("it goes on with the state of" in line for line in cluster.log)


def test_however_many_states_are_fetched_each_name_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = keeping()
    names = [f"p{at}" for at in range(150)]
    for name in names:
        cluster.do("n1", "register", name)
    cluster.pass_time(2.0)
    lost = [name for name in names if cluster.where(name) == ["n2"]]
    cluster.dropped.add("Keep")
    cluster.start("n4")  # decides about some of them, and holds none of their states
    cluster.settle()
    looks: Counter[str] = Counter()
    plain = Restoring.restore

    def restore(self: Restoring, slot: tuple[str, str]) -> object:
        if self.context.member.node == "n4":
            looks[slot[1]] += 1
        return plain(self, slot)

    monkeypatch.setattr(Restoring, "restore", restore)
    cluster.crash("n2")
    cluster.pass_time(LONG)
    assert sum("it goes on with the state of" in line for line in cluster.log) >= len(lost)
    assert len(looks) > 10
    assert max(looks.values()) <= min(looks.values()) + 2  # however many were fetched before it


def test_what_was_acknowledged_since_is_what_the_age_says() -> None:
    cluster = keeping()
    cluster.send_to("lobby", 5)
    cluster.pass_time(2.0)
    cluster.send_to("lobby", 1)
    cluster.crash(home(cluster))
    cluster.pass_time(LONG)
    assert number(cluster) == 5


@pytest.mark.parametrize("holder_too", [False, True])
def test_a_restored_process_is_safe_again_at_once(holder_too: bool) -> None:
    cluster = keeping(count=4, copies=2, handoff=True)
    cluster.send_to("lobby", 5)
    cluster.pass_time(2.0)
    for _ in range(2):
        if holder_too:
            cluster.crash(home(cluster))
        else:
            cluster.do(min(cluster.nodes), "move", "lobby")
        cluster.pass_time(LONG)
        assert number(cluster) == 5


def test_a_worker_that_crashes_starts_afresh() -> None:
    cluster = keeping()
    cluster.send_to("lobby", 5)
    cluster.pass_time(2.0)
    cluster.end_worker(home(cluster), "lobby", normal=False)
    cluster.pass_time(0.1)
    assert number(cluster) == 0
    cluster.crash(home(cluster))
    cluster.pass_time(LONG)
    assert number(cluster) == 0


def test_after_a_move_the_copies_are_of_the_moved_process() -> None:
    cluster = keeping(handoff=True)
    cluster.send_to("lobby", 5)
    cluster.pass_time(2.0)
    cluster.do("n1", "move", "lobby")
    cluster.crash(home(cluster))
    cluster.pass_time(LONG)
    assert (cluster.check_once(), number(cluster)) == (1, 5)


def test_nothing_is_kept_of_what_has_ended() -> None:
    cluster = keeping()
    cluster.send_to("lobby", 5)
    cluster.pass_time(2.0)
    assert copies(cluster)
    cluster.do("n1", "unregister", "lobby")
    cluster.pass_time(5.0)
    assert copies(cluster) == {}
    cluster.do("n1", "register", "lobby")
    cluster.crash(home(cluster))
    cluster.pass_time(LONG)
    assert number(cluster) == 0


def test_a_sworm_may_stop_keeping() -> None:
    cluster = keeping()
    cluster.pass_time(2.0)
    cluster.define(min(cluster.nodes), checkpoint_interval_ms=0, checkpoint_copies=0)
    cluster.pass_time(5.0)
    assert copies(cluster) == {}
    asked = len(taken(cluster, 3.0))
    assert asked == 0


def taken(cluster: Cluster, seconds: float) -> list[TakeCheckpoint]:
    """What is asked of workers in a while."""
    seen: list[TakeCheckpoint] = []
    plain = cluster.carry_out

    def carry_out(name: str, running: object, effect: object) -> None:
        if isinstance(effect, TakeCheckpoint):
            seen.append(effect)
        plain(name, running, effect)  # type: ignore[arg-type]

    cluster.carry_out = carry_out  # type: ignore[method-assign]
    cluster.pass_time(seconds)
    cluster.carry_out = plain  # type: ignore[method-assign]
    return seen


def test_each_process_is_asked_once_an_interval_and_not_all_at_once() -> None:
    cluster = keeping(count=2)
    for at in range(40):
        cluster.do("n1", "register", f"p{at}")
    cluster.pass_time(2.0)
    seen = taken(cluster, 10.0)
    assert 41 * 8 <= len(seen) <= 41 * 11
    assert max(len(taken(cluster, 0.1)) for _ in range(10)) < min(41, WIDTH)


def test_where_more_are_due_than_may_be_asked_nobody_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "WIDTH", 3)
    cluster = keeping(count=2)
    for at in range(40):
        cluster.do("n1", "register", f"p{at}")
    cluster.define("n1", checkpoint_interval_ms=100, checkpoint_copies=1)
    cluster.pass_time(2.0)
    asked = Counter(effect.serial for effect in taken(cluster, 5.0))
    assert len(asked) >= 20
    assert min(asked.values()) >= 3


def test_a_shorter_interval_counts_at_once() -> None:
    cluster = keeping()
    cluster.define("n1", checkpoint_interval_ms=86_400_000, checkpoint_copies=1)
    cluster.pass_time(3.0)
    assert taken(cluster, 5.0) == []
    cluster.define("n1", checkpoint_interval_ms=500, checkpoint_copies=1)
    assert len(taken(cluster, 5.0)) >= 8


def test_lost_frames_cost_no_more_than_an_interval() -> None:
    cluster = keeping()
    cluster.dropped.add("Keep")
    cluster.send_to("lobby", 5)
    cluster.pass_time(3.0)
    assert copies(cluster) == {}
    cluster.dropped.clear()
    cluster.pass_time(1.5)
    assert copies(cluster)


def test_a_checkpoint_of_a_node_that_has_departed_comes_too_late() -> None:
    """Whoever restores its processes may have been told what is held: what came then would be held, and called lost."""
    cluster = keeping(count=2)
    cluster.held.add("Keep")
    cluster.pass_time(1.5)
    ((holder, late, _),) = cluster.kept
    checkpoints = cluster.nodes[holder].node.checkpoints
    cluster.crash(home(cluster))
    cluster.pass_time(LONG)
    checkpoints.on_keep(late.origin, late.message)
    assert checkpoints.kept == {}


@pytest.mark.parametrize(
    ("interval", "kept", "field"),
    [
        (0, 1, "checkpoint_interval_ms"),
        (1_000, 0, "checkpoint_copies"),
        (99, 1, "checkpoint_interval_ms"),
        (-1, 1, "checkpoint_interval_ms"),
        (1_000, 9, "checkpoint_copies"),
        (True, 1, "checkpoint_interval_ms"),
    ],
)
def test_one_field_without_the_other_is_refused(interval: int, kept: int, field: str) -> None:
    assert list(check(Definition("rooms", checkpoint_interval_ms=interval, checkpoint_copies=kept))) == [field]
