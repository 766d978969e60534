"""How results are shown: a table for people, JSON for programs.

Law: pure. A value has three significant digits and no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.rows import Result

HEADINGS = ("row", "median", "range", "target", "reached", "the original")


def number(value: float) -> str:
    """A value for people, with thin groups of three."""
    if value == 0 or abs(value) >= 100:
        return f"{round(value):,}".replace(",", " ")
    return f"{value:.3g}"


def cells(result: Result) -> tuple[str, ...]:
    """One line."""
    row, target = result.row, result.row.target
    reached = {True: "yes", False: "no", None: ""}[result.reached]
    return (
        row.text,
        f"{number(result.median)} {row.unit}",
        f"{number(min(result.values))} to {number(max(result.values))}",
        f"{target.sense} {number(target.limit)}" if target else "",
        reached,
        row.original,
    )


def markdown(results: Iterable[Result]) -> str:
    """The whole table."""
    lines = [HEADINGS, *map(cells, results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])


def document(machine: dict[str, str], results: Iterable[Result]) -> dict[str, Any]:
    """The same for programs."""
    return {"machine": machine, "rows": [_row(result) for result in results]}


def _row(result: Result) -> dict[str, Any]:
    row, target = result.row, result.row.target
    return {
        "row": row.key,
        "text": row.text,
        "unit": row.unit,
        "values": list(result.values),
        "median": result.median,
        "target": {"sense": target.sense, "limit": target.limit} if target else None,
        "reached": result.reached,
    }
