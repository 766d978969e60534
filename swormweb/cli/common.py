"""What the verbs of the command line share: their arguments, and how an answer is printed.

Law: what was asked for goes to stdout, as a table or sentence, or with `--json` as the server said it; whatever a
person should know beside it goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from swormweb.cli.rest import Rest, segment
from swormweb.cli.tables import harmless, table

Options = argparse.Namespace
Run = Callable[[Rest, Options], None]


class WrongUsage(Exception):
    """The arguments do not fit together; its sentence says what would."""


@dataclass(frozen=True)
class Argument:
    """One argument or option of a verb, as argparse takes it."""

    name: str
    more: dict[str, Any] = field(default_factory=dict)


#: Name -> what runs, and its arguments.
Verbs = dict[str, tuple[Run, tuple[Argument, ...]]]


def argument(name: str, **more: Any) -> Argument:
    """An argument, with argparse's own words for the rest."""
    return Argument(name, more)


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
    show(options, found, table(list(columns), found, terminal_width()))


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def process_path(options: Options) -> str:
    """The path of the process that the arguments name."""
    return f"/sworms/{segment(options.sworm)}/processes/{segment(options.name)}"
