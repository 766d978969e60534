"""The docs are held to the code: whatever can be set, run, asked or read is documented, and what they name exists.

Law: names are taken from the code that defines them, never from a second list here.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver
from django.urls.converters import get_converters

from bench.rows import ROWS
from registry.kinds import KINDS
from registry.problems import CODES
from registry.scopes import SCOPES
from supervisor import __all__ as public_names
from swormweb.cli import elsewhere, verbs
from swormweb.environ import SETTINGS
from swormweb.urls import urlpatterns

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

#: Lines that a page may have; one that needs more is two pages.
LIMIT = 200
README_LIMIT = 150

#: Packages that are used without being imported by us, and by what.
USED_BY_OTHERS = {"hiredis": "redis", "psycopg": "Django"}

README, OPERATIONS, API, DEPENDENCIES = (
    (ROOT / name).read_text() for name in ("README.md", "docs/operations.md", "docs/api.md", "docs/dependencies.md")
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


# ------------------------------------------------------------------------------------------ what is there is documented


def test_every_setting_is_documented_with_its_name() -> None:
    assert [setting.name for setting in SETTINGS.values() if f"`{setting.name}`" not in OPERATIONS] == []


def test_every_setting_documented_exists() -> None:
    known = {setting.name for setting in SETTINGS.values()}
    for page in PAGES:
        assert set(re.findall(r"\bSWORM_[A-Z_]+\b", page.read_text())) <= known, page.name


def commands() -> set[str]:
    return {"up", "down", "completion", *elsewhere.COMMANDS, *verbs.VERBS}


def test_every_command_is_documented() -> None:
    assert [command for command in sorted(commands()) if f"`{command}`" not in OPERATIONS] == []


def test_no_command_is_documented_that_does_not_exist() -> None:
    for page in PAGES:
        used = set(re.findall(r"\./sworm ([a-z]+)", page.read_text()))
        assert used <= commands(), page.name


def test_every_option_of_a_verb_is_documented() -> None:
    missing = [
        f"{verb} {argument.name}"
        for verb, (_, arguments) in verbs.VERBS.items()
        for argument in arguments
        if argument.name.startswith("--") and argument.name not in OPERATIONS
    ]
    assert missing == []


def routes(patterns: Sequence[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from routes(pattern.url_patterns, route)
        elif "^" not in route:
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def test_every_endpoint_is_documented() -> None:
    assert {"name", "sworm", "node"} <= get_converters().keys()
    found = {route for route in routes(urlpatterns) if route.startswith("api/")}
    documented = set(re.findall(r"`(/[^`\s]*)`", API))
    missing = {route for route in found if f"/{route}".removeprefix("/api/v1") not in documented}
    assert missing - {"api/v1/openapi.json", "api/docs"} == set()
    assert "/api/v1/openapi.json" in API
    assert len(found) > 20


def test_every_scope_and_problem_is_documented() -> None:
    assert [word for word in (*SCOPES, *CODES) if f"`{word}`" not in API] == []


def reported() -> set[str]:
    """The kinds of all reports in the code: `Report(kind, …)` and what makes one of its first argument."""
    calls = r'(?:Report|report|report_node|_tell|_tell_node)\(\s*(f?"[^"]*"(?: if [^,]* else "[^"]*")?)'
    sources = [path for app in ("registry", "supervisor") for path in (ROOT / app).rglob("*.py")]
    found = [call for path in sources for call in re.findall(calls, path.read_text())]
    return {word for call in found for word in re.findall(r'"([^"{]*)[^"]*"', call)}


def test_every_kind_of_event_is_one_of_those_listed() -> None:
    found = reported() - {"stats"}
    assert {"started", "moved", "arrived", "unregistered", "operation_resumed"} <= found
    assert {kind for kind in found - KINDS.keys() if not any(known.startswith(kind) for known in KINDS)} == set()


def test_every_kind_of_event_is_documented_and_has_its_words_on_the_pages() -> None:
    assert [kind for kind, said in KINDS.items() if f"| `{kind}` | {said} |" not in API] == []
    words = (ROOT / "static/js/history.js").read_text().partition("const SAID = {")[2].partition("};")[0]
    assert set(re.findall(r"^  (\w+):", words, re.MULTILINE)) == KINDS.keys()


def metrics() -> set[str]:
    sources = [ROOT / "supervisor" / "pages.py", ROOT / "registry" / "metrics.py"]
    found = {name for source in sources for name in re.findall(r'"(sworm_[a-z_]+)"', source.read_text())}
    return found | {f"sworm_mesh_{field}" for field in ("messages", "frames", "bytes")}


def test_every_metric_is_documented() -> None:
    assert [name for name in sorted(metrics()) if f"`{name}`" not in OPERATIONS] == []


def required() -> dict[str, str]:
    """Package -> its line in requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return {re.split(r"[\[=]", line)[0].lower(): line for line in lines if line and not line.startswith(("#", "-"))}


