"""Replication over a bad network: replicators that lose, repeat and reorder each other's messages, against whole maps.

Named invariants: copy-is-map, any-order-one-end, repair-ends (once the network is whole, all copies are equal within a
few beats, whatever was lost).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.events import Report, Send
from registry.core.membership import PRESETS
from registry.core.messages import Ack, Delta, Message, Summary, SummaryHash, Want
from registry.core.names import Key
from registry.core.repair import DIGEST_BEATS, Replicator
from tests.laws import CHANGES, law, registration

TIMING = PRESETS["lan"]
ORIGINS = ("n1.1", "n2.1", "n3.1")
SWORM = "rooms"


@dataclass
class Soup:
    """Replicators, and the messages between them: in the order that the test wants."""

    size: int = 5_000
    now: float = 1_000.0
    messages: list[tuple[str, str, Message]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    lost: tuple[type, ...] = ()  #: kinds of messages that the network swallows
    history: dict[str, list[dict[Key, Any]]] = field(default_factory=lambda: {o: [{}] for o in ORIGINS})

    def __post_init__(self) -> None:
        self.nodes = {origin: Replicator(origin, TIMING, lambda _: self.size) for origin in ORIGINS}

    def link(self, one: str, other: str) -> None:
        for here, there in ((one, other), (other, one)):
            if there not in self.nodes[here].peers:
                self.nodes[here].link_up(there, self.now)
                self.collect(here)

    def unlink(self, one: str, other: str) -> None:
        self.nodes[one].link_down(other)
        self.nodes[other].link_down(one)
        self.messages = [m for m in self.messages if {m[0], m[1]} != {one, other}]

    def link_all(self) -> None:
        for one in ORIGINS:
            for other in ORIGINS:
                if one < other:
                    self.link(one, other)

    def write(self, origin: str, changes: dict[Key, Any]) -> None:
        node = self.nodes[origin]
        if node.replica(SWORM).write(origin, changes):
            node.wrote(SWORM)
            self.history[origin].append(dict(node.replica(SWORM).copy(origin).entries))

    def flush(self, origin: str) -> None:
        self.nodes[origin].flush()
        self.collect(origin)

    def collect(self, origin: str) -> None:
        out, self.nodes[origin].out = self.nodes[origin].out, []
        for effect in out:
            if isinstance(effect, Send) and not isinstance(effect.message, self.lost):
                self.messages.append((origin, effect.to, effect.message))
            elif isinstance(effect, Report):
                self.reports.append(effect)

    def deliver(self, index: int = 0, keep: bool = False) -> None:
        sender, to, message = self.messages[index] if keep else self.messages.pop(index)
        node = self.nodes[to]
        if sender not in node.peers:
            return
        match message:
            case Delta():
                node.on_delta(sender, message, self.now)
            case Ack():
                node.on_ack(sender, message)
            case SummaryHash():
                node.on_hash(sender, message, self.now)
            case Summary():
                node.on_summary(sender, message, self.now)
            case Want():
                node.on_want(sender, message)
        self.collect(to)

    def deliver_all(self) -> None:
        while self.messages:
            self.deliver()

    def beat(self, origin: str) -> None:
        node = self.nodes[origin]
        node.ask_for_gaps(self.now)
        node.beat(self.now)
        node.compare_digests()
        self.flush(origin)

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.now += TIMING.heartbeat
            for origin in ORIGINS:
                self.beat(origin)
            self.deliver_all()

    def check_copies(self) -> None:
        """copy-is-map, for every copy anywhere."""
        for node in self.nodes.values():
            for origin, copy in node.replica(SWORM).copies.items():
                assert copy.entries == self.history[origin][copy.version]

    def check_equal(self) -> None:
        """repair-ends: everybody holds everybody's newest map, and says so."""
        for node in self.nodes.values():
            for origin in ORIGINS:
                assert node.replica(SWORM).copy(origin).entries == self.history[origin][-1]
                assert node.replica(SWORM).digest(origin) == self.nodes[origin].replica(SWORM).digest(origin)
        assert len({node.summary_hash() for node in self.nodes.values()}) == 1
        assert not self.reports


programs = st.binary(min_size=8, max_size=160)


