"""The map as a web process holds it: whatever path a viewer takes, it ends with the same map."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.mapstate import Change, Filter, MapState
from registry.projection import STREAM_COLUMNS


def row(sworm: str, name: str, revision: int, state: str = "running") -> list[Any]:
    values = {"sworm": sworm, "name": name, "state": state, "revision": revision}
    return [values.get(column) for column in STREAM_COLUMNS]


def node(name: str, revision: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "revision": revision, "status": "alive", **more}


def names(table: dict[str, Any]) -> list[str]:
    return [one[1] for one in table["rows"]]


def loaded(**options: int) -> MapState:
    state = MapState(**options)
    state.load(Change(3, [node("n1", 1)], [row("s", "a", 2), row("t", "b", 3)], []), floor=0)
    return state


def test_a_snapshot_has_all_and_a_diff_what_came_after() -> None:
    state = loaded()
    assert names(state.snapshot(None)["processes"]) == ["a", "b"]
    state.merge(Change(5, [], [row("s", "c", 4)], [(5, "t", "b")]))
    diff = state.diff(3, 3, None)
    assert diff is not None
    assert (diff["rev_from"], diff["rev_to"], names(diff["upserts"]), diff["removed"]) == (3, 5, ["c"], [("t", "b")])
    assert diff["nodes"] == []


def test_a_filter_hides_other_sworms_and_no_nodes() -> None:
    state = loaded()
    only = frozenset({"s"})
    assert names(state.snapshot(only)["processes"]) == ["a"]
    state.merge(Change(4, [], [row("t", "x", 4)], []))
    assert state.diff(3, 3, only) is None
    state.merge(Change(5, [node("n1", 5, status="dead")], [], []))
    diff = state.diff(3, 4, only)
    assert diff is not None
    assert (diff["rev_from"], diff["nodes"]) == (3, [node("n1", 5, status="dead")])


def test_news_of_a_node_leave_what_they_do_not_mention() -> None:
    state = MapState()
    state.load(Change(1, [node("n1", 1, stats={"load": 1})], [], []), 0)
    state.merge(Change(2, [node("n1", 2, status="alive")], [], []))
    assert state.nodes["n1"] == node("n1", 2, stats={"load": 1})


def test_a_forgotten_node_leaves_the_map_and_comes_back_as_any_other() -> None:
    state = loaded()
    state.merge(Change(4, [node("n1", 4, status="forgotten")], [], []))
    assert state.snapshot(None)["nodes"] == []
    diff = state.diff(3, 3, None)
    assert diff is not None
    assert diff["nodes"] == [node("n1", 4, status="forgotten")]
    state.merge(Change(5, [node("n1", 5, status="alive")], [], []))
    assert state.snapshot(None)["nodes"] == [node("n1", 5, status="alive")]


def test_what_comes_late_does_not_replace_what_is_newer() -> None:
    state = loaded()
    state.merge(Change(6, [], [row("s", "a", 6, "failed")], []))
    state.merge(Change(5, [], [row("s", "a", 4)], [(5, "s", "a")]))
    assert state.processes[("s", "a")][5] == "failed"
    assert state.revision == 6


def test_removals_are_remembered_up_to_a_bound_and_then_a_viewer_gets_all() -> None:
    state = loaded(max_removed=10)
    for number in range(4, 30):
        state.merge(Change(number, [], [], [(number, "s", f"gone-{number}")]))
    assert not state.knows(3)
    assert state.knows(29)
    assert not state.knows(30)
    assert state.floor > 3
    diff = state.diff(state.floor, state.floor, None)
    assert diff is not None
    assert len(diff["removed"]) == 29 - state.floor


CHANGES = st.lists(
    st.tuples(st.sampled_from(["s", "t"]), st.sampled_from("abc"), st.booleans()), min_size=1, max_size=30
)


@settings(max_examples=200, deadline=None)
@given(CHANGES, st.lists(st.booleans(), min_size=30, max_size=30), st.sampled_from([None, frozenset({"s"})]))
def test_diffs_without_a_gap_lead_to_the_snapshot(
    changes: list[tuple[str, str, bool]], looks: list[bool], wanted: Filter
) -> None:
    state, seen, sent, scanned = MapState(), {}, 0, 0
    for revision, ((sworm, name, there), look) in enumerate(zip(changes, looks, strict=False), 1):
        rows = [row(sworm, name, revision)] if there else []
        state.merge(Change(revision, [], rows, [] if there else [(revision, sworm, name)]))
        if look or revision == len(changes):
            diff = state.diff(sent, scanned, wanted)
            scanned = state.revision
            if diff is not None:
                assert diff["rev_from"] == sent
                sent = diff["rev_to"]
                seen.update({(one[0], one[1]): one for one in diff["upserts"]["rows"]})
                for key in diff["removed"]:
                    seen.pop(tuple(key), None)
    assert sorted(seen.values()) == sorted(state.snapshot(wanted)["processes"]["rows"])
