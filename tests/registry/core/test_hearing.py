"""`hearing` in small clusters: silence, suspicion, death, and what is forgiven."""

from __future__ import annotations

from registry.core.events import Ticked
from registry.core.member import FOREVER
from tests.laws import registration
from tests.registry.core.soup import LAN, SWORM, Soup


def test_a_killed_member_is_dead_within_the_suspicion_time(soup: Soup) -> None:
    soup.crash("n2.1")
    soup.pass_time(LAN.suspicion / 2)
    assert soup.states("n1.1")["n2.1"] == "suspect"
    soup.pass_time(LAN.suspicion)
    assert soup.states("n1.1")["n2.1"] == soup.states("n3.1")["n2.1"] == "dead"
    soup.check_equal()


def test_a_member_that_one_other_reaches_is_not_dead(soup: Soup) -> None:
    soup.block("n1.1", "n2.1")
    soup.pass_time(10)
    assert soup.states("n1.1")["n2.1"] == soup.states("n2.1")["n1.1"] == "alive"
    soup.members["n1.1"].write(SWORM, {"lobby": registration()})
    soup.pass_time(1)
    assert "lobby" in soup.members["n2.1"].replica(SWORM).index  # by way of n3
    soup.check_equal()


def test_a_paused_member_forgives_the_others_their_silence(soup: Soup) -> None:
    soup.now += 60
    soup.wake["n2.1"] = FOREVER
    soup.step("n2.1", Ticked())
    assert ("n2.1", "paused", "n2") in soup.reports
    assert soup.states("n2.1")["n1.1"] == "alive"
