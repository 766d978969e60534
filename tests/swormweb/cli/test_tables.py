"""Tables: columns line up, numbers stand right, what is missing is a dash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from swormweb.cli.tables import harmless, short_time, table


def test_columns_line_up_and_numbers_stand_right() -> None:
    items = [
        {"name": "n1", "processes": 104, "sworms": ["rooms", "probes"], "labels": {"zone": "a"}, "cordoned": False},
        {"name": "long-name", "processes": 7, "sworms": [], "labels": {}, "cordoned": True},
    ]
    assert table(("name", "processes", "sworms", "labels", "cordoned"), items).splitlines() == [
        "NAME       PROCESSES  SWORMS        LABELS  CORDONED",
        "n1               104  rooms,probes  zone=a  no",
        "long-name          7  -             -       yes",
    ]


def test_what_a_terminal_would_obey_is_marked_and_lines_do_not_break_a_table() -> None:
    assert harmless("a\x1b[2J\x9b2J\u202eb\r\n\tc") == "a\ufffd[2J\ufffd2J\ufffdb\ufffd\n\tc"
    assert table(("detail",), [{"detail": "one\ntwo"}]).splitlines() == ["DETAIL", "one two"]


def test_no_items_are_a_head_alone() -> None:
    assert table(("name", "last_seen"), []) == "NAME  LAST SEEN"


def test_a_field_that_is_missing_is_a_dash() -> None:
    assert table(("name", "problem"), [{"name": "x"}]).splitlines()[1] == "x     -"


def test_a_table_fits_the_terminal_by_cutting_its_widest_columns() -> None:
    items = [{"name": "n" * 60, "target": "t" * 60, "epoch": 7}]
    lines = table(["name", "target", "epoch"], items, width=50).splitlines()
    assert all(len(line) <= 50 for line in lines)
    assert lines[1].count("…") == 2
    assert lines[1].endswith("7")
    assert "…" not in table(["name", "target", "epoch"], items)


def test_columns_without_room_are_named_below_the_table() -> None:
    items = [{"name": "n" * 20, "status": "alive", "load": 1, "url": "u" * 30, "last_seen": "t" * 30}]
    columns = ["name", "status", "load", "url", "last_seen"]
    lines = table(columns, items, width=30).splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "n" * 15 + "…", "(url,"]
    assert lines[-1] == "(url, last seen: in a wider terminal, or with --json)"
    assert all(len(line) <= 30 for line in lines[:-1])
    assert len(table(columns, items, width=48).splitlines()) == 2


def test_an_id_is_never_cut_since_it_is_typed_again() -> None:
    items = [{"id": "f3b3d43a-90bd-4bbd-8d9e-000000000000", "kind": "migrate", "target": "t" * 30}]
    line = table(["id", "kind", "target"], items, width=60).splitlines()[1]
    assert line == f"{items[0]['id']}  migrate  {'t' * 12}…"


def test_a_time_is_short_in_a_terminal_and_has_its_day_when_that_is_another() -> None:
    now = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=1)))
    assert short_time("2026-03-01T00:02:11.123456Z", now) == "01:02:11"
    assert short_time("2026-02-28T23:30:00Z", now) == "00:30:00"
    assert short_time("2026-02-28T22:30:00Z", now) == "2026-02-28 23:30"
    assert short_time(None, datetime.now(UTC)) is None
    assert short_time("never", datetime.now(UTC)) == "never"


def test_a_table_wider_than_any_terminal_keeps_what_can_be_read() -> None:
    (_, line) = table(["a", "b", "c"], [{"a": "x" * 20, "b": "y" * 20, "c": "z" * 20}], width=5).splitlines()
    assert [len(cell) for cell in line.split()] == [8, 8, 8]
