"""Rendezvous hashing over a view: all who agree on the view agree here, and only a leaver's names change hands.

Named invariants: same-view-same-arbiter, minimal-movement.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from registry.core.directory import NODE, NodeRecord
from registry.core.ids import node_of
from registry.core.membership import View
from registry.core.origin import VersionedMap
from supervisor.core.constraints import parse
from supervisor.core.placement import Placement, named
from supervisor.core.strategies import UNIFORM, Candidate, wish
from tests.laws import law

SWORM = "rooms"
NAMES = [f"room-{number}" for number in range(200)]

node_sets = st.sets(st.sampled_from([f"n{number}" for number in range(8)]), min_size=1, max_size=6)


def placed(nodes: set[str] | list[str], incarnation: int = 1, sworms: tuple[str, ...] = ("*",)) -> Placement:
    hosts = tuple((f"{node}.{incarnation}", sworms) for node in nodes)
    return Placement(View(b"v", frozenset(origin for origin, _ in hosts), hosts))


def arbiters(placement: Placement) -> dict[str, str]:
    return {name: node_of(placement.arbiter(SWORM, name)) for name in NAMES}


@law(15)
@given(node_sets)
def test_same_view_same_arbiter_in_whatever_order_it_is_listed(nodes: set[str]) -> None:
    assert arbiters(placed(sorted(nodes))) == arbiters(placed(sorted(nodes, reverse=True)))


@law(15)
@given(node_sets, st.data())
def test_minimal_movement(nodes: set[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(nodes)))
    before, after = arbiters(placed(nodes)), arbiters(placed(nodes - {gone}))
    if nodes == {gone}:
        assert set(after.values()) == {""}
    else:
        assert all(after[name] == before[name] for name in NAMES if before[name] != gone)


def test_a_restarted_node_gets_its_old_names_back() -> None:
    assert arbiters(placed({"n1", "n2"}, 1)) == arbiters(placed({"n1", "n2"}, 7))


def test_names_spread_evenly() -> None:
    counts = Counter(arbiters(placed({"n1", "n2", "n3", "n4"})).values())
    assert min(counts.values()) > 30


def test_only_hosts_of_the_sworm_decide() -> None:
    view = View(b"v", frozenset({"n1.1", "n2.1"}), (("n1.1", ("bots",)), ("n2.1", ("rooms",))))
    assert set(arbiters(Placement(view)).values()) == {"n2"}
    assert Placement(view).arbiter("feeds", "x") == ""


def test_eligible_are_the_hosts_whose_labels_meet_the_constraints() -> None:
    directory = {}
    for node, zone in (("n1", "a"), ("n2", "b"), ("n3", "a")):
        directory[f"{node}.1"] = VersionedMap()
        directory[f"{node}.1"].write({NODE: NodeRecord("", "", "up", ["*"], {"zone": zone}, 2.0, 0, 0, 0)})
    hosts = tuple((origin, ("*",)) for origin in directory)
    placement = Placement(View(b"v", frozenset(directory), hosts), directory)
    assert placement.eligible(SWORM, parse({"zone": "a"})) == ["n1.1", "n3.1"]
    assert placement.eligible(SWORM, parse({"zone": "c"})) == []
    assert placement.eligible(SWORM, ()) == ["n1.1", "n2.1", "n3.1"]
    assert (placement.labels("n2.1"), placement.capacity("n2.1"), placement.capacity("n9.1")) == ({"zone": "b"}, 2.0, 1)
    assert arbiters(placement) == arbiters(placed(["n1", "n2", "n3"]))
    assert named(directory, "n2") == "n2.1"
    assert named(directory, "n") == ""


@law(15)
@given(node_sets)
def test_who_decides_is_where_uniform_wants_it(nodes: set[str]) -> None:
    candidates = [Candidate(node) for node in nodes]
    assert arbiters(placed(nodes)) == {name: wish(UNIFORM, name, "", candidates) for name in NAMES}
