"""Tables for people: columns as wide as they must be, numbers on the right.

Law: pure. A cell that is missing is a dash; what does not fit a terminal ends with an ellipsis, and what goes to a file
or a pipe is never cut.
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
    return str(value).replace("\n", " ")


def harmless(text: str) -> str:
    """A text for a terminal: lines and tabs stay, whatever else is not shown but obeyed (escape sequences, changes of
    the direction) is marked. What a worker said when it failed is anybody's text.
    """
    return "".join(char if char.isprintable() or char in "\n\t" else MARK for char in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


#: Narrowest that a column is cut to, and what stands for the rest.
LEAST = 8
CUT = "\u2026"

#: Stands for a character that a terminal would obey.
MARK = "\ufffd"


def table(columns: Sequence[str], items: Iterable[dict[str, Any]], width: int | None = None) -> str:
    """Items as lines below a head; the columns are names of their fields.

    `width`: of the terminal; the widest columns are cut until a line fits. None: nothing is cut.
    """
    rows = [[item.get(column) for column in columns] for item in items]
    cells = [
        [column.upper().replace("_", " ") for column in columns],
        *([_cell(value) for value in row] for row in rows),
    ]
    right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    widths = _fitted([max(len(row[index]) for row in cells) for index in range(len(columns))], width)
    return "\n".join(_line(row, widths, right) for row in cells)


def _fitted(widths: list[int], width: int | None) -> list[int]:
    """Widths of the columns, the widest cut first, each to `LEAST` at the most."""
    fitted = list(widths)
    over = sum(fitted) + 2 * (len(fitted) - 1) - (width or 0)
    while width is not None and over > 0 and max(fitted) > LEAST:
        fitted[fitted.index(max(fitted))] -= 1
        over -= 1
    return fitted


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    shown = [text if len(text) <= width else text[: width - 1] + CUT for text, width in zip(row, widths, strict=True)]
    padded = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(shown, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()
