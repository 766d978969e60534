"""Small clusters of real members: joining, death, refutation, views, and the end of incarnations.

Named invariants: copy-is-map, views-agree, no-view-no-answer (nobody is ready before all reported one view and their
copies are here), ended-stays-ended, ended-is-named.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.core.directory import ENDED, ENDED_KEPT, JOINING, LEFT, UP, VIEW, ViewRecord
from registry.core.events import (
    Connect,
    Disconnect,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    Received,
    Report,
    Send,
    Ticked,
    Wake,
)
from registry.core.ids import node_of
from registry.core.member import FOREVER, Member, MemberConfig, next_origin
from registry.core.membership import PRESETS, ended_of, has_ended, highest_ended, with_ended
from registry.core.messages import DIRECTORY
from registry.core.origin import VersionedMap
from tests.laws import law, registration

LAN = PRESETS["lan"]
SWORM = "rooms"


@dataclass
class Soup:
    """Members with ordered links; a blocked pair has none."""

    now: float = 1_700_000_000.0
    members: dict[str, Member] = field(default_factory=dict)
    links: dict[tuple[str, str], deque[Any]] = field(default_factory=dict)
    blocked: set[frozenset[str]] = field(default_factory=set)
    wake: dict[str, float] = field(default_factory=dict)
    reports: list[tuple[str, str, str]] = field(default_factory=list)

    def start(self, *origins: str, **config: Any) -> None:
        for origin in origins:
            url = f"ws://{node_of(origin)}"
            self.members[origin] = Member(origin, MemberConfig(**({"timing": LAN, "url": url} | config)), self.now)
            self.wake[origin] = self.now
            for other in list(self.members):
                if other != origin:
                    self.connect(origin, other)
            self.step(origin, Joined())
        self.settle()

    def crash(self, origin: str) -> None:
        del self.members[origin], self.wake[origin]
        for one, other in [pair for pair in self.links if origin in pair]:
            del self.links[one, other]
            if other == origin:
                self.step(one, LinkDown(origin, "closed"))

    def block(self, one: str, other: str) -> None:
        self.blocked.add(frozenset({one, other}))
        for here, there in ((one, other), (other, one)):
            if self.links.pop((here, there), None) is not None:
                self.step(here, LinkDown(there, "closed"))

    def connect(self, one: str, other: str) -> None:
        reachable = other in self.members and frozenset({one, other}) not in self.blocked
        if not reachable:
            self.step(one, LinkRefused(other, other not in self.members, "no answer"))
        elif (one, other) not in self.links and not self.members[other].admit(one):
            self.links[one, other], self.links[other, one] = deque(), deque()
            self.step(one, LinkUp(other))
            self.step(other, LinkUp(one))

    def step(self, origin: str, event: Any) -> None:
        for effect in self.members[origin].step(event, self.now):
            match effect:
                case Send(to, message) if (origin, to) in self.links:
                    self.links[origin, to].append(Received(origin, message))
                case Connect(other):
                    self.connect(origin, other)
                case Disconnect(other):
                    for pair in ((origin, other), (other, origin)):
                        if self.links.pop(pair, None) is not None and pair[0] in self.members:
                            self.step(pair[0], LinkDown(pair[1], "closed"))
                case Wake(at):
                    self.wake[origin] = min(self.wake[origin], at)
                case Report():
                    self.reports.append((origin, effect.kind, effect.node))

    def settle(self) -> None:
        for _ in range(20_000):
            due = [o for o in sorted(self.wake) if self.wake[o] <= self.now]
            full = [pair for pair in sorted(self.links) if self.links[pair]]
            if due:
                self.wake[due[0]] = FOREVER
                self.step(due[0], Ticked())
            elif full:
                self.step(full[0][1], self.links[full[0]].popleft())
            else:
                return
        raise AssertionError("the members do not come to rest")

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        self.settle()
        while (soonest := min(self.wake.values())) <= end:
            self.now = max(self.now, soonest)
            self.settle()
        self.now = end

    def states(self, origin: str) -> dict[str, str]:
        return {info.origin: info.state for info in self.members[origin].members()}

    def check_equal(self) -> None:
        """views-agree and copy-is-map, once all is quiet."""
        first, *others = self.members.values()
        for other in others:
            assert other.view == first.view
            for sworm in first.replicas.keys() | other.replicas.keys():
                one, two = first.replica(sworm), other.replica(sworm)
                assert one.versions() == two.versions()
                for origin in one.versions():
                    assert one.copy(origin).entries == two.copy(origin).entries
        assert all(member.ready for member in self.members.values() if not member.config.observing)


@pytest.fixture
def soup() -> Soup:
    soup = Soup()
    soup.start("n1.1", "n2.1", "n3.1")
    soup.pass_time(1)
    return soup


# ------------------------------------------------------------------------------------------------------------ joining


def test_members_come_to_one_view(soup: Soup) -> None:
    soup.check_equal()
    assert soup.members["n1.1"].view.agreeing == {"n1.1", "n2.1", "n3.1"}


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


# ------------------------------------------------------------------------------------------------------ death, refutal


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


def test_both_sides_of_a_split_go_on_and_agree_again_after_it(soup: Soup) -> None:
    soup.block("n1.1", "n2.1")
    soup.block("n1.1", "n3.1")
    soup.pass_time(5)
    assert soup.members["n1.1"].view.agreeing == {"n1.1"}
    assert soup.members["n2.1"].view.agreeing == {"n2.1", "n3.1"}
    assert soup.members["n1.1"].ready
    soup.members["n1.1"].write(SWORM, {"lobby": registration()})
    soup.blocked.clear()
    soup.pass_time(2)
    soup.check_equal()
    assert all(member.record.refutation > 0 for member in soup.members.values())


def test_a_paused_member_forgives_the_others_their_silence(soup: Soup) -> None:
    soup.now += 60
    soup.wake["n2.1"] = FOREVER
    soup.step("n2.1", Ticked())
    assert ("n2.1", "paused", "n2") in soup.reports
    assert soup.states("n2.1")["n1.1"] == "alive"


# -------------------------------------------------------------------------------------------------------------- the end


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


def test_no_incarnation_is_used_twice() -> None:
    assert next_origin("n1", 5.0, 0) == "n1.5000"
    assert next_origin("n1", 5.0, 9_000) == "n1.9001"


# --------------------------------------------------------------------------------------------------------------- soups


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


def test_a_version_of_a_departed_node_that_both_have_ended_is_not_waited_for() -> None:
    """Else a node whose peer reported that version, ended the incarnation and dropped its copy is never ready again."""
    soup = Soup()
    soup.start("n1.1", "n2.1")
    soup.pass_time(1)
    one, two = soup.members["n1.1"], soup.members["n2.1"]
    report = ViewRecord(two.view.id, {SWORM: {"n3.1": 24}})
    two.write(DIRECTORY, {VIEW: report})
    soup.step("n2.1", Ticked())
    soup.settle()
    soup.step("n1.1", Ticked())
    assert not one.viewing.spares("n3.1", "n2.1")
    one.write(DIRECTORY, {(ENDED, "n3"): (1,)})
    one.directory["n3.1"] = one.replica(DIRECTORY).copy("n3.1")  # still remembered, so not over for good
    assert not one.viewing.spares("n3.1", "n2.1")
    two.write(DIRECTORY, {(ENDED, "n3"): (1,)})
    soup.step("n2.1", Ticked())
    soup.settle()
    assert one.viewing.spares("n3.1", "n2.1")


# ---------------------------------------------------------------------------------------------------- what a mark names


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
