"""The store of nodes and processes, what a dead node took with it, and the journal: called in the browser."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Run

pytestmark = pytest.mark.browser

COLUMNS = ["sworm", "name", "pid", "node", "epoch", "state"]

# Plays snapshots and diffs into a model, with losses and journal beside it; returns each step's changes and the end.
PLAY = """(lib, script) => {
  const model = new lib.model.Model();
  const losses = new lib.losses.Losses();
  const journal = new lib.journal.Journal();
  const names = (list) => list.map((one) => (one.process ?? one).name);
  const steps = script.map(([now, message], i) => {
    const change = message.type === "snapshot" ? model.snapshot(message) : model.diff(message);
    losses.note(change, model, now);
    journal.note(change, model, now, i === 0);
    return {
      added: names(change.added), removed: names(change.removed), moved: names(change.moved),
      updated: names(change.updated), gone: change.gone,
    };
  });
  const placed = Object.fromEntries([...model.byNode].map(([node, here]) => [node, [...here.values()].map((p) => p.name)]));
  return {
    steps, placed, revision: model.revision, tally: Object.fromEntries(model.tally()),
    sworms: Object.fromEntries(model.sworms), losses: Object.fromEntries([...model.nodes.keys()].map((n) => [n, losses.of(n) ?? null])),
    journal: journal.told(9).map((entry) => [entry.level, entry.text]),
  };
}"""  # noqa: E501 - JavaScript


def node(name: str, status: str = "alive", **more: Any) -> dict[str, Any]:
    return {"name": name, "status": status, "incarnation": 1, **more}


def process(name: str, on: str, *, state: str = "running", epoch: int = 1, sworm: str = "rooms") -> dict[str, Any]:
    return {"sworm": sworm, "name": name, "pid": f"{on}.1.{epoch}", "node": on, "epoch": epoch, "state": state}


def snapshot(
    *processes: dict[str, Any], nodes: tuple[dict[str, Any], ...] = (node("n1"), node("n2"))
) -> dict[str, Any]:
    return {"type": "snapshot", "revision": 1, "nodes": list(nodes), "processes": list(processes)}


def diff(*upserts: dict[str, Any], nodes: tuple[Any, ...] = (), removed: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "type": "diff", "rev_from": 1, "rev_to": 2, "nodes": list(nodes), "upserts": list(upserts),
        "removed": [list(pair) for pair in removed],
    }  # fmt: skip


def test_both_row_forms_give_the_same_model(run: Run) -> None:
    items = [process("a", "n1"), process("b", "n2", state="failed")]
    rows = {"columns": COLUMNS, "rows": [[item[column] for column in COLUMNS] for item in items]}
    plain = run(PLAY, [[0, snapshot(*items)]])
    packed = run(PLAY, [[0, {**snapshot(), "processes": rows}]])
    assert plain == packed
    assert plain["placed"] == {"n1": ["a"], "n2": ["b"]}
    assert plain["tally"] == {"running": 1, "failed": 1}


def test_an_upsert_carries_only_what_changed(run: Run) -> None:
    partial = {"sworm": "rooms", "name": "a", "state": "restarting"}
    played = run(PLAY, [[0, snapshot(process("a", "n1"))], [1, diff(partial)]])
    assert played["steps"][1]["updated"] == ["a"]
    assert played["tally"] == {"restarting": 1}
    assert played["placed"]["n1"] == ["a"]


def test_a_process_on_another_node_is_told_as_moved(run: Run) -> None:
    played = run(PLAY, [[0, snapshot(process("a", "n1"), process("b", "n1"))], [1, diff(process("a", "n2", epoch=2))]])
    assert played["steps"][1]["moved"] == ["a"]
    assert played["placed"] == {"n1": ["b"], "n2": ["a"]}
    assert played["journal"] == [[1, "rooms/a moved from n1 to n2"]]


def test_an_upsert_that_changes_nothing_is_no_change(run: Run) -> None:
    played = run(PLAY, [[0, snapshot(process("a", "n1"))], [1, diff(process("a", "n1"))]])
    assert played["steps"][1] == {"added": [], "removed": [], "moved": [], "updated": [], "gone": []}


def test_a_later_snapshot_tells_only_the_difference(run: Run) -> None:
    later = snapshot(process("a", "n1"), process("c", "n2"), process("b", "n2", epoch=2))
    played = run(PLAY, [[0, snapshot(process("a", "n1"), process("b", "n1"), process("x", "n1"))], [1, later]])
    step = played["steps"][1]
    assert (step["added"], step["moved"], step["removed"]) == (["c"], ["b"], ["x"])


def test_removed_processes_and_nodes_leave_nothing_behind(run: Run) -> None:
    script = [
        [0, snapshot(process("a", "n1"), process("b", "n1", sworm="bots"))],
        [1, diff(removed=(("bots", "b"), ("bots", "never")), nodes=({"name": "n2", "removed": True},))],
    ]
    played = run(PLAY, script)
    assert played["steps"][1]["removed"] == ["b"]
    assert played["steps"][1]["gone"] == ["n2"]
    assert played["sworms"] == {"rooms": 1}


def test_names_may_hold_anything(run: Run) -> None:
    names = ["a/b", "__proto__", "<b>", "\U0001f41d", "a b"]
    played = run(PLAY, [[0, snapshot(*(process(name, "n1") for name in names))]])
    assert played["placed"]["n1"] == names


def test_what_a_dead_node_took_is_counted_until_it_is_back(run: Run) -> None:
    script = [
        [0, snapshot(process("a", "n1"), process("b", "n1"), process("c", "n2"))],
        [1000, diff(nodes=(node("n1", "dead"),))],
        [1200, diff(process("a", "n2", epoch=2))],
    ]
    played = run(PLAY, script)
    assert played["losses"]["n1"] == {"at": 1000, "total": 2, "back": 1, "on": ["n2"]}
    assert played["tally"] == {"running": 2, "unknown": 1}
    assert played["journal"] == [[1, "rooms/a of n1 started again on n2"], [3, "n1 was declared dead"]]


def test_what_vanished_while_the_node_was_in_doubt_counts_as_lost_with_it_what_was_stopped_before_does_not(
    run: Run,
) -> None:
    script = [
        [0, snapshot(process("a", "n1"), process("b", "n1"), process("stopped", "n1"))],
        [700, diff(removed=(("rooms", "stopped"),))],
        [800, diff(nodes=(node("n1", "suspect"),))],
        [900, diff(removed=(("rooms", "a"),))],
        [1000, diff(nodes=(node("n1", "dead"),), removed=(("rooms", "b"),))],
        [1500, diff(process("a", "n2", epoch=2), process("b", "n2", epoch=3))],
    ]
    assert run(PLAY, script)["losses"]["n1"] == {"at": 1000, "total": 2, "back": 2, "on": ["n2"]}


def test_what_is_seen_back_just_before_its_node_is_called_dead_counts_as_lost_with_it_what_was_handed_off_does_not(
    run: Run,
) -> None:
    names = ["early", "a", "b", "given"]
    script = [
        [0, snapshot(*(process(name, "n1") for name in names))],
        [100, diff(process("early", "n2", epoch=2))],
        [2000, diff(process("given", "n1", state="handing_off"))],
        [2900, diff(process("a", "n2", epoch=2), process("given", "n2", epoch=2))],
        [3000, diff(nodes=(node("n1", "dead"),))],
        [3100, diff(process("b", "n3", epoch=2))],
    ]
    assert run(PLAY, script)["losses"]["n1"] == {"at": 3000, "total": 2, "back": 2, "on": ["n2", "n3"]}


def test_a_node_that_returns_ends_its_loss(run: Run) -> None:
    script = [[0, snapshot(process("a", "n1"))], [1, diff(nodes=(node("n1", "dead"),))], [2, diff(nodes=(node("n1"),))]]
    played = run(PLAY, script)
    assert played["losses"]["n1"] is None
    assert played["journal"][0] == [1, "n1 is back"]


def test_a_storm_is_told_in_one_sentence(run: Run) -> None:
    many = [process(f"p{i}", "n1") for i in range(30)]
    restarted = [{**item, "pid": f"n1.1.{100 + i}", "epoch": 9} for i, item in enumerate(many)]
    script = [[0, snapshot(*many)], [100, diff(*restarted[:10])], [200, diff(*restarted[10:])]]
    assert run(PLAY, script)["journal"] == [[1, "30 processes restarted on n1"]]
