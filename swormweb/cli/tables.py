"""Tables for people: columns as wide as they must be, numbers on the right.

Law: pure. A cell that is missing is a dash; what does not fit a terminal ends with an ellipsis, a column without room
is named below the table, and what goes to a file or a pipe is never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def short_time(text: Any, now: datetime) -> Any:
    """A time of REST (RFC 3339) in the zone of `now`: "14:02:11", with its day when that is not today's; anything else
    as it is.
    """
    try:
        at = datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (TypeError, ValueError):
        return text
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d %H:%M")


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

#: Columns that are typed again, so that a part of them is worth nothing.
WHOLE = frozenset({"id"})

#: Columns that stand there in a terminal of any width: which one, and what about it.
KEPT = 3

#: Stands for a character that a terminal would obey.
MARK = "\ufffd"


def table(columns: Sequence[str], items: Iterable[dict[str, Any]], width: int | None = None) -> str:
    """Items as lines below a head; the columns are names of their fields.

    `width`: of the terminal; the widest columns are cut until a line fits, and where that is not enough the last ones
    are left out. None: nothing is cut.
    """
    items = list(items)
    shown = _with_room(columns, items, width)
    if len(shown) < len(columns):
        left_out = ", ".join(column.replace("_", " ") for column in columns[len(shown) :])
        return f"{table(shown, items, width)}\n({left_out}: in a wider terminal, or with --json)"
    rows = [[item.get(column) for column in columns] for item in items]
    cells = [
        [column.upper().replace("_", " ") for column in columns],
        *([_cell(value) for value in row] for row in rows),
    ]
    right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    widths = _fitted([max(len(row[index]) for row in cells) for index in range(len(columns))], columns, width)
    return "\n".join(_line(row, widths, right) for row in cells)


def _with_room(columns: Sequence[str], items: Sequence[dict[str, Any]], width: int | None) -> Sequence[str]:
    """The columns, without the last ones for which a terminal has no room even when all are cut."""
    if width is None:
        return columns
    least = [max(len(column), *(len(_cell(item.get(column))) for item in items), 1) for column in columns]
    least = [size if column in WHOLE else min(LEAST, size) for column, size in zip(columns, least, strict=True)]
    kept = len(columns)
    while kept > KEPT and sum(least[:kept]) + 2 * (kept - 1) > width:
        kept -= 1
    return columns[:kept]


def _fitted(widths: list[int], columns: Sequence[str], width: int | None) -> list[int]:
    """Widths of the columns, the widest cut first, each to `LEAST` at the most."""
    fitted = list(widths)
    over = sum(fitted) + 2 * (len(fitted) - 1) - (width or 0)
    cut = [index for index, column in enumerate(columns) if column not in WHOLE]
    while width is not None and over > 0 and cut:
        widest = max(cut, key=fitted.__getitem__)
        if fitted[widest] <= LEAST:
            break
        fitted[widest] -= 1
        over -= 1
    return fitted


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    shown = [text if len(text) <= width else text[: width - 1] + CUT for text, width in zip(row, widths, strict=True)]
    padded = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(shown, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()
