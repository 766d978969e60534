"""`forgetting` in small clusters: what is over stays over, and nothing else is.

Named invariants: ended-stays-ended, ended-is-named.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.directory import ENDED, ENDED_KEPT, LEFT
from registry.core.events import Ticked
from registry.core.member import next_origin
from registry.core.membership import ended_of, has_ended, highest_ended, with_ended
from registry.core.origin import VersionedMap
from tests.laws import law, registration
from tests.registry.core.soup import SWORM, Soup


def test_ended_stays_ended(soup: Soup) -> None:
    soup.crash("n2.1")
    soup.start("n2.2")
    soup.pass_time(3)
    assert "n2.1" not in soup.states("n1.1")
    soup.check_equal()
    for member in soup.members.values():
        assert member.is_over("n2.1")
        assert member.admit("n2.1") == 2
        assert member.admit("n2.2") is None
        assert member.directory[member.origin].entries[ENDED, "n2"] == (1,)


def test_what_a_departed_origin_alone_says_is_kept(soup: Soup) -> None:
    """Its entry is work that nobody has done yet: the copy stays until somebody has."""
    soup.members["n2.1"].write(SWORM, {"lobby": registration(3)})
    soup.step("n2.1", Ticked())
    soup.settle()
    soup.crash("n2.1")
    soup.start("n2.2")
    soup.pass_time(3)
    replica = soup.members["n1.1"].replica(SWORM)
    assert replica.orphans("n2.1")
    soup.members["n1.1"].write(SWORM, {"lobby": registration(4)})
    soup.pass_time(3)
    assert "n2.1" not in replica.copies
    soup.check_equal()


def test_no_incarnation_is_used_twice() -> None:
    assert next_origin("n1", 5.0, 0) == "n1.5000"
    assert next_origin("n1", 5.0, 9_000) == "n1.9001"


def waiting_behind_a_split() -> Soup:
    """n1.1 died and a name of it waits; n3 started apart, knew n1.2 alone, and ended it when n1.3 was there."""
    soup = Soup()
    soup.start("n1.1", "n2.1")
    soup.pass_time(1)
    soup.members["n1.1"].write(SWORM, {"lobby": registration(3)})
    soup.step("n1.1", Ticked())
    soup.settle()
    soup.crash("n1.1")
    soup.pass_time(3)
    soup.blocked = {frozenset({"n2.1", other}) for other in ("n1.2", "n1.3", "n3.1")}
    soup.start("n1.2", "n3.1")
    soup.pass_time(2)
    soup.crash("n1.2")
    soup.start("n1.3")
    soup.pass_time(3)
    assert soup.members["n3.1"].is_over("n1.2")
    return soup


def test_a_mark_covers_no_incarnation_that_its_writer_never_knew() -> None:
    soup = waiting_behind_a_split()
    assert not soup.members["n3.1"].is_over("n1.1")
    soup.blocked.clear()
    soup.connect("n3.1", "n2.1")
    soup.pass_time(5)
    assert all(member.replica(SWORM).orphans("n1.1") for member in soup.members.values())
    soup.check_equal()
    soup.members["n3.1"].write(SWORM, {"lobby": registration(4)})
    soup.pass_time(3)
    assert all(member.is_over("n1.1") for member in soup.members.values())
    soup.check_equal()


@pytest.mark.parametrize("leaves", [False, True])
def test_an_incarnation_below_one_that_is_over_is_never_alive_again(leaves: bool) -> None:
    """Its later one is forgotten while its own name waits: what is left of it is work, and no member of a view."""
    soup = Soup()
    soup.start("n1.1", "n2.1", "n3.1")
    soup.pass_time(1)
    soup.members["n1.1"].write(SWORM, {"lobby": registration(3)})
    if leaves:
        soup.members["n1.1"].set_status(LEFT)
    soup.step("n1.1", Ticked())
    soup.settle()
    soup.crash("n1.1")
    soup.start("n1.2")
    soup.pass_time(2)
    soup.members["n1.2"].set_status(LEFT)
    soup.step("n1.2", Ticked())
    soup.settle()
    soup.crash("n1.2")
    views = set()
    for _ in range(40):
        soup.pass_time(0.1)
        views.add(soup.members["n2.1"].view.agreeing)
    assert all(member.is_over("n1.2") and "n1.1" in member.dead for member in soup.members.values())
    assert all(member.admit("n1.2") == 2 for member in soup.members.values())
    assert views == {frozenset({"n2.1", "n3.1"})}
    assert all("lobby" not in member.replica(SWORM).index for member in soup.members.values())
    assert not soup.members["n2.1"].has_not_left("n1.1")
    soup.members["n2.1"].write(SWORM, {"lobby": registration(4)})
    soup.pass_time(3)
    assert all(member.is_over("n1.1") for member in soup.members.values())
    assert all(member.left == {"n1": 2} for member in soup.members.values())
    soup.check_equal()


def test_what_is_over_is_not_taken_from_a_node_that_was_away(soup: Soup) -> None:
    soup.members["n2.1"].write(SWORM, {"lobby": registration(3)})
    soup.step("n2.1", Ticked())
    soup.settle()
    soup.crash("n2.1")
    soup.pass_time(1)
    soup.start("n4.1")
    soup.pass_time(1)
    for other in ("n1.1", "n4.1"):
        soup.block("n3.1", other)
    soup.pass_time(4)
    soup.blocked.add(frozenset({"n3.1", "n2.2"}))
    soup.start("n2.2")
    soup.members["n1.1"].write(SWORM, {"lobby": registration(4)})
    soup.pass_time(4)
    assert soup.members["n1.1"].is_over("n2.1")
    assert soup.members["n4.1"].is_over("n2.1")
    assert "n2.1" in soup.members["n3.1"].directory
    soup.blocked.clear()
    for _ in range(30):
        soup.pass_time(0.2)
        assert not any("n2.1" in soup.members[origin].replica(SWORM).copies for origin in ("n1.1", "n4.1"))
    assert soup.members["n3.1"].is_over("n2.1")
    soup.check_equal()


@law(60)
@given(st.lists(st.integers(1, 400), max_size=200), st.integers(1, 400))
def test_a_mark_is_exact_while_it_is_not_full_and_forgets_nothing(ended: list[int], other: int) -> None:
    """ended-stays-ended and ended-is-named, in bounded memory, against a plain set."""
    copies: dict[str, VersionedMap] = {"n2.1": VersionedMap()}
    for number in ended:
        if not has_ended(copies, "n2.1", f"n1.{number}"):
            mark = with_ended(ended_of(copies, "n2.1", "n1"), number)
            copies["n2.1"].write({(ENDED, "n1"): mark})
    mark = ended_of(copies, "n2.1", "n1")
    assert list(mark) == sorted(set(ended))[-ENDED_KEPT:]
    assert all(has_ended(copies, "n2.1", f"n1.{number}") for number in ended)
    old = len(mark) == ENDED_KEPT and other < mark[0]
    assert has_ended(copies, "n2.1", f"n1.{other}") is (other in ended or old)
    assert highest_ended(copies, "n2.1", "n1") == max(ended, default=0)
    assert not has_ended(copies, "n2.1", f"n3.{other}")
