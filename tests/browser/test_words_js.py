"""Sentences, numbers and times: called in the browser."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Run

pytestmark = pytest.mark.browser

# Health of a cluster given as [nodes, processes], with a machine in some state.
HEALTH = """(lib, { nodes, processes, state, heard, lag, now, replicas, dead, denied }) => {
  const model = new lib.model.Model();
  const losses = new lib.losses.Losses();
  losses.note(model.snapshot({ revision: 1, nodes, processes }), model, 0);
  if (dead) {
    const change = model.diff({ rev_to: 2, nodes: [{ name: dead, status: "dead" }], upserts: [], removed: [] });
    losses.note(change, model, 1000);
  }
  const machine = { ...lib.stream.fresh(0), state, revision: heard === null ? null : 1, heardAt: heard, lagMs: lag ?? 0, attempts: 1,
    retryAt: now + 2000, denied: Boolean(denied) };
  const found = lib.health.clauses({ model, machine, losses, acknowledged: () => false, replicas: replicas ?? null, now });
  return { sentence: found.map((c) => c.text).join(" · "), level: found[0].level, badge: lib.health.picture(machine, now).badge };
}"""  # noqa: E501 - JavaScript


def cluster(**more: Any) -> dict[str, Any]:
    nodes = [{"name": name, "status": "alive"} for name in ("n1", "n2", "n3")]
    processes = [{"sworm": "rooms", "name": f"r{i}", "node": "n2", "state": "running", "epoch": 1} for i in range(2)]
    return {"nodes": nodes, "processes": processes, "state": "live", "heard": 5000, "now": 5200, **more}


def test_when_all_is_well_the_sentence_is_calm(run: Run) -> None:
    said = run(HEALTH, cluster(replicas=True))
    assert said == {"sentence": "3 nodes · 2 processes · replicas agree", "level": 0, "badge": "live, 0.2 s old"}


def test_what_is_not_known_is_not_said(run: Run) -> None:
    assert run(HEALTH, cluster())["sentence"] == "3 nodes · 2 processes"


def test_a_dead_node_comes_first_with_what_is_back(run: Run) -> None:
    said = run(HEALTH, cluster(dead="n2"))
    assert said["sentence"].startswith("n2 lost 4 s ago: 0 of 2 processes back · 2 nodes")
    assert said["level"] == 3


def test_failed_processes_are_named(run: Run) -> None:
    processes = [{"sworm": "rooms", "name": f"r{i}", "node": "n1", "state": "failed", "epoch": 1} for i in range(5)]
    said = run(HEALTH, cluster(processes=processes))
    assert said["sentence"].startswith("5 processes have failed: rooms/r0, rooms/r1 and 3 more · 3 nodes")


def test_an_old_picture_says_so_before_anything_else(run: Run) -> None:
    stale = run(HEALTH, cluster(state="stale", now=19_000, dead="n2"))
    assert stale["sentence"].startswith("No sign of life from the observer: this is how it was at ")
    assert stale["badge"] == "stale, showing what was true 14 s ago"
    behind = run(HEALTH, cluster(state="stale", lag=30_000))
    assert behind["sentence"].startswith("The observer is 30 s behind")
    closed = run(HEALTH, cluster(state="closed", now=17_000))
    assert closed["badge"] == "reconnecting in 2 s, showing what was true 12 s ago"
    assert closed["sentence"].startswith("Disconnected from the control plane")
    assert run(HEALTH, cluster(state="closed", denied=True))["sentence"].startswith("Your session has ended")


def test_before_the_first_picture_nothing_is_claimed(run: Run) -> None:
    assert run(HEALTH, cluster(state="connecting", heard=None))["sentence"] == "Connecting to the live stream"


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0, "0.0 s"), (999, "0.9 s"), (4_900, "4 s"), (61_000, "1 min"), (7_300_000, "2 h"), (864_000_000, "10 days")],
)
def test_spans_have_no_more_digits_than_are_true(run: Run, ms: int, said: str) -> None:
    assert run("(lib, ms) => lib.words.span(ms)", ms) == said


def test_thousands_stand_apart_by_a_thin_space(run: Run) -> None:
    code = "(lib) => [7, 1234, 1234567].map(lib.words.count)"
    assert run(code) == ["7", "1\u202f234", "1\u202f234\u202f567"]


def test_times_are_read_in_every_form_they_come_in(run: Run) -> None:
    code = "(lib) => [1e9, 1e12, '2001-09-09T01:46:40Z', null, '', 'soon'].map(lib.words.moment)"
    assert run(code) == [1e12, 1e12, 1e12, None, None, None]


def test_a_state_that_the_page_does_not_know_is_never_guessed(run: Run) -> None:
    code = "(lib) => [lib.words.stateWord('odd'), lib.words.shapeOf('odd'), lib.words.shapeOf('moved')]"
    assert run(code) == ["unknown", "unknown", "handing_off"]


def test_the_filter_looks_at_sworm_state_name_and_pid(run: Run) -> None:
    code = """(lib, part) => {
      const filter = new lib.filter.Filter();
      filter.set(part);
      return [
        { sworm: "rooms", name: "Lobby", pid: "n1.5.7", state: "running" },
        { sworm: "bots", name: "a", pid: "n2.5.8", state: "failed" },
      ].map((process) => filter.shows(process));
    }"""
    assert run(code, {}) == [True, True]
    assert run(code, {"sworm": "bots"}) == [False, True]
    assert run(code, {"state": "running"}) == [True, False]
    assert run(code, {"text": " lobBY "}) == [True, False]
    assert run(code, {"text": "rooms/lob"}) == [True, False]
    assert run(code, {"text": "n2.5"}) == [False, True]


def test_the_newest_cause_explains_the_present_incarnation(run: Run) -> None:
    code = """(lib, events) => {
      const told = events.map(([kind, at]) => lib.history.told({ kind, at: new Date(at * 1000).toISOString() }));
      return lib.history.cause(told)?.what ?? null;
    }"""
    assert run(code, [["restarted", 900], ["crashed", 800], ["moved", 10]]) == "Crashed"
    assert run(code, [["started", 901], ["moved", 900]]) == "Handed off"
    assert run(code, [["started", 900], ["crashed", 100]]) is None  # ended, and registered anew much later
    assert run(code, [["started", 5]]) is None
