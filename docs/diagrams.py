"""Prints the state diagrams of docs/tables.md from the tables that the code obeys.

Law: nothing is drawn by hand. `python -m docs.diagrams` prints the section; `--write` puts it between the two marks of
the page, and a test fails when the page says something else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from supervisor.core import gate, lifecycle, operation, process
from supervisor.core.spec import RESTARTS

PAGE = Path(__file__).parent / "tables.md"
BEGIN = "<!-- diagrams: written by docs/diagrams.py -->\n"
END = "<!-- end of diagrams -->\n"


def aligned(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as columns, each as wide as its widest cell."""
    table = list(rows)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def phases() -> str:
    """The phases of a process, what follows each, and how the registry shows it."""
    rows = [("phase", "shown as", "may become")]
    for phase, following in process.TABLE.items():
        order = [other for other in process.TABLE if other in following]
        rows.append((phase, process.SHOWN.get(phase, "-"), ", ".join(order) or "nothing: it is over"))
    return aligned(rows)


def gates() -> str:
    """The states of a gate, and what each verb makes of them."""
    verbs = list(dict.fromkeys(verb for _, verb in gate.TABLE))
    rows = [("gate", *verbs)]
    for state in (gate.SHUT, gate.OPEN, gate.FROZEN, gate.BOUNCED):
        rows.append((state, *(gate.TABLE.get((state, verb), "illegal") for verb in verbs)))
    return aligned(rows)


def restarts(table: Mapping[tuple[str, bool], str] = lifecycle.TABLE) -> str:
    """What becomes of a process whose worker ended."""
    rows = [("restart", "ended normally", "crashed", "crashed too often")]
    for policy in RESTARTS:
        crashed = table[policy, False]
        often = lifecycle.FAIL if crashed == lifecycle.RESTART else crashed
        rows.append((policy, table[policy, True], crashed, often))
    return aligned(rows)


def steps() -> str:
    """What becomes of one process of an operation."""
    events = list(dict.fromkeys(event for _, event in operation.STEPS))
    rows = [("happens", *sorted(operation.OPEN, reverse=True))]
    rows += [(event, *(operation.STEPS.get((state, event), "-") for state in rows[0][1:])) for event in events]
    return aligned(rows)


def section() -> str:
    """The whole generated section."""
    parts = {
        "Phases of a process": phases(),
        "The gate": gates(),
        "When a worker ends": restarts(),
        "A process of an operation": steps(),
    }
    return "\n".join(f"## {title}\n\n```\n{text}\n```\n" for title, text in parts.items())


def written(page: str) -> str:
    """The page with the section that belongs there."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n" + section() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(section())
