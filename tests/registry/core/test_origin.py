"""Versioned maps against a dumb reference: the whole map, copied at every version.

The invariant under test is copy-is-map: a copy at version v is exactly the origin's map as it was at v.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry.core import origin as origin_module
from registry.core.names import Key
from registry.core.origin import VersionedMap, entry_hash, pieces
from tests.laws import change_sets, law, registration

ME = "n1.1"


class Dumb:
    """An origin that remembers its whole map at each version."""

    def __init__(self) -> None:
        self.map = VersionedMap()
        self.history: list[dict[Key, Any]] = [{}]

    def write(self, changes: dict[Key, Any]) -> None:
        self.map.write(changes)
        if self.map.version == len(self.history):
            self.history.append(dict(self.map.entries))


def written(sets: Sequence[dict[Key, Any]]) -> Dumb:
    dumb = Dumb()
    for changes in sets:
        dumb.write(changes)
    return dumb


@law(40)
@given(st.lists(change_sets, max_size=8))
def test_a_write_makes_one_version_exactly_when_it_changes_something(sets: list[dict[Key, Any]]) -> None:
    mine, plain = VersionedMap(), dict[Key, Any]()
    for changes in sets:
        before = dict(plain)
        plain.update(changes)
        plain = {key: value for key, value in plain.items() if value is not None}
        version = mine.version
        changed = mine.write(changes)
        assert mine.entries == plain
        assert mine.version == version + (plain != before)
        assert changed == {k: before.get(k) for k in before | plain if before.get(k) != plain.get(k)}


@law(100)
@given(st.lists(change_sets, min_size=1, max_size=8), st.binary(min_size=4, max_size=60))
def test_copy_is_map(sets: list[dict[Key, Any]], program: bytes) -> None:
    """Any chain of deltas that fit, from the origin or from another copy at any version, pruned or not, is exact."""
    dumb = Dumb()
    copies = [VersionedMap(), VersionedMap()]
    numbers = iter(program)
    for changes in sets:
        dumb.write(changes)
        for _ in range(next(numbers, 0) % 4):
            number = next(numbers, 0)
            target, source = copies[number % 2], [dumb.map, *copies][number // 2 % 3]
            delta = source.delta("s", ME, next(numbers, 0) % (dumb.map.version + 1))
            if target.fits(delta):
                target.apply(delta)
            if number > 128:
                source.prune()
            for copy in copies:
                assert copy.entries == dumb.history[copy.version]


@law(40)
@given(st.lists(change_sets, min_size=1, max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_a_delta_fits_only_where_it_leads_on(sets: list[dict[Key, Any]], base: int, have: int) -> None:
    dumb = written(sets)
    version = dumb.map.version
    delta = dumb.map.delta("s", ME, min(base, version))
    copy = VersionedMap()
    copy.version = min(have, version)
    assert copy.fits(delta) == (delta.base <= copy.version < version)


@law(40)
@given(st.lists(change_sets, max_size=8), st.lists(change_sets, max_size=8))
def test_digest_is_content(one: list[dict[Key, Any]], other: list[dict[Key, Any]]) -> None:
    """Digests are equal exactly when maps are equal, whatever way the maps came about."""
    left, right = written(one).map, written(other).map
    left.digest()  # kept up to date from here on, against one that is computed once
    for changes in other:
        left.write(changes)
    for changes in [*one, *other]:
        right.write(changes)
    assert (left.digest() == right.digest()) == (left.entries == right.entries)
    whole = VersionedMap()
    whole.apply(left.delta("s", ME, 0))
    assert whole.digest() == left.digest()


def test_a_digest_follows_every_kind_of_change() -> None:
    mine = VersionedMap()
    empty = mine.digest()
    mine.write({"a": registration()})
    one = mine.digest()
    mine.write({"a": registration(epoch=2)})
    two = mine.digest()
    mine.write({"a": None})
    assert len({empty, one, two}) == 3
    assert mine.digest() == empty
    assert entry_hash("a", registration()) != entry_hash("b", registration())


@law(40)
@given(st.lists(change_sets, min_size=1, max_size=6), st.integers(1, 4), st.randoms(use_true_random=False))
def test_pieces_are_the_delta_cut(sets: list[dict[Key, Any]], size: int, random: Any) -> None:
    delta = written(sets).map.delta("s", ME, 0)
    parts = pieces(delta, size)
    assert [part.part for part in parts] == list(range(len(parts)))
    assert all(part.parts == len(parts) and len(part.changes) <= size for part in parts)
    assert [change for part in parts for change in part.changes] == delta.changes


def test_a_log_below_its_floor_sends_the_whole_map() -> None:
    mine = VersionedMap()
    mine.write({"a": registration()})
    mine.write({"b": registration()})
    mine.prune()
    mine.write({"c": registration()})
    assert mine.delta("s", ME, 2).changes == [["c", registration()]]
    whole = mine.delta("s", ME, 1)
    assert (whole.base, len(whole.changes)) == (0, 3)


def test_a_log_is_bounded_whatever_peers_lack() -> None:
    mine, bound = VersionedMap(), origin_module.MAX_LOG
    mine.write({"first": registration()})
    mine.write({f"n{number}": 1 for number in range(bound)})
    assert len(mine.log) == bound
    assert mine.delta("s", ME, 1).base == 1  # what was pushed out is older than that
    mine.write({"first": None, "n0": 2})
    mine.write({"one": 1, "more": 1})
    assert len(mine.log) == bound
    assert mine.delta("s", ME, 1).base == 0
    assert mine.delta("s", ME, 2).changes[0] == ["first"]


def test_a_key_written_again_travels_once() -> None:
    mine = VersionedMap()
    mine.write({"a": registration()})
    for epoch in range(2, 9):
        mine.write({"b": registration(epoch=epoch)})
    assert mine.delta("s", ME, 1).changes == [["b", registration(epoch=8)]]
