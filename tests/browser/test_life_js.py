"""The life of a name, told from its events."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Run

pytestmark = pytest.mark.browser

LIVES = "(lib, [events, item]) => lib.life.lives(events, item)"


def history(*told: tuple[str, str, int, str]) -> list[dict[str, Any]]:
    """Events of (kind, pid, epoch, detail), a second apart."""
    return [
        {
            "id": n, "revision": n, "at": f"2026-01-01T00:00:{n:02}Z", "kind": kind, "pid": pid, "epoch": epoch,
            "node": pid.split(".")[0], "detail": detail, "sworm": "s", "name": "a",
        }
        for n, (kind, pid, epoch, detail) in enumerate(told)
    ]  # fmt: skip


def item(pid: str, epoch: int) -> dict[str, Any]:
    return {"pid": pid, "epoch": epoch, "node": pid.split(".")[0], "started_at": "2026-01-01T00:00:00Z"}


def said(lives: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(one["pid"], one["began"]["text"], one["ended"] and one["ended"]["text"]) for one in lives]


def test_a_restart_after_a_crash_keeps_the_traceback_with_the_one_that_crashed(run: Run) -> None:
    events = history(
        ("started", "n1.1.1", 1, ""), ("crashed", "n1.1.1", 1, "Traceback\nboom"), ("restarted", "n1.1.2", 2, "")
    )
    lives = run(LIVES, [events, item("n1.1.2", 2)])
    assert said(lives) == [("n1.1.2", "Restarted after the crash", None), ("n1.1.1", "Registered", "Crashed")]
    assert lives[1]["ended"]["detail"] == "Traceback\nboom"
    assert lives[0]["current"]


def test_a_move_ends_one_and_begins_the_next_though_only_the_source_tells(run: Run) -> None:
    events = history(("started", "n1.1.1", 1, ""), ("moved", "n1.1.1", 1, "to n2 as n2.1.7"))
    lives = run(LIVES, [events, item("n2.1.7", 5)])
    assert said(lives) == [
        ("n2.1.7", "Handed off from n1", None),
        ("n1.1.1", "Registered", "Handed off to n2"),
    ]


def test_a_move_is_told_by_source_and_target_in_any_order(run: Run) -> None:
    source = ("moved", "n1.1.1", 1, "to n2 as n2.1.7, epoch 5")
    target = ("arrived", "n2.1.7", 5, "from n1, where it was n1.1.1")
    for told in ([source, target], [target, source], [target], [source]):
        lives = run(LIVES, [history(("started", "n1.1.1", 1, ""), *told, ("unregistered", "n2.1.7", 5, "")), None])
        assert said(lives) == [
            ("n2.1.7", "Handed off from n1", "Stopped on request: its name was freed"),
            ("n1.1.1", "Registered", "Handed off to n2"),
        ]
        assert [one["epoch"] for one in lives] == [5, 1]


def test_the_death_of_a_node_ends_what_ran_there(run: Run) -> None:
    events = history(
        ("started", "n1.1.1", 1, ""),
        ("rehomed", "n2.1.3", 4, "n1.1.1 departed with its node"),
        ("restarted", "n2.1.3", 4, ""),
    )
    lives = run(LIVES, [events, item("n2.1.3", 4)])
    assert said(lives) == [
        ("n2.1.3", "Started again after n1 was lost", None),
        ("n1.1.1", "Registered", "Lost with its node"),
    ]


def test_what_is_not_recorded_is_said_to_be_unknown(run: Run) -> None:
    assert said(run(LIVES, [[], item("n1.1.9", 3)])) == [("n1.1.9", "How it began is not recorded", None)]
    (gone,) = run(LIVES, [history(("started", "n1.1.1", 1, "")), None])
    assert gone["ended"]["text"] == "Stopped on request: its name was freed"


def test_giving_up_is_told_with_the_last_traceback(run: Run) -> None:
    events = history(
        ("started", "n1.1.1", 1, ""), ("crashed", "n1.1.1", 1, "boom"), ("failed", "n1.1.1", 1, "more than 3 restarts")
    )
    (life,) = run(LIVES, [events, None])
    assert life["ended"]["text"].startswith("Crashed once more")
    assert life["ended"]["detail"] == "boom\nmore than 3 restarts"


def test_conflicts_and_failed_moves_are_notes_in_between(run: Run) -> None:
    events = history(
        ("started", "n1.1.1", 1, ""),
        ("handoff_failed", "n1.1.1", 1, "no answer"),
        ("conflict", "n1.1.1", 1, "lost to n2.1.1"),
    )
    older, newer = run(LIVES, [events, item("n2.1.1", 2)])[::-1]
    assert [note["kind"] for note in older["notes"]] == ["handoff_failed", "conflict"]
    assert older["ended"]["text"] == "Gave way to another after a split"
    assert newer["current"]


@pytest.mark.parametrize(
    ("key", "pending", "now", "act"),
    [("/", None, 0, "search"), ("?", None, 0, "help"), ("p", 0, 900, "/processes"), ("p", None, 0, None),
     ("p", 0, 3000, None), ("g", 0, 100, "/groups"), ("q", 0, 100, None)],
)  # fmt: skip
def test_what_a_key_means(run: Run, key: str, pending: int | None, now: int, act: str | None) -> None:
    assert run("(lib, [key, pending, now]) => lib.keys.meaning(key, pending, now).act", [key, pending, now]) == act
