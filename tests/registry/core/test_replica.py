"""Replicas against dumb references: histories of whole maps, and an index computed by brute force after every step.

Named invariants: copy-is-map, whole-or-nothing (pieces), index-is-best (lookups), counts-are-kept, any-order-one-end
(the join).
A program of small numbers decides what happens; each example runs a few replicas through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry.core.ids import origin_of_pid
from registry.core.messages import Delta
from registry.core.names import GONE, GROUP, Key, Located, located, rank
from registry.core.origin import VersionedMap, pieces
from registry.core.replica import MAX_HELD, Replica
from tests.laws import CHANGES, NAMES, law, registration

ORIGINS = ("n1.1", "n2.1", "n3.1")
SWORM = "rooms"
GROUPS = ("all",)

programs = st.binary(min_size=4, max_size=120)


class Source:
    """An origin with its replica, and its whole map at each version."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.replica = Replica(SWORM)
        self.history: list[dict[Key, Any]] = [{}]

    @property
    def map(self) -> VersionedMap:
        return self.replica.copy(self.origin)

    def write(self, changes: dict[Key, Any]) -> None:
        if self.replica.write(self.origin, changes):
            self.history.append(dict(self.map.entries))


def best_by_force(replica: Replica) -> dict[str, Located]:
    """The index, from nothing but the entries and who is dead."""
    gone: dict[str, int] = {}
    for _, key, value in replica.entries():
        if key[0] == GONE and not isinstance(key, str):
            gone[key[1]] = max(gone.get(key[1], 0), value)
    best: dict[str, Located] = {}
    for origin, key, entry in replica.entries():
        if isinstance(key, str) and origin not in replica.dead and entry.epoch > gone.get(key, -1):
            now = best.get(key)
            if now is None or rank(origin, entry) > rank(now.origin, now.entry):
                best[key] = located(origin, entry)
    return best


def members_by_force(replica: Replica) -> dict[str, list[tuple[str, str]]]:
    """Who is in which group: the incarnations that hold their names."""
    best = best_by_force(replica)
    found: dict[str, set[tuple[str, str]]] = {group: set() for group in GROUPS}
    for origin, key, name in replica.entries():
        own = key[0] == GROUP and not isinstance(key, str) and origin_of_pid(key[2]) == origin
        if own and name in best and best[name].pid == key[2]:
            found[key[1]].add((name, key[2]))
    return {group: sorted(members) for group, members in found.items()}


def check_reading(replica: Replica, seen: dict[str, int]) -> None:
    """index-is-best, and what is read beside it; `seen` is the highest epoch of each name that was ever here."""
    assert replica.index == best_by_force(replica)
    for name in NAMES:
        claims = replica.claims(name)
        live = [claim for claim in claims if claim.origin not in replica.dead]
        void = [claim for claim in live if replica.is_void(name, claim.entry)]
        assert (name in replica.contested) == (len(claims) > 1 or bool(void))
        seen[name] = max([seen.get(name, 0), replica.gone.get(name, 0), *(claim.entry.epoch for claim in claims)])
        assert replica.highest_epoch(name) == seen[name]
    assert {group: replica.members(group) for group in GROUPS} == members_by_force(replica)
    listed = Counter(origin for origin, key, entry in replica.entries() if isinstance(key, str) and entry.spec)
    assert replica.processes == listed
    for origin in replica.dead:
        work = {name for name, _ in replica.orphans(origin)}
        assert not work & replica.index.keys()


def check_copies(replica: Replica, sources: dict[str, Source]) -> None:
    """copy-is-map, for every copy in a replica."""
    for origin, copy in replica.copies.items():
        assert copy.entries == sources[origin].history[copy.version]


def choices(program: bytes) -> Iterator[int]:
    """The program's numbers, and then no more."""
    return iter(program)


@law(100)
@given(programs)
def test_index_is_best_after_any_sequence_of_writes_deaths_and_drops(program: bytes) -> None:
    replica, sources = Replica(SWORM), {origin: Source(origin) for origin in ORIGINS}
    seen: dict[str, int] = {}
    numbers = choices(program)
    for number in numbers:
        source = sources[ORIGINS[number % 3]]
        verb = number // 3 % 8
        if verb < 5:
            source.write(dict([CHANGES[next(numbers, 0) % len(CHANGES)], CHANGES[next(numbers, 0) % len(CHANGES)]]))
            if verb < 4:
                replica.receive(source.map.delta(SWORM, source.origin, replica.version(source.origin)))
        elif verb == 5:
            replica.set_dead(source.origin, True)
        elif verb == 6:
            replica.set_dead(source.origin, False)
        else:
            replica.drop(source.origin)
        check_reading(replica, seen)
        check_copies(replica, sources)


