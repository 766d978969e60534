"""The README's blocks run as they stand: one's own worker, started, called, moved, and asked over REST."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.cluster import LIMIT, ROOT, LiveCluster, clean_environment

pytestmark = pytest.mark.live

README = (ROOT / "README.md").read_text()


def section(heading: str) -> str:
    return README.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def block(heading: str, language: str, number: int = 0) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", section(heading), re.DOTALL)
    return found[number]


def run(script: str, cluster: LiveCluster, folder: Path) -> list[str]:
    """Run a block in a folder of its own, on this cluster's data and port; its lines of output."""
    adapted = script.replace(":8000", f":{cluster.port}")
    adapted = re.sub(r"\./sworm (\w+)", rf"{ROOT}/sworm \1 --data {cluster.data}", adapted)
    done = subprocess.run(
        ["sh", "-eu", "-c", adapted], cwd=folder, env=clean_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=10 * LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + cluster.logs()
    return done.stdout.splitlines()


def test_ones_own_worker_runs_is_called_moves_and_remembers(
    make_cluster: Callable[..., LiveCluster], tmp_path: Path
) -> None:
    cluster = make_cluster(2)
    (tmp_path / "my_workers.py").write_text(block("Run your own worker", "python"))
    up, register, *rest = block("Run your own worker", "sh").splitlines()
    run(f"{up} --agents 2 --port {cluster.port}", cluster, tmp_path)
    cluster.told = json.loads((cluster.data / "cluster.json").read_text())
    run(register, cluster, tmp_path)
    before = cluster.processes("counters")["lobby"]
    said = run("\n".join(rest), cluster, tmp_path)
    after = cluster.processes("counters")["lobby"]
    assert (said[0], said[-1]) == ("1", "2")
    assert after["node"] != before["node"]
    assert after["epoch"] > before["epoch"]
    assert run(block("From other programs", "sh"), cluster, tmp_path)[-1].endswith('{"reply":1}')
