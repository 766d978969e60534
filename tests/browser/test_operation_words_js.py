"""What an operation says of itself, without a page around it."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Run

pytestmark = pytest.mark.browser

BEGAN = 1_000_000_000_000


def operation(**more: Any) -> dict[str, Any]:
    at = "2001-09-09T01:46:40Z"
    return {
        "kind": "migrate", "target": "rooms", "state": "running", "progress": {"done": 0, "total": 10},
        "asked": {}, "cancelling": False, "cancelled_by": "", "created_at": at, "started_at": at, "ended_at": None,
        **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("done", "seconds", "words"),
    [
        (0, 5, "0 of 10 processes"),
        (5, 5, "5 of 10 processes · 1 a second · about 5 s left"),
        (2, 60, "2 of 10 processes · 2 a minute · about 4 min left"),
        (10, 5, "10 of 10 processes · 2 a second"),
    ],
)
def test_a_rate_is_said_once_it_is_known(run: Run, done: int, seconds: int, words: str) -> None:
    item = operation(progress={"done": done, "total": 10})
    now = BEGAN + seconds * 1000
    assert run("(lib, [item, now]) => lib.operation_words.progressWords(item, now)", [item, now]) == words


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "pending"}, "Asked for 5 s ago; no observer has taken it up yet"),
        ({}, "Running for 5 s"),
        ({"cancelling": True, "cancelled_by": "user:a"}, "Cancelled by user:a: what is under way finishes"),
        ({"state": "succeeded", "ended_at": "2001-09-09T01:46:43Z"}, "Succeeded after 3 s"),
    ],
)
def test_where_it_stands_is_one_sentence(run: Run, more: dict[str, Any], words: str) -> None:
    said = run("(lib, [item, now]) => lib.operation_words.sentence(item, now)", [operation(**more), BEGAN + 5000])
    assert said.startswith(words)


@pytest.mark.parametrize(
    ("kind", "target", "asked", "names", "command"),
    [
        ("drain", "n2", {"deadline_s": 30}, [], "drain n2 --deadline-s 30"),
        ("handoff", "rooms/a/b", {"to": "n2"}, ["a/b"], "handoff rooms a/b --to n2"),
        ("handoff", "rooms/a", {"to": None}, ["a"], "handoff rooms a"),
        ("migrate", "rooms", {"from": "n1"}, ["a"], "migrate rooms --from n1"),
        ("migrate", "rooms", {"from": None, "to": "n2"}, ["a", "b"], "migrate rooms --name a --name b --to n2"),
        (
            "rebalance",
            "rooms",
            {"dwell_s": 5, "max_per_minute": 9},
            [],
            "rebalance rooms --max-per-minute 9 --dwell-s 5",
        ),
        ("restart", "rooms", {"max_at_once": 2}, [], "restart rooms --max-at-once 2"),
        ("restart", "rooms", {"max_at_once": 2, "named": 2}, ["a", "b"], "restart rooms a b --max-at-once 2"),
        ("restart", "rooms", {"max_at_once": 1, "named": 1}, ["a"], "restart rooms a"),
    ],
)
def test_the_same_can_be_asked_for_by_a_command(
    run: Run, kind: str, target: str, asked: dict[str, Any], names: list[str], command: str
) -> None:
    item = operation(kind=kind, target=target, asked=asked)
    found = run("(lib, [item, names]) => lib.operation_words.again(item, names)", [item, names])
    assert " ".join(found["words"]) == command


def test_too_many_names_are_no_command(run: Run) -> None:
    names = [f"r{number}" for number in range(51)]
    assert run("(lib, [item, names]) => lib.operation_words.again(item, names)", [operation(), names]) is None