def run_soup(program: bytes, size: int) -> tuple[dict[str, Source], list[Delta]]:
    """Writes at three origins; pieces of deltas from origins and relays, lost, repeated, late. Laws hold throughout."""
    sources = {origin: Source(origin) for origin in ORIGINS}
    holders = [source.replica for source in sources.values()]
    soup: list[tuple[str, Delta]] = []
    seen: list[Delta] = []
    numbers = choices(program)
    for number in numbers:
        at, verb = number % 3, number // 3 % 4
        if verb == 0:
            sources[ORIGINS[at]].write(dict(CHANGES[next(numbers, 0) % len(CHANGES)] for _ in range(3)))
        elif verb == 1:  # anybody sends what it has of anybody, from any base
            origin = ORIGINS[next(numbers, 0) % 3]
            copy = holders[at].copy(origin)
            delta = copy.delta(SWORM, origin, next(numbers, 0) % (copy.version + 1))
            soup.extend((ORIGINS[at], part) for part in pieces(delta, size))
            seen.append(delta)
            if number > 128:
                copy.prune()
        else:
            for _ in range(min(len(soup), 2)):
                sender, part = soup[next(numbers, 0) % len(soup)] if verb == 2 else soup.pop(0)
                if part.origin != ORIGINS[at]:
                    holders[at].receive(part, sender)
        for holder in holders:
            check_copies(holder, sources)
    return sources, seen


@law(100)
@given(programs, st.integers(1, 3))
def test_copy_is_map_over_loss_repeats_relays_and_pieces(program: bytes, size: int) -> None:
    sources, _ = run_soup(program, size)
    for source in sources.values():
        for other in sources.values():  # one round without faults brings everybody to the end
            if other is not source:
                base = source.replica.version(other.origin)
                source.replica.receive(other.map.delta(SWORM, other.origin, base), other.origin)
        assert all(source.replica.version(other.origin) == other.map.version for other in sources.values())
        check_copies(source.replica, sources)
        assert source.replica.index == best_by_force(source.replica)


@law(60)
@given(programs, st.randoms(use_true_random=False))
def test_any_order_one_end(program: bytes, random: Any) -> None:
    """The join is commutative, associative and idempotent: any order, with repeats, ends where whole maps end."""
    sources, deltas = run_soup(program, 2)
    deltas += [source.map.delta(SWORM, source.origin, 0) for source in sources.values()]
    ends = []
    for _ in range(3):
        replica = Replica(SWORM)
        order = deltas * 2
        random.shuffle(order)
        for delta in order:
            replica.receive(delta)
            check_copies(replica, sources)
        ends.append(replica)
    whole = Replica(SWORM)
    for source in sources.values():
        whole.receive(source.map.delta(SWORM, source.origin, 0))
    for end in ends:
        assert {o: c.entries for o, c in end.copies.items() if c.version} == {
            o: c.entries for o, c in whole.copies.items() if c.version
        }
        assert end.index == whole.index
        assert all(end.digest(origin) == whole.digest(origin) for origin in ORIGINS)


# ---------------------------------------------------------------------------------------------------------- examples


def source_of(*changes: dict[Key, Any]) -> Source:
    source = Source(ORIGINS[0])
    for change in changes:
        source.write(change)
    return source


def test_whole_or_nothing() -> None:
    source = source_of({name: registration() for name in NAMES})
    parts = pieces(source.map.delta(SWORM, source.origin, 0), 1)
    replica = Replica(SWORM)
    assert [replica.receive(part, "n9.1")[0] for part in (parts[2], parts[0], parts[0])] == [False, False, False]
    assert not replica.index
    assert replica.receive(parts[1], "n9.1")[0]
    assert set(replica.index) == set(NAMES)


def test_pieces_of_two_senders_never_make_one_map() -> None:
    """A relay's map may hold its keys in another order: half of each sender's pieces would be a wrong copy."""
    source = source_of(
        {"lobby": registration()}, {"attic": registration()}, {"lobby": None}, {"lobby": registration(2)}
    )
    relay = Replica(SWORM)
    relay.receive(Delta(SWORM, source.origin, 0, 4, [["lobby", registration(2)], ["attic", registration()]]))
    mine, theirs = (pieces(r.copy(source.origin).delta(SWORM, source.origin, 0), 1) for r in (source.replica, relay))
    replica = Replica(SWORM)
    for part, sender in ((mine[0], source.origin), (theirs[1], "n9.1")):
        replica.receive(part, sender)
        check_copies(replica, {source.origin: source})
    replica.receive(mine[1], source.origin)
    assert replica.copy(source.origin).entries == source.map.entries


