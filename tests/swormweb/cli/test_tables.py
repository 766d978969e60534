"""Tables: columns line up, numbers stand right, what is missing is a dash."""

from __future__ import annotations

from swormweb.cli.tables import table


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


def test_no_items_are_a_head_alone() -> None:
    assert table(("name", "last_seen"), []) == "NAME  LAST SEEN"


def test_a_field_that_is_missing_is_a_dash() -> None:
    assert table(("name", "problem"), [{"name": "x"}]).splitlines()[1] == "x     -"