def test_every_package_is_pinned_and_its_reason_given() -> None:
    assert all("==" in line for line in required().values())
    named = [cell for line in DEPENDENCIES.splitlines() if line.startswith("| ") for cell in [line.split("|")[1]]]
    told = {name.strip().lower() for cell in named[1:] for name in cell.split(",")} - {"---"}
    assert told == set(required())


def test_every_package_is_used() -> None:
    files = [file for package in ("registry", "supervisor", "swormweb") for file in (ROOT / package).rglob("*.py")]
    source = "\n".join(file.read_text() for file in files)
    modules: dict[str, set[str]] = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            modules.setdefault(package.lower().replace("_", "-"), set()).add(module)

    def is_used(module: str) -> bool:  # imported, named in the settings by its path, or run
        return re.search(rf'^ *(import|from) {module}\b|["\']{module}["\'.]', source, re.MULTILINE) is not None

    unused = [
        package for package in required() if package not in USED_BY_OTHERS and not any(map(is_used, modules[package]))
    ]
    assert unused == []


def test_every_row_of_the_benchmarks_has_its_figure() -> None:
    told = (ROOT / "docs" / "performance.md").read_text()
    assert [row.text for row in ROWS.values() if f"| {row.text} " not in told] == []


# --------------------------------------------------------------------------------------------- what is named is there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= (README_LIMIT if page.name == "README.md" else LIMIT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:registry|supervisor|swormweb|examples|bench|tests|docs)/[\w./]*)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_tests_that_the_docs_name_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "testing.md").read_text())
    assert len(named) >= 12
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert missing == []


def imported(block: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_compile_and_import_what_exists(page: Path) -> None:
    for block in blocks(page.read_text(), "python"):
        for module, name in imported(block):
            assert hasattr(importlib.import_module(module), name), f"{page.name}: {module}.{name}"


def test_the_verbs_that_the_readme_uses_exist() -> None:
    sworm = importlib.import_module("supervisor.sworm").Sworm
    used = {name for block in blocks(README, "python") for name in re.findall(r"Rooms\.(\w+)", block)}
    assert used
    assert [name for name in sorted(used) if not hasattr(sworm, name) and name != "sync"] == []


def test_errors_that_the_docs_name_are_public() -> None:
    told = (ROOT / "docs" / "failures.md").read_text().partition("## What a caller gets")[2]
    named = re.findall(r"^\| `(\w+)`", told, re.MULTILINE)
    assert named
    assert set(named) <= set(public_names)


def test_the_readme_opens_with_the_two_commands_and_the_map() -> None:
    first = README[: README.index("## ")]
    assert "./sworm up" in first
    assert "./sworm test" in first
    assert "docs/img/map-light.png" in first


def test_the_readme_ends_where_the_docs_begin() -> None:
    pages = {page.name for page in PAGES} - {"README.md"}
    assert {page for page in pages if f"docs/{page}" not in README} == set()
