"""The tutorial runs as it stands: its worker, its commands in their order, and what it says that they print."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.cluster import LIMIT, ROOT, LiveCluster, clean_environment

pytestmark = pytest.mark.live

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TUTORIAL, re.DOTALL)


def test_the_tutorial_runs(make_cluster: Callable[..., LiveCluster], tmp_path: Path) -> None:
    cluster = make_cluster(3)
    (tmp_path / "shop.py").write_text(blocks("python")[0])
    script = "\n".join(blocks("sh")).replace(":8000", f":{cluster.port}")
    script = script.replace("./sworm up", f"./sworm up --port {cluster.port}")
    script = re.sub(r"\./sworm (\w+)", rf"{ROOT}/sworm \1 --data {cluster.data}", script)
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=tmp_path, env=clean_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=20 * LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    promised = re.findall(r"`(\[\".*?\])`", TUTORIAL)
    assert promised == [line for line in said if line.startswith('["')]
    assert "ValueError" in done.stderr
    assert any("crashed" in line for line in said)
