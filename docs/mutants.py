"""Plants every historic bug in turn, counts the seeds that find it, and writes the table of docs/testing.md.

Law: a row is measured, never written by hand: `python -m docs.mutants [SEEDS]` replaces the part between the two
marks. What finds a bug is an invariant of docs/protocol.md, named in its row.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from supervisor.simulation.mutants import MUTANTS

PAGE = Path(__file__).parent / "testing.md"
BEGIN, END = "<!-- mutants: written by docs/mutants.py -->", "<!-- end of mutants -->"

#: Seeds tried for each, where nothing else is asked for.
SEEDS = 40

#: Of one that none of those finds, so many times as many are tried.
RARE = 8


def run(mutant: str, seeds: int) -> list[tuple[int, str]]:
    """The seeds that find a planted bug, with the invariant that broke."""
    command = [sys.executable, "-m", "supervisor.simulation", "--mutant", mutant, "--seeds", str(seeds), "--go-on"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [(int(seed), law) for seed, law in re.findall(r"^seed (\d+): ([a-z-]+):", said, re.MULTILINE)]


def row(mutant: str, seeds: int) -> str:
    """One row of the table."""
    found = run(mutant, seeds)
    if not found:  # a rare one
        seeds *= RARE
        found = run(mutant, seeds)
    laws = ", ".join(law for law, _ in Counter(law for _, law in found).most_common(3))
    first = found[0][0] if found else "-"
    return f"| `{mutant}` | {MUTANTS[mutant].seen} | {len(found)} of {seeds} | {first} | {laws} |"


def rows(page: str) -> dict[str, tuple[int, str]]:
    """{mutant: (how many seeds find it, the first of them)} as the page has it."""
    part = page[page.index(BEGIN) : page.index(END)]
    found = re.findall(r"^\| `([a-z-]+)` \| .* \| (\d+) of \d+ \| (\d+|-) \| .* \|$", part, re.MULTILINE)
    return {mutant: (int(count), first) for mutant, count, first in found}


def written(page: str, lines: list[str]) -> str:
    """The page with these rows."""
    head = ["| bug | seen | found by | first seed | what breaks |", "| --- | --- | --- | --- | --- |"]
    part = "\n".join([BEGIN, "", *head, *lines, "", ""])
    return page[: page.index(BEGIN)] + part + page[page.index(END) :]


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    table = []
    for name in MUTANTS:
        table.append(row(name, wanted))
        sys.stdout.write(table[-1] + "\n")
        sys.stdout.flush()
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")
