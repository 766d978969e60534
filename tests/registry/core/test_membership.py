"""Reach, views and refutation, computed from directory copies alone.

Named invariants: views-agree (equal directories give equal views), death-needs-everybody, refuted-is-void.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.directory import AGREEING, DEAD, ENDED, LEFT, NODE, STATUSES, SUSPECT, UP, NodeRecord
from registry.core.membership import (
    PRESETS,
    hosts_of,
    opinion,
    reachable,
    state_of,
    superseded,
    trusts,
    view_of,
)
from registry.core.origin import VersionedMap
from tests.laws import law

NODES = ["n1.1", "n2.1", "n3.1", "n4.1", "n5.1"]
pairs = st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)).filter(lambda pair: pair[0] != pair[1])


def record(status: str = UP, refutation: int = 0, sworms: Iterable[str] = ("*",)) -> NodeRecord:
    return NodeRecord("", "", status, list(sworms), {}, 1.0, refutation, 0, 0)


def directory(*origins: str) -> dict[str, VersionedMap]:
    copies = {}
    for origin in origins:
        copies[origin] = VersionedMap()
        copies[origin].write({NODE: record()})
    return copies


def reach_by_force(suspected: set[tuple[str, str]], start: set[str]) -> set[str]:
    """Everybody whom a chain of mutual trust among the others leads to, found by trying again and again."""
    found = set(start)
    for _ in NODES:
        for far in NODES[1:]:
            if any((near, far) not in suspected and (far, near) not in suspected for near in found):
                found.add(far)
    return found


@law(60)
@given(st.sets(pairs, max_size=14), st.sets(st.sampled_from(NODES[1:])))
def test_death_needs_everybody(suspected: set[tuple[str, str]], heard: set[str]) -> None:
    """Who is in reach: the closure over mutual trust from those whom one hears, and nobody else."""
    copies = directory(*NODES)
    for judge, subject in suspected:
        copies[judge].write({(SUSPECT, subject): 0})
    found = reachable(copies, NODES[0], NODES, lambda origin: origin in heard)
    assert found == reach_by_force(suspected, heard)


@law(30)
@given(st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(STATUSES)), max_size=8), st.integers(0, 99))
def test_views_agree_whatever_the_order(statuses: list[tuple[str, str]], seed: int) -> None:
    copies = directory(*NODES)
    for origin, status in statuses:
        copies[origin].write({NODE: record(status)})
    shuffled = random.Random(seed).sample(NODES, len(NODES))
    one, other = view_of(copies, NODES), view_of({o: copies[o] for o in shuffled}, shuffled)
    assert one == other
    for origin in NODES:
        status = copies[origin].entries[NODE].status
        assert (origin in one.agreeing) == (status in AGREEING)
        assert (origin in hosts_of(one, "rooms")) == (status == UP)


def test_another_status_or_sworm_is_another_view() -> None:
    copies = directory(*NODES[:2])
    views = {view_of(copies, NODES[:2]).id, view_of(copies, NODES[:1]).id}
    copies[NODES[0]].write({NODE: record("cordoned")})
    views.add(view_of(copies, NODES[:2]).id)
    copies[NODES[0]].write({NODE: record(sworms=["rooms"])})
    views.add(view_of(copies, NODES[:2]).id)
    assert len(views) == 4


def test_what_says_nothing_about_hosting_is_no_other_view() -> None:
    copies = directory(*NODES[:2])
    before = view_of(copies, NODES[:2]).id
    copies[NODES[0]].write({NODE: record(refutation=7)})
    assert view_of(copies, NODES[:2]).id == before


@pytest.mark.parametrize(("opined", "refutation", "holds"), [(0, 0, True), (0, 1, False), (2, 1, True), (3, 4, False)])
def test_refuted_is_void(opined: int, refutation: int, holds: bool) -> None:
    copies = directory(*NODES[:2])
    copies[NODES[0]].write({(DEAD, NODES[1]): opined})
    copies[NODES[1]].write({NODE: record(refutation=refutation)})
    assert opinion(copies, NODES[0], DEAD, NODES[1]) is holds
    assert trusts(copies, NODES[0], NODES[1]) is not holds
    assert trusts(copies, NODES[1], NODES[0]) is not holds


def test_a_higher_incarnation_supersedes_once_it_has_spoken() -> None:
    copies = directory("n1.1", "n2.1")
    copies["n1.5"] = VersionedMap()
    assert superseded(copies, "n2.1") == set()
    copies["n1.5"].write({NODE: record("joining")})
    assert superseded(copies, "n2.1") == {"n1.1"}


def test_a_higher_incarnation_that_is_over_supersedes_too() -> None:
    copies = directory("n1.1", "n1.5", "n2.1")
    copies["n2.1"].write({(ENDED, "n1"): (3, 5)})
    assert superseded(copies, "n2.1") == {"n1.1"}
    del copies["n1.5"]
    assert superseded(copies, "n2.1") == {"n1.1"}
    assert superseded(copies, "n1.1") == set()


def test_nobody_reaches_an_incarnation_below_one_that_it_has_ended() -> None:
    copies = directory("n1.1", "n2.3", "n3.1")
    assert reachable(copies, "n1.1", copies, lambda origin: origin == "n3.1") == {"n2.3", "n3.1"}
    copies["n3.1"].write({(ENDED, "n2"): (5,)})  # it takes n2.3 for superseded, and says nothing of it any more
    assert reachable(copies, "n1.1", copies, lambda origin: origin == "n3.1") == {"n3.1"}


def test_a_state_is_one_word() -> None:
    words = {(dead, heard): state_of(record(), dead, heard) for dead in (True, False) for heard in (True, False)}
    assert words == {(True, True): "dead", (True, False): "dead", (False, True): "alive", (False, False): "suspect"}
    assert state_of(record(LEFT), True, False) == "left"


@pytest.mark.parametrize("preset", PRESETS)
def test_the_arithmetic_of_the_presets(preset: str) -> None:
    timing = PRESETS[preset]
    assert timing.timeout >= 4 * timing.heartbeat
    assert timing.hold < timing.heartbeat
    assert timing.redial <= timing.suspicion * 5
    if preset == "lan":
        assert timing.suspicion <= 1  # names are seen running elsewhere within two seconds of a kill
