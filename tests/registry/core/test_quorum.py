"""Who may answer: rosters change without two majorities, a lease grows by echoes only and is never taken up again.

Named invariant: quorum-one-answers (the simulator carries the whole of it; here are its parts).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from registry.core.directory import FORGOTTEN, LEFT, NODE, UP, VIEW, NodeRecord, ViewRecord
from registry.core.ids import Origin
from registry.core.membership import PRESETS, Timing, View
from registry.core.origin import VersionedMap
from registry.core.quorum import DRIFT, Lease, Quorum, Roster
from tests.laws import law

LAN = PRESETS["lan"]
NOW = 1_700_000_000.0
HOSTS = [f"n{number}.1" for number in range(1, 6)]


@dataclass
class Voter:
    """A member as the quorum sees it, moved by hand."""

    origin: Origin
    directory: dict[Origin, VersionedMap] = field(default_factory=dict)
    timing: Timing = LAN
    view: View = field(default_factory=lambda: View(b"", frozenset(), ()))
    ready: bool = False
    left: dict[str, int] = field(default_factory=dict)
    looks: Iterator[int] = field(default_factory=count)
    quorum: Quorum = field(init=False)

    def __post_init__(self) -> None:
        self.quorum = Quorum(self)

    @property
    def directory_moves(self) -> int:
        """Another one each time: its copies are written by hand."""
        return next(self.looks)

    def write_rosters(self, rosters: tuple[Roster, ...]) -> None:
        entries = self.directory[self.origin].entries
        entries[VIEW] = entries[VIEW]._replace(rosters=tuple((r.number, r.hosts) for r in rosters))

    def record(self, origin: Origin, status: str = UP) -> None:
        entries = self.directory.setdefault(origin, VersionedMap()).entries
        entries[NODE] = NodeRecord("", "", status, ["*"], {}, 1.0, 0, 0, 0)
        entries.setdefault(VIEW, ViewRecord(b"", {}))

    def agree(self, *hosts: Origin, now: float = NOW) -> None:
        """Everybody in this view has reported it, and the same rosters as this member."""
        for host in hosts:
            self.record(host)
        self.view = View(repr(hosts).encode(), frozenset(hosts), ())
        self.quorum.view_adopted()
        self.ready = True
        for _ in range(3):
            self.quorum.settle(now)
            own = self.directory[self.origin].entries[VIEW].rosters
            for host in hosts:
                entries = self.directory[host].entries
                entries[VIEW] = entries[VIEW]._replace(rosters=own)

    def echo(self, now: float, *hosts: Origin) -> None:
        for host in hosts:
            self.quorum.voted(host, int(now * 1e6))
        self.quorum.renew(now)


def three(now: float = NOW) -> Voter:
    voter = Voter(HOSTS[0])
    voter.agree(*HOSTS[:3], now=now)
    voter.echo(now, *HOSTS[1:3])
    return voter


def test_a_roster_grows_with_the_view_and_does_not_shrink_by_silence() -> None:
    voter = three()
    assert [roster.hosts for roster in voter.quorum.rosters] == [tuple(HOSTS[:3])]
    voter.agree(*HOSTS[:2])
    assert voter.quorum.has_majority()
    assert [roster.hosts for roster in voter.quorum.rosters] == [tuple(HOSTS[:3])]
    voter.agree(HOSTS[0])
    assert not voter.quorum.has_majority()


def test_a_host_that_left_is_not_counted() -> None:
    voter = three()
    voter.record(HOSTS[2], LEFT)
    voter.agree(*HOSTS[:2])
    assert [roster.hosts for roster in voter.quorum.rosters] == [tuple(HOSTS[:2])]
    voter.record(HOSTS[1], LEFT)
    voter.agree(HOSTS[0])
    assert voter.quorum.has_majority()


def test_a_roster_that_was_given_up_to_its_last_host_does_not_count_one_that_left_does() -> None:
    """Who left by itself may have left others behind a split that think the same; an operator knows who is there."""
    fresh = Voter("n1.2")
    fresh.agree("n1.2", "n2.2", "n3.2")
    entries = fresh.directory["n2.2"].entries
    entries[VIEW] = entries[VIEW]._replace(rosters=((7, tuple(HOSTS[:3])),))
    for host in HOSTS[:3]:
        fresh.record(host, LEFT)
    assert not fresh.quorum.has_majority()
    entries[FORGOTTEN, "n3"] = 1
    assert fresh.quorum.has_majority()
    fresh.agree("n1.2", "n2.2", "n3.2")
    assert [roster.hosts for roster in fresh.quorum.rosters] == [("n1.2", "n2.2", "n3.2")]
    fresh.echo(NOW, "n2.2")
    assert fresh.quorum.may_answer(NOW)


def test_another_incarnation_takes_the_seat_only_by_the_majority_of_the_others() -> None:
    alone = three()
    alone.agree(HOSTS[0], "n2.2")
    assert not alone.quorum.has_majority(), "n2.1 may be on the other side, with n3.1"
    both = three()
    both.agree(HOSTS[0], HOSTS[2], "n2.2")
    assert [roster.hosts for roster in both.quorum.rosters] == [("n1.1", "n2.2", "n3.1")]


def test_fewer_hosts_than_there_are_to_be_are_no_majority() -> None:
    voter = Voter(HOSTS[0])
    voter.quorum = Quorum(voter, least=3)
    voter.agree(HOSTS[0])
    assert not voter.quorum.has_majority()
    voter.agree(*HOSTS[:2])
    voter.echo(NOW, HOSTS[1])
    assert voter.quorum.may_answer(NOW)


def test_a_lease_lasts_from_the_heartbeat_that_a_majority_echoed() -> None:
    voter = three()
    assert voter.quorum.may_answer(NOW + LAN.lease - 0.01)
    voter.echo(NOW + 1.0, HOSTS[1])
    assert voter.quorum.lease.until == NOW + 1.0 + LAN.lease
    voter.quorum.check(NOW + 1.0 + LAN.lease)
    assert voter.quorum.lapsed


def test_a_lease_that_ended_is_not_taken_up_again() -> None:
    voter = three()
    old = voter.quorum.lease
    late = NOW + LAN.lease + 1.0
    voter.echo(late, *HOSTS[1:3])
    assert voter.quorum.lapsed
    assert not old.holds(NOW)
    assert voter.quorum.may_answer(late)


def test_who_is_not_ready_gets_no_longer_lease() -> None:
    voter = three()
    voter.ready = False
    voter.echo(NOW + 1.0, *HOSTS[1:3])
    assert voter.quorum.lease.until == NOW + LAN.lease


def test_the_leases_of_the_missing_are_waited_out_on_clocks_that_drift() -> None:
    voter = three()
    assert voter.quorum.may_decide(NOW)
    voter.agree(*HOSTS[:2], now=NOW + 1.0)
    clear = NOW + 1.0 + LAN.lease * (1 + DRIFT)
    for at in (NOW + 1.0, clear - 0.01, clear):
        voter.echo(at, HOSTS[1])
        voter.quorum.settle(at)
        assert voter.quorum.may_decide(at) == (at == clear)
    voter.agree(*HOSTS[:2], HOSTS[3], now=clear)
    voter.echo(clear, HOSTS[1], HOSTS[3])
    assert voter.quorum.may_decide(clear), "nobody new is missing"


hosts = st.frozensets(st.sampled_from(HOSTS), min_size=1)


@law(120)
@given(st.lists(hosts, min_size=1, max_size=6), st.frozensets(st.sampled_from(HOSTS), max_size=2))
def test_no_two_sides_have_a_majority(views: list[frozenset[Origin]], gone: frozenset[Origin]) -> None:
    """Whatever views came one after the other among hosts that saw them together: of two disjoint sides with what they
    then know, one at most is a majority.
    """
    voters = {origin: Voter(origin) for origin in HOSTS}
    shared: dict[Origin, tuple[tuple[int, tuple[Origin, ...]], ...]] = dict.fromkeys(HOSTS, ())
    meet(voters, shared, frozenset(HOSTS), 3)
    for turn, view in enumerate(views):
        meet(voters, shared, view, turn % 4)
    for side in views:
        other = frozenset(HOSTS) - side
        sides = [group for group in (side - gone, other - gone) if group and majority(voters, shared, group)]
        assert len(sides) <= 1, sides


def meet(voters: dict[Origin, Voter], shared: dict[Origin, Rosters], view: frozenset[Origin], rounds: int) -> None:
    """These hosts agree on a view; they get so far with its roster until they are parted again."""
    for _ in range(rounds):
        for origin in sorted(view):
            voter = voters[origin]
            show(voter, shared, view)
            voter.ready = True
            voter.quorum.settle(NOW)
            shared[origin] = voter.directory[origin].entries[VIEW].rosters


def show(voter: Voter, shared: dict[Origin, Rosters], view: frozenset[Origin]) -> None:
    for host in view:
        voter.record(host)
        entries = voter.directory[host].entries
        entries[VIEW] = entries[VIEW]._replace(rosters=shared[host])
    voter.view = View(repr(sorted(view)).encode(), view, ())


def majority(voters: dict[Origin, Voter], shared: dict[Origin, Rosters], group: frozenset[Origin]) -> bool:
    voter = voters[min(group)]
    show(voter, shared, group)
    return voter.quorum.has_majority()


Rosters = tuple[tuple[int, tuple[Origin, ...]], ...]


def test_a_lease_holds_until_its_end() -> None:
    lease = Lease(NOW)
    assert [lease.holds(at) for at in (NOW - 0.1, NOW)] == [True, False]
    lease.end()
    assert not lease.holds(NOW - 3600)


def test_no_vote_is_remembered_of_incarnations_that_are_gone() -> None:
    voter = three()
    for number in range(2, 50):
        voter.agree(*HOSTS[:2], f"n3.{number}")
        voter.echo(NOW, HOSTS[1], f"n3.{number}")
    assert voter.quorum._votes.keys() == {HOSTS[1], "n3.49"}