def test_an_incomplete_set_is_dropped_once_it_is_of_no_use() -> None:
    source = source_of({name: registration() for name in NAMES})
    parts = pieces(source.map.delta(SWORM, source.origin, 0), 1)
    replica = Replica(SWORM)
    replica.receive(parts[0], "n9.1")
    assert replica.staged
    replica.receive(source.map.delta(SWORM, source.origin, 0), source.origin)
    assert not replica.staged
    replica.receive(parts[0], "n9.1")  # a late repeat of what is held already
    assert not replica.staged


def test_early_deltas_are_held_and_bounded() -> None:
    source = source_of(*({"lobby": registration(epoch)} for epoch in range(1, 14)))
    versions = [source.map.version - n for n in range(12)]
    replica = Replica(SWORM)
    for version in sorted(versions, reverse=True):
        change = [["lobby", source.history[version]["lobby"]]]
        assert replica.receive(Delta(SWORM, source.origin, version - 1, version, change)) == (False, True)
    assert len(replica.held[source.origin]) == MAX_HELD
    replica.receive(Delta(SWORM, source.origin, 0, 1, [["lobby", registration(1)]]))
    check_copies(replica, {source.origin: source})


def test_a_held_delta_is_applied_when_its_base_comes() -> None:
    source = source_of({"lobby": registration()}, {"attic": registration()}, {"lobby": None})
    replica = Replica(SWORM)
    assert replica.receive(source.map.delta(SWORM, source.origin, 2)) == (False, True)
    base = Delta(SWORM, source.origin, 0, 2, [["lobby", registration()], ["attic", registration()]])
    assert replica.receive(base) == (True, False)
    assert replica.version(source.origin) == 3
    assert set(replica.index) == {"attic"}


def test_a_whole_map_replaces_a_distrusted_copy_of_the_same_version_only_when_asked() -> None:
    source = source_of({"lobby": registration()})
    replica = Replica(SWORM)
    replica.receive(Delta(SWORM, source.origin, 0, 1, [["attic", registration()]]))  # somebody broke the law
    whole = source.map.delta(SWORM, source.origin, 0)
    assert replica.receive(whole) == (False, False)
    assert replica.receive(whole, replace=True) == (True, False)
    assert set(replica.index) == {"lobby"}


def test_gone_voids_up_to_its_epoch_and_no_further() -> None:
    replica = Replica(SWORM)
    replica.write("n1.1", {"lobby": registration(3)})
    replica.write("n2.1", {(GONE, "lobby"): 3})
    assert "lobby" not in replica.index
    assert "lobby" in replica.contested
    assert replica.highest_epoch("lobby") == 3
    replica.write("n1.1", {"lobby": registration(4)})
    assert replica.index["lobby"].entry.epoch == 4


def test_a_dead_origins_entry_is_work_and_no_answer() -> None:
    replica = Replica(SWORM)
    replica.write("n1.1", {"lobby": registration(3)})
    replica.set_dead("n1.1", True)
    assert not replica.index
    assert [name for name, _ in replica.orphans("n1.1")] == ["lobby"]
    replica.write("n2.1", {"lobby": registration(4)})
    assert replica.orphans("n1.1") == []
    replica.set_dead("n1.1", False)
    assert replica.index["lobby"].origin == "n2.1"
    assert "lobby" in replica.contested


def test_a_group_follows_its_processes() -> None:
    replica = Replica(SWORM)
    joined: dict[Key, Any] = {(GROUP, "all", "n1.1.1"): "lobby", (GROUP, "all", "n1.1.2"): "attic"}
    replica.write("n1.1", {"lobby": registration(serial=1), "attic": registration(serial=2), **joined})
    assert replica.members("all") == [("attic", "n1.1.2"), ("lobby", "n1.1.1")]
    assert replica.groups_of("n1.1.1") == ["all"]
    replica.write("n1.1", {"lobby": None, (GROUP, "all", "n1.1.1"): None})
    assert replica.members("all") == [("attic", "n1.1.2")]
    replica.set_dead("n1.1", True)
    assert replica.members("all") == []
    replica.set_dead("n1.1", False)
    replica.drop("n1.1")
    assert (replica.groups, replica.joined) == ({}, {})


def test_a_name_whose_groups_change_has_changed() -> None:
    replica = Replica(SWORM)
    replica.write("n1.1", {"lobby": registration(serial=1)})
    replica.changed.clear()
    for value in ("lobby", None):
        replica.write("n1.1", {(GROUP, "all", "n1.1.1"): value})
        assert replica.changed == {"lobby"}
        replica.changed.clear()