@law(80)
@given(programs, st.integers(1, 3))
def test_any_loss_repeats_and_order_end_in_equal_copies(program: bytes, size: int) -> None:
    soup = Soup(size)
    soup.link_all()
    numbers = iter(program)
    for number in numbers:
        origin, verb = ORIGINS[number % 3], number // 3 % 8
        other = ORIGINS[(number + 1) % 3]
        if verb <= 1:
            soup.write(origin, dict(CHANGES[next(numbers, 0) % len(CHANGES)] for _ in range(2)))
            soup.flush(origin)
        elif verb == 2:
            soup.now += TIMING.hold
            soup.beat(origin)
        elif verb == 3:
            soup.unlink(origin, other)
        elif verb == 4:
            soup.link(origin, other)
        else:
            for _ in range(min(4, len(soup.messages))):
                index = next(numbers, 0) % len(soup.messages)
                if verb == 5:
                    del soup.messages[index]
                else:
                    soup.deliver(index if verb == 6 else 0, keep=number > 200)
                if not soup.messages:
                    break
        soup.check_copies()
    soup.link_all()
    soup.rounds(4)
    soup.check_equal()


@law(20)
@given(programs)
def test_a_chain_of_relays_carries_everything(program: bytes) -> None:
    """The first and the last node have no link: all that they know of each other goes through the middle."""
    soup = Soup(2)
    soup.link("n1.1", "n2.1")
    soup.link("n2.1", "n3.1")
    for number in program:
        soup.write(ORIGINS[number % 3], dict([CHANGES[number % len(CHANGES)]]))
        soup.flush(ORIGINS[number % 3])
    soup.deliver_all()
    soup.rounds(4)
    soup.check_copies()
    soup.check_equal()


# ---------------------------------------------------------------------------------------------------------- examples


@pytest.fixture
def soup() -> Soup:
    soup = Soup()
    soup.link_all()
    soup.deliver_all()
    return soup


def test_a_change_leaves_for_all_at_the_next_flush_and_is_acknowledged(soup: Soup) -> None:
    soup.write("n1.1", {"lobby": registration()})
    soup.flush("n1.1")
    soup.deliver_all()
    assert all(node.replica(SWORM).index["lobby"].origin == "n1.1" for node in soup.nodes.values())
    soup.rounds(1)  # nobody waits for the word, so it comes with the next beat
    assert soup.nodes["n1.1"].acknowledged("n2.1", SWORM) == 1
    assert soup.nodes["n1.1"].acknowledged("n3.1", SWORM) == 1


def test_changes_of_one_turn_leave_as_one_delta(soup: Soup) -> None:
    for epoch in range(1, 6):
        soup.write("n1.1", {"lobby": registration(epoch)})
    soup.flush("n1.1")
    assert [len(m.changes) for _, _, m in soup.messages if isinstance(m, Delta)] == [1, 1]


def test_what_is_missing_is_asked_for_after_the_hold(soup: Soup) -> None:
    soup.write("n1.1", {"lobby": registration()})
    soup.flush("n1.1")
    soup.messages.clear()
    soup.write("n1.1", {"attic": registration()})
    soup.flush("n1.1")
    soup.deliver_all()
    two = soup.nodes["n2.1"]
    assert two.due(soup.now) == pytest.approx(soup.now + TIMING.hold)
    two.ask_for_gaps(soup.now)
    soup.collect("n2.1")
    assert not soup.messages
    soup.now += TIMING.hold
    two.ask_for_gaps(soup.now)
    soup.collect("n2.1")
    soup.deliver_all()
    assert set(two.replica(SWORM).index) == {"lobby", "attic"}


def test_quiet_and_equal_nodes_forget_their_logs(soup: Soup) -> None:
    soup.write("n1.1", {"lobby": registration()})
    soup.flush("n1.1")
    soup.deliver_all()
    soup.rounds(4)
    assert not any(copy.log for node in soup.nodes.values() for copy in node.replica(SWORM).copies.values())
    soup.write("n1.1", {"attic": registration()})
    soup.flush("n1.1")
    soup.deliver_all()
    soup.rounds(3)
    soup.check_equal()


def break_the_law(soup: Soup, holder: str) -> None:
    """One copy of n1's map is not what n1 wrote, at the same version."""
    soup.write("n1.1", {"lobby": registration()})
    soup.flush("n1.1")
    soup.deliver_all()
    copy = soup.nodes[holder].replica(SWORM).copy("n1.1")
    copy._set("attic", registration(), copy.version)


def test_a_contradiction_is_reported_and_mended_from_the_origin(soup: Soup) -> None:
    break_the_law(soup, "n2.1")
    soup.rounds(DIGEST_BEATS + 2)
    assert {report.kind for report in soup.reports} == {"repaired"}
    soup.check_copies()
    assert soup.nodes["n2.1"].replica(SWORM).copy("n1.1").entries == soup.history["n1.1"][-1]


