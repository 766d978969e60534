"""The scripts of the pages fit together: there is no compiler that would say so before a page stays empty."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parent.parent / "static" / "js").glob("*.js"))

IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)


def imported(text: str) -> list[tuple[str, str, str]]:
    """(name there, name here, file) of each import."""
    found = []
    for names, file in IMPORT.findall(text):
        for name in filter(None, map(str.strip, names.split(","))):
            there, _, here = name.partition(" as ")
            found.append((there, here or there, file))
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_what_a_script_imports_is_there_used_and_declared_once(script: Path) -> None:
    text = script.read_text()
    names = imported(text)
    for there, _, file in names:
        assert there in EXPORT.findall((script.parent / file).read_text()), f"{file} exports no {there}"
    here = [name for _, name, _ in names]
    rest = IMPORT.sub("", text)
    assert [name for name in here if not re.search(rf"\b{name}\b", rest)] == []
    declared = here + DECLARED.findall(text)
    assert [name for name in declared if declared.count(name) > 1] == []


def test_what_is_exported_is_used() -> None:
    """By another script, by a test that loads it, or by a page."""
    users = [*SCRIPTS, *(Path(__file__).parent / "browser").glob("*.py")]
    texts = {user: user.read_text() for user in users}
    unused = [
        f"{script.name}: {name}"
        for script in SCRIPTS
        for name in EXPORT.findall(texts[script])
        if not any(re.search(rf"\b{name}\b", text) for user, text in texts.items() if user != script)
    ]
    assert unused == []
