"""The stream's state machine, called in the browser: gaps, silence, lag, reconnecting."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Run

pytestmark = pytest.mark.browser

# Feeds [time, input] pairs to a fresh machine; returns after each [state, effects], and the last machine.
PLAY = """(lib, script) => {
  let machine = lib.stream.fresh(0);
  const seen = [];
  for (const [now, input] of script) {
    const result = lib.stream.step(machine, input, now, 0.5);
    machine = result.machine;
    seen.push([machine.state, result.effects]);
  }
  return { seen, machine };
}"""

TICK = {"kind": "tick"}
OPENED = {"kind": "opened"}
CLOSED = {"kind": "closed", "code": 1006}


def message(**fields: Any) -> dict[str, Any]:
    return {"kind": "message", "message": fields}


def snapshot(revision: int) -> dict[str, Any]:
    return message(type="snapshot", revision=revision, nodes=[], processes=[])


def diff(start: int, end: int) -> dict[str, Any]:
    return message(type="diff", rev_from=start, rev_to=end, nodes=[], upserts=[], removed=[])


def heartbeat(revision: int, lag: int = 0) -> dict[str, Any]:
    return message(type="heartbeat", revision=revision, lag_ms=lag)


START = [[0, TICK], [10, OPENED], [20, snapshot(5)]]


def play(run: Run, *more: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Play the usual beginning and then more; returns what happened in the latter, and the machine."""
    played = run(PLAY, [*START, *more])
    return played["seen"][len(START) :], played["machine"]


def test_first_comes_a_connection_then_a_snapshot_then_the_picture_is_live(run: Run) -> None:
    seen = run(PLAY, START)["seen"]
    assert seen == [["connecting", ["connect"]], ["connecting", []], ["live", ["snapshot"]]]


def test_a_diff_that_fits_is_applied(run: Run) -> None:
    seen, machine = play(run, [30, diff(5, 8)], [40, diff(8, 9)])
    assert seen == [["live", ["diff"]], ["live", ["diff"]]]
    assert machine["revision"] == 9


def test_a_gap_asks_for_what_is_missing_and_applies_nothing_until_it_has_come(run: Run) -> None:
    seen, machine = play(run, [30, diff(7, 8)], [40, diff(8, 9)], [50, heartbeat(9)], [60, diff(5, 9)])
    assert seen == [["gap", ["resync"]], ["gap", []], ["gap", []], ["live", ["diff"]]]
    assert machine["revision"] == 9


def test_a_gap_may_be_cured_by_a_snapshot(run: Run) -> None:
    seen, machine = play(run, [30, diff(7, 8)], [40, snapshot(12)])
    assert seen[-1] == ["live", ["snapshot"]]
    assert machine["revision"] == 12


def test_a_diff_that_was_seen_already_changes_nothing(run: Run) -> None:
    seen, machine = play(run, [30, diff(3, 5)])
    assert seen == [["live", []]]
    assert machine["revision"] == 5


def test_an_unanswered_resync_is_asked_again_and_at_last_given_up_for_a_fresh_snapshot(run: Run) -> None:
    seen, machine = play(run, [30, diff(7, 8)], [4100, TICK], [8200, TICK], [12300, TICK])
    assert seen == [
        ["gap", ["resync"]],
        ["gap", ["resync"]],
        ["gap", ["resync"]],
        ["closed", ["forget", "disconnect", "retry"]],
    ]
    assert machine["anew"] is True
    assert machine["revision"] == 5  # what is shown stays shown


def test_heartbeats_that_run_ahead_for_long_mean_a_lost_diff(run: Run) -> None:
    seen, _ = play(run, [5000, heartbeat(6)], [5200, TICK], [7600, TICK])
    assert seen == [["live", []], ["live", []], ["gap", ["resync"]]]


def test_a_heartbeat_that_overtakes_its_diff_is_no_gap(run: Run) -> None:
    seen, _ = play(run, [5000, heartbeat(6)], [5100, diff(5, 6)], [9000, TICK])
    assert [state for state, _ in seen] == ["live", "live", "live"]


def test_without_heartbeats_the_picture_goes_stale_and_then_the_connection_is_given_up(run: Run) -> None:
    seen, machine = play(run, [12000, TICK], [12100, TICK], [25100, TICK])
    assert [state for state, _ in seen] == ["live", "stale", "closed"]
    assert seen[-1][1] == ["disconnect", "retry"]
    assert machine["revision"] == 5


def test_an_observer_that_is_behind_makes_the_picture_stale_until_it_has_caught_up(run: Run) -> None:
    assert play(run, [5000, message(type="heartbeat", revision=5, lag_ms=None)])[0] == [["stale", []]]
    seen, _ = play(run, [5000, heartbeat(5, lag=9000)], [10000, heartbeat(5, lag=14000)], [15000, heartbeat(5, lag=20)])
    assert [state for state, _ in seen] == ["stale", "stale", "live"]


def test_the_age_counts_silence_and_the_observers_lag(run: Run) -> None:
    code = """(lib, script) => {
      let machine = lib.stream.fresh(0);
      const ages = [lib.stream.age(machine, 5)];
      for (const [now, input] of script) {
        machine = lib.stream.step(machine, input, now).machine;
        ages.push(lib.stream.age(machine, now + 100));
      }
      return ages;
    }"""
    assert run(code, [*START, [5000, heartbeat(5, lag=700)]]) == [None, None, None, 100, 800]


def test_a_closed_connection_is_tried_again_with_growing_waits_and_from_where_the_picture_stands(run: Run) -> None:
    seen, machine = play(run, [30, CLOSED], [100, TICK], [400, TICK])
    assert seen == [["closed", ["retry"]], ["closed", []], ["connecting", ["connect"]]]
    assert machine["anew"] is False
    waits = run("(lib) => [0, 1, 2, 3, 9].map((n) => lib.stream.delay(n, 0.5))")
    assert waits == [300, 300, 600, 1200, 6000]


def test_a_session_that_ended_is_not_tried_again(run: Run) -> None:
    seen, machine = play(run, [30, {"kind": "closed", "code": 4401}], [60000, TICK], [61000, {"kind": "tick"}])
    assert [state for state, _ in seen] == ["closed", "closed", "closed"]
    assert machine["denied"] is True


def test_a_connection_that_brings_no_snapshot_is_given_up(run: Run) -> None:
    seen = run(PLAY, [[0, TICK], [10, OPENED], [15100, TICK]])["seen"]
    assert seen[-1] == ["closed", ["disconnect", "retry"]]


def test_steps_leave_the_machine_before_them_as_it_was(run: Run) -> None:
    code = """(lib) => {
      const before = lib.stream.fresh(0);
      const copy = JSON.stringify(before);
      lib.stream.step(before, { kind: "tick" }, 10);
      return [JSON.stringify(before) === copy, Object.isFrozen(before)];
    }"""
    assert run(code) == [True, True]


def test_every_transition_leads_to_a_state_of_the_table(run: Run) -> None:
    table = run("(lib) => lib.stream.TABLE")
    reached = {row[0] for rows in table.values() for row in rows.values()}
    assert reached <= set(table), json.dumps(table)
