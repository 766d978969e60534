"""Reports as they come, good and bad."""

from __future__ import annotations

import pytest

from registry.readmodel import EventRow, Stats
from registry.reports import MAX_DETAIL, newest, read


def batch(*reports: object) -> dict[str, object]:
    return {"v": 1, "id": "x", "node": "n1", "incarnation": 7, "reports": list(reports)}


def test_a_report_is_an_event_at_its_sender_unless_it_names_a_node() -> None:
    read_ = read(batch({"kind": "crashed", "at": 5.5, "sworm": "s", "name": "a", "pid": "n1.7.1", "epoch": 3,
                        "detail": "x"},
                       {"kind": "dead", "at": 6, "node": "n2"}))  # fmt: skip
    assert read_.events == [
        EventRow(5.5, "crashed", "s", "a", "n1", "n1.7.1", 3, "x"),
        EventRow(6.0, "dead", node="n2"),
    ]


def test_what_a_node_says_of_itself_is_no_event() -> None:
    as_text = {"kind": "stats", "at": 1, "detail": '{"stats": {"load": 0.5}, "definitions": {"s": 3}}'}
    as_map = {"kind": "stats", "at": 2, "detail": {"stats": {"load": b"x"}}}
    read_ = read(batch(as_text, as_map))
    assert read_.events == []
    assert read_.stats == [Stats("n1", {"load": 0.5}, {"s": 3}), Stats("n1", {"load": {"$bytes": "eA=="}}, None)]
    assert newest(read_.stats) == [read_.stats[1]]


@pytest.mark.parametrize(
    "bad",
    ["text", 5, None, {}, {"kind": "x"}, {"kind": "x", "at": "soon"}, {"kind": "x", "at": float("nan")},
     {"kind": "stats", "at": 1, "detail": "{"}, {"kind": "stats", "at": 1, "detail": "[]"}],
)  # fmt: skip
def test_what_is_no_report_is_dropped_and_the_others_are_kept(bad: object, caplog: pytest.LogCaptureFixture) -> None:
    read_ = read(batch(bad, {"kind": "started", "at": 1}))
    assert [event.kind for event in read_.events] == ["started"]
    assert "is dropped" in caplog.text


def test_a_batch_without_reports_is_empty() -> None:
    assert read({}) == ([], [])
    assert read({"reports": "many"}) == ([], [])


def test_nothing_in_a_report_can_break_a_row() -> None:
    (event,) = read(
        batch({"kind": "a\x00b", "at": 1e300, "epoch": 2**63 - 1, "detail": "\x00\ud800" + "x" * 20_000})
    ).events
    assert event.kind == "a\ufffdb"
    assert event.at < 1e12
    assert len(event.detail) == MAX_DETAIL
    event.detail.encode()
