"""Small clusters of real members: joining, leaving, and whatever faults do to them.

Named invariants: copy-is-map, views-agree, no-view-no-answer (nobody is ready before all reported one view and their
copies are here), ended-stays-ended, ended-is-named.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from registry.core.directory import JOINING, LEFT, UP
from registry.core.events import (
    Joined,
    Ticked,
)
from registry.core.ids import node_of
from registry.core.member import FOREVER, Member, MemberConfig
from registry.core.messages import DIRECTORY
from tests.laws import law, registration
from tests.registry.core.soup import LAN, SWORM, Soup


def test_the_first_of_a_cluster_is_up_by_itself() -> None:
    soup = Soup()
    soup.start("n1.1")
    assert soup.members["n1.1"].record.status == UP
    assert soup.members["n1.1"].ready


def test_a_joining_member_is_in_no_view_until_it_has_every_copy(soup: Soup) -> None:
    soup.members["n1.1"].write(SWORM, {"lobby": registration()})
    soup.step("n1.1", Ticked())
    soup.settle()
    soup.members["n4.1"] = Member("n4.1", MemberConfig(timing=LAN, url="ws://n4"), soup.now)
    soup.wake["n4.1"] = FOREVER
    soup.connect("n4.1", "n1.1")
    soup.step("n4.1", Joined())
    assert soup.members["n4.1"].record.status == JOINING
    soup.step("n1.1", soup.links["n4.1", "n1.1"].popleft())
    assert all("n4.1" not in member.view.agreeing for member in soup.members.values())
    soup.wake["n4.1"] = soup.now
    soup.pass_time(1)
    assert "lobby" in soup.members["n4.1"].replica(SWORM).index
    soup.check_equal()


def test_an_observer_sees_all_and_agrees_about_nothing(soup: Soup) -> None:
    soup.start("o1.1", observing=True)
    soup.pass_time(1)
    assert all("o1.1" not in member.view.agreeing for member in soup.members.values())
    assert soup.members["o1.1"].view == soup.members["n1.1"].view
    assert not soup.members["o1.1"].ready


def test_a_leaver_is_no_member_at_once(soup: Soup) -> None:
    soup.members["n2.1"].set_status(LEFT)
    soup.step("n2.1", Ticked())
    soup.settle()
    assert "n2.1" not in soup.members["n1.1"].view.agreeing
    soup.crash("n2.1")
    soup.pass_time(1)
    soup.check_equal()


def test_a_joiner_does_not_wait_for_what_is_dropped_meanwhile(soup: Soup) -> None:
    soup.crash("n2.1")
    soup.pass_time(1)
    soup.start("n4.1")
    soup.start("n2.2")
    soup.pass_time(3)
    assert soup.members["n4.1"].record.status == UP
    soup.check_equal()


@law(15)
@example(b"\x01\xe5S\x91")  # one node alone in its view ends what a joining one has yet to hand over
@example(b"y\xd1\x13")  # a node is killed and started again while what it told of is being dropped
@given(st.binary(min_size=3, max_size=24))
def test_after_any_faults_views_agree(program: bytes) -> None:
    soup = Soup()
    soup.start("n1.1", "n2.1", "n3.1")
    soup.pass_time(1)
    born = 1
    for number in program:
        origins = sorted(soup.members)
        one = origins[number % len(origins)]
        other = origins[number // 3 % len(origins)]
        verb = number // 9 % 7
        if verb == 0 and one != other:
            soup.block(one, other)
        elif verb == 1:
            soup.blocked.clear()
        elif verb == 2 and len(origins) > 1:
            born += 1
            soup.crash(one)
            soup.start(f"{node_of(one)}.{born}")
        elif verb == 3:
            soup.pass_time(number / 50)
        else:
            soup.members[one].write(SWORM, {f"p{number}": registration(number)})
            soup.step(one, Ticked())
    soup.blocked.clear()
    soup.pass_time(8)
    views = {member.view.id for member in soup.members.values()}
    assert len(views) == 1
    assert all(member.ready for member in soup.members.values())
    versions = [{s: r.versions() for s, r in m.replicas.items() if s != DIRECTORY} for m in soup.members.values()]
    assert all(found == versions[0] for found in versions)
