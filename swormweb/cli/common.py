"""What the verbs of the command line share: their arguments, and how an answer is printed.

Law: what was asked for goes to stdout, as a table or sentence, or with `--json` as the server said it; whatever a
person should know beside it goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from swormweb.cli.rest import Rest, segment
from swormweb.cli.tables import harmless, short_time, table

Options = argparse.Namespace
Run = Callable[[Rest, Options], None]


class WrongUsage(Exception):
    """The arguments do not fit together; its sentence says what would."""


@dataclass(frozen=True)
class Argument:
    """One argument or option of a verb, as argparse takes it."""

    name: str
    more: dict[str, Any] = field(default_factory=dict)


#: Digits of a number that no column of the server holds.
DIGITS = 19

#: Fields that are times.
TIMES = frozenset({"at", "created_at", "ended_at", "last_seen", "observed_at", "started_at"})

#: Name -> what runs, and its arguments.
Verbs = dict[str, tuple[Run, tuple[Argument, ...]]]


def argument(name: str, **more: Any) -> Argument:
    """An argument, with argparse's own words for the rest."""
    return Argument(name, more)


def one_of(name: str, words: Iterable[str]) -> Argument:
    """An option that takes one of these words; its name in capitals stands for them in the usage."""
    metavar = name.removeprefix("--").upper()
    return argument(name, choices=tuple(words), metavar=metavar, help=f"one of: {', '.join(words)}")


def whole(text: str) -> int:
    """An option's value that is a whole number from 0; `ArgumentTypeError` says so of another one."""
    if not (text.isascii() and text.isdigit() and len(text) < DIGITS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def number(text: str) -> float:
    """An option's value that is a number from 0, as 30 or 0.5."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0, as 30 or 0.5")
    return value


def out(text: str) -> None:
    """A line on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show(options: Options, value: Any, text: str) -> None:
    """The server's answer, or the text for it."""
    out(json.dumps(value, ensure_ascii=False) if options.json else harmless(text))


def show_list(options: Options, columns: Iterable[str], items: Iterable[dict[str, Any]]) -> None:
    """Items as a table of these columns."""
    found = list(items)
    show(options, found, fitting(columns, found))


def fitting(columns: Iterable[str], items: Iterable[dict[str, Any]]) -> str:
    """A table as stdout takes it: for a terminal as wide as that is, with short times; else whole."""
    width = terminal_width()
    if width is None:
        return table(list(columns), items)
    now = datetime.now().astimezone()
    short = [{name: short_time(item[name], now) if name in TIMES else item[name] for name in item} for item in items]
    return table(list(columns), short, width)


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def process_path(options: Options) -> str:
    """The path of the process that the arguments name."""
    return f"/sworms/{segment(options.sworm)}/processes/{segment(options.name)}"
