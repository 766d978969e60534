"""Members without a direct link: they reach each other through one other, as if they had one.

Named invariants: one-hop (nothing is relayed twice, nothing comes but over a link), detour-serves (whoever has a
common neighbour is alive for each other, and everything of either is at the other as soon as over a link).
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.detours import ENVELOPES
from registry.core.directory import LEFT, RELAYED, SUSPECT
from registry.core.events import Detour, Disconnect, LinkDown, LinkUp, Received, Report, Send, Ticked
from registry.core.member import Member, MemberConfig
from registry.core.membership import PRESETS
from registry.core.messages import DIRECTORY, NotRelayed, Relay, Relayed, Round, RoundDone, Want
from tests.laws import law, registration
from tests.registry.core.soup import Soup

LAN = PRESETS["lan"]
SWORM = "rooms"


class Web(Soup):
    """A soup that holds every frame to the law of one hop."""

    def step(self, origin: str, event: Any) -> None:
        member = self.members[origin]
        if isinstance(event, Received) and isinstance(event.message, Relayed):
            assert type(event.message.message) not in ENVELOPES
            assert event.message.source != origin
        super().step(origin, event)
        for peer, known in member.repair.peers.items():
            assert bool(known.relay) == ((origin, peer) not in self.links) or member is not self.members.get(origin)

    def relay_of(self, one: str, other: str) -> str:
        return self.members[one].detours.relay_of(other)

    def kinds(self, *kinds: str) -> list[tuple[str, str, str]]:
        return [report for report in self.reports if report[1] in kinds]


@pytest.fixture
def web() -> Web:
    web = Web()
    web.start("n1.1", "n2.1", "n3.1", "n4.1")
    web.pass_time(3)
    return web


# ------------------------------------------------------------------------------------------------------- as by a link


def test_a_pair_without_a_link_has_a_relay_within_a_round_trip(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.settle()
    relay = web.relay_of("n1.1", "n3.1")
    assert relay in ("n2.1", "n4.1")
    assert web.relay_of("n3.1", "n1.1") == relay, "both choose the same"
    assert web.states("n1.1")["n3.1"] == web.states("n3.1")["n1.1"] == "alive"
    assert {info.origin: info.relay for info in web.members["n1.1"].members()}["n3.1"] == relay
    for one, other in (("n1.1", "n3.1"), ("n3.1", "n1.1")):
        own = web.members[one].directory[one].entries
        assert own[RELAYED, other] == relay
        assert (SUSPECT, other) not in own
    web.pass_time(1)
    web.check_equal()


def test_one_event_when_it_begins_and_one_when_it_ends_and_none_between(web: Web) -> None:
    web.reports.clear()
    web.block("n1.1", "n3.1")
    web.pass_time(60)
    assert sorted(web.reports) == [("n1.1", "relayed", "n3"), ("n1.1", "suspect", "n3"), ("n3.1", "suspect", "n1")]
    web.reports.clear()
    web.blocked.clear()
    web.pass_time(60)
    assert web.reports == [("n1.1", "direct", "n3")]
    assert not any(member.detours.via for member in web.members.values())
    assert all(RELAYED not in {key[0] for key in m.directory[m.origin].entries} for m in web.members.values())
    web.check_equal()


def test_a_change_is_there_and_acknowledged_as_soon_as_over_a_link(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.pass_time(1)
    version = web.members["n1.1"].write(SWORM, {"lobby": registration()})
    web.members["n1.1"].repair.want_ack(SWORM, "n3.1")
    web.step("n1.1", Ticked())
    web.settle()
    assert "lobby" in web.members["n3.1"].replica(SWORM).index
    assert web.members["n1.1"].repair.acknowledged("n3.1", SWORM) == version


def test_heartbeats_that_take_a_detour_are_votes(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.pass_time(5)
    votes = web.members["n1.1"].quorum._votes
    assert all(votes[origin] > web.now - 2 * LAN.heartbeat for origin in ("n2.1", "n3.1", "n4.1"))


def test_who_was_away_asks_those_behind_relays_too(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.pass_time(1)
    web.step("n1.1", Received(web.relay_of("n1.1", "n3.1"), Relayed("n3.1", Round(7))))
    relay = web.relay_of("n1.1", "n3.1")
    sent = [event.message for event in web.links["n1.1", relay]]
    assert any(type(m) is Relay and m.to == "n3.1" and type(m.message) is RoundDone for m in sent)


# ---------------------------------------------------------------------------------------------------- relays that go


def test_the_relay_is_kept_and_another_takes_its_place_when_it_dies(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.pass_time(30)
    first = web.relay_of("n1.1", "n3.1")
    (second,) = {"n2.1", "n4.1"} - {first}
    web.crash(first)
    web.settle()
    assert web.relay_of("n1.1", "n3.1") == web.relay_of("n3.1", "n1.1") == second
    web.pass_time(3)
    assert not [report for report in web.kinds("dead") if report[2] in ("n1", "n3")]
    web.start("n5.1")
    web.pass_time(10)
    assert web.relay_of("n1.1", "n3.1") == second, "a better one that comes is no reason to change"


def test_without_a_relay_the_ordinary_rules_judge(web: Web) -> None:
    web.crash("n4.1")
    web.block("n1.1", "n3.1")
    web.pass_time(3)
    assert web.relay_of("n1.1", "n3.1") == "n2.1"
    web.crash("n2.1")
    assert web.states("n1.1")["n3.1"] == "suspect"
    web.pass_time(LAN.suspicion + 0.1)
    assert web.states("n1.1")["n3.1"] == web.states("n3.1")["n1.1"] == "dead"
    assert web.members["n1.1"].view.agreeing == {"n1.1"}


def test_a_death_behind_a_relay_is_known_as_soon_as_any(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.pass_time(3)
    web.crash("n3.1")
    web.pass_time(LAN.suspicion + 0.1)
    assert all(web.states(one)["n3.1"] == "dead" for one in web.members)


def test_who_leaves_behind_a_relay_hears_at_once_that_it_is_known(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.pass_time(3)
    web.reports.clear()
    leaver = web.members["n3.1"]
    leaver.set_status(LEFT)
    web.step("n3.1", Ticked())
    web.settle()
    version = leaver.replica(DIRECTORY).version("n3.1")
    assert all(leaver.repair.acknowledged(peer, DIRECTORY) == version for peer in leaver.repair.peers)
    web.crash("n3.1")
    web.pass_time(5)
    assert not web.kinds("relayed", "direct", "dead", "refused_message")
    assert not web.members["n1.1"].detours.via


def test_a_relay_that_cannot_is_left_for_another(web: Web) -> None:
    web.block("n1.1", "n3.1")
    web.pass_time(1)
    first = web.relay_of("n1.1", "n3.1")
    web.step("n1.1", Received(first, NotRelayed("n3.1", "no")))
    (second,) = {"n2.1", "n4.1"} - {first}
    assert web.relay_of("n1.1", "n3.1") == second
    web.step("n1.1", Received(first, NotRelayed("n3.1", "no")))
    assert web.relay_of("n1.1", "n3.1") == second, "a late word of the former one means nothing"


def test_an_observer_relays_nobody() -> None:
    web = Web()
    web.start("n1.1", "n3.1")
    web.start("o1.1", observing=True)
    web.pass_time(3)
    web.block("n1.1", "n3.1")
    web.pass_time(1)
    assert web.states("n1.1")["n3.1"] == "dead"
    web.step("o1.1", Received("n1.1", Relay("n3.1", Want(SWORM, "n3.1", 0))))
    assert web.links["o1.1", "n1.1"][-1].message == NotRelayed("n3.1", "o1.1 relays nobody")


def test_the_silence_of_a_link_is_judged_by_that_link_alone() -> None:
    """Else a link that carries nothing stands for ever, since its far end is heard by way of a relay."""
    me = Member("n1.1", MemberConfig(LAN, url="ws://n1"), 0.0)
    for peer in ("n2.1", "n3.1"):
        me.step(LinkUp(peer), 10.0)
        other = Member(peer, MemberConfig(LAN, url=f"ws://{peer}"), 0.0)
        (copy,) = [other.directory[peer].delta(DIRECTORY, peer, 0)]
        me.step(Received(peer, copy), 10.0)
    effects: list[Any] = []
    for tick in range(60):
        now = 10.0 + tick / 10
        effects += me.step(Received("n2.1", Relayed("n3.1", Want(SWORM, "n3.1", 0))), now)
        effects += me.step(Ticked(), now)
        if Disconnect("n3.1", "silent, and reached by others") in effects:
            break
    assert now == pytest.approx(10.0 + LAN.timeout, abs=0.2)
    me.step(LinkDown("n3.1", "closed"), now)
    effects = me.step(Received("n2.1", Relayed("n3.1", Want(SWORM, "n3.1", 0))), now)
    assert Detour("n3.1", "n2.1") in effects
    assert me.detours.relay_of("n3.1") == "n2.1"


# ---------------------------------------------------------------------------------------------------------- bad frames

WANT = Want(SWORM, "n1.1", 0)

BAD = [
    (Relay("n1.1", WANT), "'n1.1', which is no third node"),
    (Relay("n2.1", WANT), "'n2.1', which is no third node"),
    (Relay("n3.one", WANT), "'n3.one', which is no third node"),
    (Relay("n3.1", Relay("n4.1", WANT)), "a Relay for n3.1: nothing is relayed twice"),
    (Relay("n3.1", Relayed("n4.1", WANT)), "a Relayed for n3.1: nothing is relayed twice"),
    (Relay("n3.1", NotRelayed("n4.1", "")), "a NotRelayed for n3.1: nothing is relayed twice"),
    (Relayed("n3.1", Relayed("n4.1", WANT)), "a Relayed: nothing is relayed twice"),
    (Relayed("n3.1", Relay("n4.1", WANT)), "a Relay: nothing is relayed twice"),
    (Relayed("n1.1", WANT), "'n1.1', which is no third node"),
    (Relayed("n2.1", WANT), "'n2.1', which is no third node"),
    (Relayed("somebody", WANT), "'somebody', which is no third node"),
    (Relayed("n9.1", WANT), "'n9.1', of which nothing is known here"),
]


@pytest.mark.parametrize(("message", "fault"), BAD, ids=lambda value: repr(value)[:60])
def test_a_frame_that_breaks_the_law_is_refused_by_name_and_does_nothing(web: Web, message: Any, fault: str) -> None:
    member = web.members["n1.1"]
    before = {pair: len(queue) for pair, queue in web.links.items()}
    effects = member.step(Received("n2.1", message), web.now)
    (report,) = [effect for effect in effects if isinstance(effect, Report)]
    assert (report.kind, report.node) == ("refused_message", "n2")
    assert fault in report.detail
    assert not [effect for effect in effects if isinstance(effect, Send)]
    assert before == {pair: len(queue) for pair, queue in web.links.items()}
    assert not member.detours.via
    again = member.step(Received("n2.1", message), web.now)
    assert not [effect for effect in again if isinstance(effect, Report)], "it is told once"


@pytest.mark.parametrize(
    ("to", "reason"),
    [("n9.1", "n1.1 has no direct link to n9.1"), ("n3.0", "n3.0 is over, n3.1 runs"), ("n3.1", "n3.1 is silent")],
)
def test_what_cannot_be_passed_on_is_answered_with_the_reason(web: Web, to: str, reason: str) -> None:
    member = web.members["n1.1"]
    later = web.now + LAN.timeout if "silent" in reason else web.now
    effects = member.step(Received("n2.1", Relay(to, WANT)), later)
    assert [e.message for e in effects if isinstance(e, Send)] == [NotRelayed(to, reason)]


def test_a_relayed_pair_is_no_way_for_a_third(web: Web) -> None:
    """n1 reaches n3 by a relay only: whoever wants to reach n3 through n1 is told so."""
    web.block("n1.1", "n3.1")
    web.pass_time(1)
    effects = web.members["n1.1"].step(Received("n2.1", Relay("n3.1", WANT)), web.now)
    assert [e.message for e in effects if isinstance(e, Send)] == [
        NotRelayed("n3.1", "n1.1 has no direct link to n3.1")
    ]


def test_what_is_over_for_long_and_speaks_is_reported(web: Web) -> None:
    """Its last words may come late, and mean nothing."""
    member = web.members["n1.1"]
    assert not member.step(Received("n2.1", Relayed("n3.0", WANT)), web.now)
    later = web.now + LAN.timeout
    (report,) = [e for e in member.step(Received("n2.1", Relayed("n3.0", WANT)), later) if isinstance(e, Report)]
    assert "'n3.0', which is over: incarnation 1 is known" in report.detail


def test_faults_are_remembered_within_bounds(web: Web) -> None:
    member = web.members["n1.1"]
    for number in range(2, 400):
        member.step(Received("n2.1", Relayed(f"n9.{number}", WANT)), web.now)
        member.step(Received("n2.1", Relayed(f"n3.0{number}", WANT)), web.now)
    assert len(member.detours._faults) <= 256
    assert len(member.detours._late) <= 256


# ----------------------------------------------------------------------------------------------------------- any web


@law(8)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 8)), min_size=1, max_size=14))
def test_whoever_has_a_common_neighbour_is_alive_and_at_one(program: list[tuple[int, int]]) -> None:
    """one-hop and detour-serves, whatever single cables are cut and mended, and however long."""
    web = Web()
    names = [f"n{number}.1" for number in range(1, 6)]
    web.start(*names)
    web.pass_time(3)
    pairs = list(itertools.combinations(names, 2))
    for which, what in program:
        pair = pairs[which]
        if what < 5:
            web.block(*pair)
        elif what < 7:
            web.blocked.discard(frozenset(pair))
        else:
            web.pass_time(what / 2)
    web.pass_time(12)
    member_of = web.members
    for one, other in pairs:
        common = [n for n in names if n not in (one, other) and all((n, x) in web.links for x in (one, other))]
        if (one, other) in web.links:
            assert not web.relay_of(one, other)
        elif common:
            assert web.relay_of(one, other) in common
            assert web.relay_of(other, one) in common
            assert web.states(one)[other] == "alive"
            assert member_of[one].view == member_of[other].view
            version = member_of[one].write(SWORM, {f"{one}/{other}": registration()})
            web.step(one, Ticked())
            web.settle()
            assert member_of[other].replica(SWORM).version(one) == version
        else:
            assert not web.relay_of(one, other)
    web.blocked.clear()
    web.pass_time(8)
    web.check_equal()
    assert not any(member.detours.via for member in web.members.values())
