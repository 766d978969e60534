"""Tables for people: columns as wide as they must be, numbers on the right.

Law: pure. A cell that is missing is a dash; nothing is cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def _cell(value: Any) -> str:
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(columns: Sequence[str], items: Iterable[dict[str, Any]]) -> str:
    """Items as lines below a head; the columns are names of their fields."""
    rows = [[item.get(column) for column in columns] for item in items]
    cells = [
        [column.upper().replace("_", " ") for column in columns],
        *([_cell(value) for value in row] for row in rows),
    ]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    return "\n".join(_line(row, widths, right) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(row, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()
