"""A node that was away holds its calls until one round with its peers: all that they knew is here, or they are gone."""

from __future__ import annotations

from registry.core.absence import Absence, Held
from registry.core.membership import PRESETS
from tests.scenarios.cluster import Cluster
from tests.supervisor.core.test_claims import cluster_of, name_decided_by


def anything(held: Held, peer: str) -> bool:
    return True


def nobody(peer: str) -> bool:
    return False


def test_a_round_ends_when_all_have_answered() -> None:
    absence = Absence()
    number = absence.begin(["n1.1", "n2.1"], until=10.0)
    absence.answered("n1.1", number, {})
    assert not absence.look(1.0, nobody, anything)
    absence.answered("n2.1", number - 1, {})
    assert not absence.look(1.0, nobody, anything), "that was an older round's"
    absence.answered("n2.1", number, {})
    assert absence.look(1.0, nobody, anything)
    assert absence.is_over
    assert not absence.look(1.0, nobody, anything), "it ends once"


def test_what_a_peer_held_must_be_here_first() -> None:
    absence = Absence()
    absence.answered("n1.1", absence.begin(["n1.1"], until=10.0), {"rooms": {"n1.1": 7}})
    assert not absence.look(1.0, nobody, lambda held, peer: held["rooms"]["n1.1"] <= 6)
    assert absence.look(1.0, nobody, lambda held, peer: held["rooms"]["n1.1"] <= 7)


def test_the_dead_are_not_waited_for_and_nobody_for_ever() -> None:
    absence = Absence()
    absence.begin(["n1.1"], until=10.0)
    assert absence.look(1.0, lambda peer: True, anything)
    absence.begin(["n1.1"], until=10.0)
    assert not absence.look(9.9, nobody, anything)
    assert absence.look(10.0, nobody, anything)


def back_after(seconds: float) -> tuple[Cluster, str]:
    cluster = cluster_of("n1", "n2", "n3")
    room = name_decided_by(cluster, "n2")
    cluster.do("n1", "register", room)
    cluster.pause("n2")
    cluster.pass_time(seconds)
    return cluster, room


def test_a_short_pause_is_over_after_one_exchange() -> None:
    cluster, room = back_after(PRESETS["lan"].heartbeat + PRESETS["lan"].timeout / 2 + 0.1)
    cluster.held.add("RoundDone")
    cluster.resume("n2")
    cluster.settle()
    assert cluster.send_to(room, 3) == "held at n2"
    cluster.held.clear()
    cluster.settle()
    assert cluster.send_to(room, 3).startswith("run by n2")


def test_a_blink_holds_nothing() -> None:
    cluster, room = back_after(0.4)
    cluster.resume("n2")
    assert cluster.send_to(room, 3).startswith("run by n2")


def test_after_a_long_pause_nobody_is_answered_by_what_lost_its_name() -> None:
    cluster, room = back_after(10.0)
    worker = cluster.running_worker("n2", room)
    cluster.resume("n2")
    for _ in range(100):
        assert cluster.nodes["n2"].held or not worker.gate.is_open
        cluster.pass_time(0.05)
    assert not cluster.nodes["n2"].held
    assert cluster.check_once() == 1


def test_who_hears_nobody_goes_on_after_a_while() -> None:
    cluster, room = back_after(4.0)
    cluster.cut(["n2"], ["n1", "n3"])
    cluster.resume("n2")
    assert cluster.nodes["n2"].held
    cluster.pass_time(PRESETS["lan"].timeout + 0.1)
    assert not cluster.nodes["n2"].held
    assert cluster.running_worker("n2", room).gate.is_open
