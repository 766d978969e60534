"""Who imports whom, read from the source: the directions, the purity of the cores, no cycles, no imports in functions.

Law: nothing is imported to find this out, so that a broken module is still judged. A rule's name is the test's name.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("registry", "supervisor", "swormweb")

#: What a core may not even take from the standard library: input and output, clocks, chance, other threads.
IMPURE = frozenset(
    """
    asyncio concurrent io logging multiprocessing os pathlib random secrets select selectors signal socket ssl
    subprocess sys threading time uuid
    """.split()
)

#: Module or package -> which of our modules it may not import.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "registry": ("supervisor", "swormweb", "examples", "tests", "bench"),
    "supervisor": ("swormweb", "examples", "tests", "bench"),
    "swormweb": ("tests", "bench"),
    "registry.core": ("registry.mesh", "registry.models", "registry.api"),
    "registry.mesh": ("registry.models", "registry.api", "registry.admin"),
    "supervisor.core": ("registry.mesh", "registry.models", "supervisor.workers"),
    "supervisor.agent": ("registry.api", "supervisor.api", "registry.admin", "registry.consumers"),
    "supervisor.workers": ("registry.api", "supervisor.api", "registry.models", "supervisor.models"),
    "registry.models": ("registry.api", "registry.admin", "registry.consumers"),
    "supervisor.models": ("supervisor.api", "supervisor.admin", "registry.api"),
}


def _name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Our modules, without migrations."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {_name(file): file for file in files if "migrations" not in file.parts}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def _is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements that run when the module is loaded, or a function of it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not _is_typing_only(child):
            yield from statements(child)


def named(module: str, statement: ast.Import | ast.ImportFrom) -> set[str]:
    """The modules that a statement names; `from x import y` names x.y when that is a module, else x."""
    if isinstance(statement, ast.Import):
        return {alias.name for alias in statement.names}
    base = statement.module or ""
    if statement.level:
        package = module.split(".") if modules()[module].name == "__init__.py" else module.split(".")[:-1]
        base = ".".join([*package[: len(package) - statement.level + 1], *filter(None, [base])])
    return {f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base for alias in statement.names}


@cache
def imports(module: str) -> frozenset[str]:
    return frozenset().union(*(named(module, statement) for statement in statements(tree(module))))


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


CORES = [module for module in modules() if within(module, "registry.core") or within(module, "supervisor.core")]


@pytest.mark.parametrize("owner", FORBIDDEN)
def test_imports_go_one_way(owner: str) -> None:
    wrong = [
        f"{module} imports {target}"
        for module in modules()
        if within(module, owner)
        for target in imports(module)
        if any(within(target, forbidden) for forbidden in FORBIDDEN[owner])
    ]
    assert wrong == []


@pytest.mark.parametrize("module", CORES)
def test_a_core_imports_the_standard_library_and_cores_only(module: str) -> None:
    for target in imports(module):
        top = target.partition(".")[0]
        if top in PACKAGES:
            assert target in CORES or target in ("registry", "supervisor"), f"{module} imports {target}"
        else:
            assert top in sys.stdlib_module_names, f"{module} imports {target}"
            assert top not in IMPURE, f"{module} imports {target}"


@pytest.mark.parametrize("module", CORES)
def test_a_core_neither_opens_nor_prints_nor_runs_text(module: str) -> None:
    calls = {
        node.func.id
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input", "eval", "exec", "compile", "__import__"}


def test_there_are_no_import_cycles() -> None:
    state: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        state[module] = 1
        path.append(module)
        for target in sorted(imports(module) & modules().keys()):
            assert state.get(target) != 1 or target == module, " -> ".join([*path[path.index(target) :], target])
            if target not in state:
                visit(target)
        path.pop()
        state[module] = 2

    for module in modules():
        if module not in state:
            visit(module)


@pytest.mark.parametrize("module", modules())
def test_nothing_is_imported_inside_a_function(module: str) -> None:
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f"{module}:{found.lineno}" for function in functions for found in statements(function)] == []


@pytest.mark.parametrize("module", modules())
def test_every_module_opens_with_its_law(module: str) -> None:
    if modules()[module].read_text().strip():
        assert ast.get_docstring(tree(module)), f"{module} has no docstring"


def test_loading_a_core_loads_the_standard_library_and_cores_only() -> None:
    """The packages around the cores resolve their public names lazily: nothing heavy comes with them."""
    program = f"import sys, {', '.join(CORES)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = [module for module in done.stdout.split() if module.partition(".")[0] not in sys.stdlib_module_names]
    assert set(loaded) - {"registry", "supervisor", "sitecustomize", "__main__"} <= set(CORES)
