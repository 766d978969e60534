"""docs/protocol.md and docs/tables.md say what the code does: diagrams come from the tables, invariants have tests."""

from __future__ import annotations

import re
from pathlib import Path

from docs.diagrams import PAGE, written
from supervisor.simulation.oracles import INVARIANTS

TESTS = Path(__file__).parent
TABLES = PAGE.read_text(encoding="utf-8")
PROTOCOL = (PAGE.parent / "protocol.md").read_text(encoding="utf-8")


def invariants() -> dict[str, list[str]]:
    """Name -> the tests that carry it, from the table of the page."""
    rows = re.findall(r"^\| ([a-z-]+) \| [^|]+ \| ([^|]+) \|$", PROTOCOL, re.MULTILINE)
    return {name: where.split(", ") for name, where in rows if name not in ("name", "step")}


def test_the_diagrams_are_those_of_the_tables() -> None:
    assert written(TABLES) == TABLES


def test_every_invariant_is_named_where_it_is_said_to_be() -> None:
    for name, places in invariants().items():
        for place in places:
            if place == "simulator":
                assert name in INVARIANTS
            elif place.startswith("test_"):
                (path,) = [p for p in TESTS.rglob(f"{place}.py") if p.parent.name == "core"]
                assert name in path.read_text(encoding="utf-8"), (name, place)


def test_every_oracle_of_the_simulator_is_on_the_page() -> None:
    assert set(INVARIANTS) <= set(invariants())


def test_the_page_is_short() -> None:
    assert len(invariants()) >= 8
    assert len(PROTOCOL.splitlines()) <= 200
