"""Every transcript in `tests/scenarios` still happens exactly as it is written.

`python -m tests.test_scenarios --rewrite [NAME …]` writes the outcomes anew; read the difference before you keep it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.scenarios.language import rewritten

FOLDER = Path(__file__).parent / "scenarios"
FILES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_happens_as_written(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert rewritten(text) == text


def test_there_are_enough_transcripts() -> None:
    assert len(FILES) >= 15


def rewrite(names: list[str]) -> None:
    """Write the outcomes of these transcripts (of all: none named) anew."""
    for path in FILES:
        if not names or path.stem in names:
            path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    if "--rewrite" in sys.argv:
        rewrite([word for word in sys.argv[1:] if not word.startswith("--")])
