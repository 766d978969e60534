"""Rows, their targets, and how they are shown."""

from __future__ import annotations

import json

import pytest

from bench.rows import AT_LEAST, AT_MOST, ROWS, Target, results
from bench.table import HEADINGS, document, markdown, number


@pytest.mark.parametrize(
    ("target", "value", "reached"),
    [
        (Target(AT_LEAST, 10), 10, True),
        (Target(AT_LEAST, 10), 9.9, False),
        (Target(AT_MOST, 0), 0, True),
        (Target(AT_MOST, 0), 1, False),
    ],
)
def test_a_target_is_a_limit_to_one_side(target: Target, value: float, reached: bool) -> None:
    assert target.reached(value) is reached


def test_the_median_of_the_runs_counts_and_rows_keep_their_order() -> None:
    found = results([("spread", 1.0), ("register.1.1", 9_000.0), ("spread", 3.0), ("spread", 1.1)])
    assert [result.row.key for result in found] == ["register.1.1", "spread"]
    assert (found[1].median, found[1].reached) == (1.1, True)


def test_an_unknown_row_is_an_error() -> None:
    with pytest.raises(KeyError):
        results([("no.such.row", 1.0)])


def test_a_row_without_a_target_reaches_none() -> None:
    key = next(key for key, row in ROWS.items() if row.target is None)
    assert results([(key, 5.0)])[0].reached is None


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.0424, "0.0424"), (3.14159, "3.14"), (99.94, "99.9"), (12345.6, "12 346")]
)
def test_numbers_have_no_more_digits_than_are_true(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_table_has_a_line_for_each_row_in_columns_of_equal_width() -> None:
    lines = markdown(results([("spread", 1.0), ("kill.lost", 2.0)])).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert all(heading in lines[0] for heading in HEADINGS)
    assert "| yes " in lines[2]
    assert "| no " in lines[3]


def test_the_document_is_json_with_every_value() -> None:
    told = json.loads(json.dumps(document({"cpu": "2"}, results([("spread", 1.0), ("spread", 2.0)]))))
    assert told["machine"] == {"cpu": "2"}
    row = told["rows"][0]
    assert (row["row"], row["values"], row["median"], row["reached"]) == ("spread", [1.0, 2.0], 1.5, False)
    assert row["target"] == {"sense": "at most", "limit": 1.2}
