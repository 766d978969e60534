"""`./sworm test`: linters and types, then the tests, with whatever they need installed first.

Law: every check runs, also after one that failed, so that one run tells everything; the exit status is 0 only when all
passed. Arguments go to pytest, and then only pytest runs. What a test needs and cannot have makes it fail, not skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from swormweb.launch.parts import ROOT

#: Selects the long tests too: pytest's later `-m` replaces the one in pyproject.toml.
_EVERYTHING = ("-m", "")

_CHECKS: tuple[tuple[str, ...], ...] = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
)

_INSTALL = ("apt-get", "install", "-y", "--no-install-recommends")

#: Program -> its package, and the tests that fail without it.
_NEEDED = {
    "chromium": ("chromium", "the tests that drive a browser"),
    "ip": ("iproute2", "the tests that cut a network"),
}


def _tell(text: str) -> None:
    sys.stderr.write(f"sworm: {text}\n")
    sys.stderr.flush()


def _apt(*command: str) -> bool:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environ, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())
    return done.returncode == 0


def ensure_programs() -> None:
    """Install programs where that is ours to do: as root, or in CI. Elsewhere the tests say what is missing."""
    for program, (package, tests) in _NEEDED.items():
        if shutil.which(program) or shutil.which("apt-get") is None:
            continue
        if os.geteuid() != 0 and os.environ.get("CI") != "true":
            _tell(f"{package} is missing, so {tests} will fail: apt-get install {package}")
            continue
        _tell(f"installing {package} for {tests}")
        install = (*_INSTALL, package)
        if not _apt(*install) and not (_apt("apt-get", "update") and _apt(*install)):
            _tell(f"{package} could not be installed; {tests} will fail")


def _check(command: tuple[str, ...]) -> bool:
    _tell(f"running {' '.join(command)}")
    return subprocess.run((sys.executable, "-m", *command), cwd=ROOT, check=False).returncode == 0


def run(arguments: Sequence[str]) -> int:
    """Run the tests; returns the exit status."""
    words = [word for word in arguments if word != "--long"]
    chosen = [*(_EVERYTHING if "--long" in arguments else ()), *words]
    ensure_programs()
    passed = [_check(command) for command in _CHECKS] if not words else []
    _tell("running the tests")
    tested = subprocess.run((sys.executable, "-m", "pytest", *chosen), cwd=ROOT, check=False).returncode
    return tested or (0 if all(passed) else 1)
