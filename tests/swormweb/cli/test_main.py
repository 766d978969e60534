"""The command line: wrong usage is told apart from failure, and nothing is accepted and ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from swormweb.cli.__main__ import main
from swormweb.cli.elsewhere import environment
from swormweb.launch import ports
from swormweb.launch.cluster import Cluster
from swormweb.launch.folder import Folder

WRONG = [
    [],
    ["dance"],
    ["up", "--agents", "0"],
    ["up", "--agents", "three"],
    ["up", "--port", "70000"],
    ["up", "more"],
    ["down", "--later"],
]


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: sworm" in capsys.readouterr().err


def test_a_refusal_is_status_1_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").touch()
    assert main(["up", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("sworm: ")
    assert said.count("\n") == 1
    assert main(["down", "--data", str(tmp_path)]) == 1


def test_down_where_nothing_runs_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Folder.claim(tmp_path)
    assert main(["down", "--data", str(tmp_path)]) == 0
    assert "nothing" in capsys.readouterr().err


def test_django_commands_need_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert main(["signin", "--data", str(tmp_path / "none")]) == 1
    assert "no cluster was started in" in capsys.readouterr().err


def test_the_environment_comes_from_the_cluster_where_the_caller_sets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "SWORM_SECRET_KEY", "SWORM_CLUSTER_KEY"):
        monkeypatch.delenv(name)
    cluster = Cluster(Folder.claim(tmp_path))
    cluster.plan(2, ports.choose(set()))
    monkeypatch.setenv("SWORM_CLUSTER_KEY", "k" * 40)
    found = environment(tmp_path)
    assert found["DATABASE_URL"] == cluster.database_url
    assert found["SWORM_URL"] == cluster.url
    assert found["SWORM_CLUSTER_KEY"] == "k" * 40
    assert found["SWORM_JOIN"].count("ws://") == 2
