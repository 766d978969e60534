"""Tables: columns line up, numbers stand right, what is missing is a dash."""

from __future__ import annotations

from swormweb.cli.tables import harmless, table


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


def test_a_table_wider_than_any_terminal_keeps_what_can_be_read() -> None:
    (_, line) = table(["a", "b", "c"], [{"a": "x" * 20, "b": "y" * 20, "c": "z" * 20}], width=5).splitlines()
    assert [len(cell) for cell in line.split()] == [8, 8, 8]