def test_a_contradiction_is_mended_though_the_first_answer_is_lost(soup: Soup) -> None:
    break_the_law(soup, "n2.1")
    soup.lost = (Want,)
    soup.rounds(DIGEST_BEATS + 2)
    assert soup.reports
    soup.lost = ()
    soup.rounds(DIGEST_BEATS + 2)
    soup.check_copies()


def test_two_copies_of_a_departed_origin_come_to_agree(soup: Soup) -> None:
    """Nobody can tell which is right, so both must not change places for ever."""
    break_the_law(soup, "n2.1")
    del soup.nodes["n1.1"]
    soup.nodes["n2.1"].link_down("n1.1")
    soup.nodes["n3.1"].link_down("n1.1")
    for _ in range(2 * DIGEST_BEATS + 2):
        soup.now += TIMING.heartbeat
        for origin in ORIGINS[1:]:
            soup.beat(origin)
        soup.deliver_all()
    digests = {soup.nodes[origin].replica(SWORM).digest("n1.1") for origin in ORIGINS[1:]}
    assert len(digests) == 1


def test_what_an_ended_incarnation_sent_is_not_taken(soup: Soup) -> None:
    soup.nodes["n2.1"].refused = lambda origin: origin == "n1.1"
    soup.write("n1.1", {"lobby": registration()})
    soup.flush("n1.1")
    soup.deliver_all()
    soup.rounds(2)
    assert "n1.1" not in soup.nodes["n2.1"].replica(SWORM).copies


# ---------------------------------------------------------------------------------------------- acknowledged when due


def wanted(soup: Soup, *versions: int) -> list[Delta]:
    """The deltas of n1's next versions, each of which n2 is asked to acknowledge at once."""
    for version in versions:
        soup.write("n1.1", {f"name{version}": registration()})
        soup.nodes["n1.1"].want_ack(SWORM, "n2.1")
        soup.flush("n1.1")
    return [message for _, to, message in soup.messages if to == "n2.1" and isinstance(message, Delta)]


def acks_to_n1(soup: Soup) -> list[int]:
    soup.flush("n2.1")
    return [m.versions[SWORM]["n1.1"] for s, to, m in soup.messages if (s, to) == ("n2.1", "n1.1") and type(m) is Ack]


def test_what_came_too_early_is_acknowledged_as_soon_as_the_gap_is_closed() -> None:
    soup = Soup()
    soup.link_all()
    soup.deliver_all()
    first, second = wanted(soup, 1, 2)
    soup.messages.clear()
    soup.messages.append(("n1.1", "n2.1", second))
    soup.deliver()
    assert acks_to_n1(soup) == []
    soup.messages.append(("n1.1", "n2.1", first._replace(urgent=False)))
    soup.deliver()
    assert acks_to_n1(soup) == [2]


def test_a_gap_that_closes_in_part_acknowledges_nothing_yet() -> None:
    soup = Soup()
    soup.link_all()
    soup.deliver_all()
    first, _, third = wanted(soup, 1, 2, 3)
    soup.messages.clear()
    for early in (third, first._replace(urgent=False)):
        soup.messages.append(("n1.1", "n2.1", early))
        soup.deliver()
    assert acks_to_n1(soup) == []


def test_nothing_is_owed_over_a_link_that_is_gone() -> None:
    soup = Soup()
    soup.link_all()
    soup.deliver_all()
    first, second = wanted(soup, 1, 2)
    soup.messages.clear()
    soup.messages.append(("n1.1", "n2.1", second))
    soup.deliver()
    soup.unlink("n1.1", "n2.1")
    soup.link("n1.1", "n2.1")
    soup.messages.clear()
    soup.messages.append(("n1.1", "n2.1", first._replace(urgent=False)))
    soup.deliver()
    assert acks_to_n1(soup) == []


def test_a_peer_is_known_to_hold_what_it_said_it_does() -> None:
    """Also of a third node: by a summary, or by a hash that is one's own."""
    soup = Soup()
    soup.link_all()
    soup.rounds(3)
    soup.write("n3.1", {"lobby": registration(1)})
    soup.flush("n3.1")
    (late,) = [index for index, (_, to, _) in enumerate(soup.messages) if to == "n1.1"]
    kept = soup.messages.pop(late)
    soup.deliver_all()
    holder = soup.nodes["n2.1"]
    version = holder.replica(SWORM).version("n3.1")
    assert not holder.holds("n1.1", SWORM, "n3.1", version)
    soup.beat("n1.1")
    soup.deliver_all()
    assert not holder.holds("n1.1", SWORM, "n3.1", version)
    soup.messages.append(kept)
    soup.rounds(3)
    assert holder.holds("n1.1", SWORM, "n3.1", version)
    assert not holder.holds("n9.1", SWORM, "n3.1", version)
