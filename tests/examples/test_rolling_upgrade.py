"""The rolling upgrade's script against a server that answers what it was told to: it stops at the first wrong thing.

Law: that it loses nothing is shown on a real cluster (`tests/live/test_operations.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples import rolling_upgrade
from swormweb.launch import ports
from tests.swormweb.cli.conftest import Scripted

NODES = "GET /api/v1/nodes?limit=1000"
DRAIN = "POST /api/v1/nodes/n1/drain"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    with Scripted() as server:
        monkeypatch.setenv("SWORM_URL", f"http://{ports.HOST}:{server.server_port}/")
        monkeypatch.setenv("SWORM_TOKEN", "swm_secret")
        monkeypatch.setattr(rolling_upgrade, "EVERY", 0.01)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def nodes(incarnation: int = 1) -> tuple[int, Any]:
    url = f"ws://{ports.HOST}:{ports.choose(set())}"  # nobody listens there
    return 200, {"items": [{"name": "n1", "status": "alive", "incarnation": incarnation, "url": url}]}


def moves(problem: str | None = None) -> tuple[int, Any]:
    return 200, {"moves": [{"sworm": "rooms", "name": "a", "problem": problem}]}


def operation(state: str, problem: Any = None) -> dict[str, Any]:
    return {"id": "op1", "state": state, "ended_at": None if state == "running" else "now", "problem": problem}


def run(tmp_path: Path, *more: str) -> int:
    return rolling_upgrade.main([*more, "--data", str(tmp_path), "--start", "true {name} {listen}"])


def test_a_process_with_nowhere_to_go_stops_it_before_anything_happens(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on(NODES, nodes())
    server.on(DRAIN, moves("no other node could take it"))
    assert run(tmp_path) == 1
    assert "n1 stays: rooms/a: no other node could take it" in capsys.readouterr().err
    assert [body for request, body in server.asked if request == DRAIN] == [{"dry_run": True}]


def test_a_drain_that_fails_stops_it(server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.on(NODES, nodes())
    server.on(DRAIN, moves(), (202, operation("running")))
    failed = operation("failed", {"code": "refused", "detail": "n1 died while it drained"})
    server.on("GET /api/v1/operations/op1", (200, operation("running")), (200, failed))
    assert run(tmp_path) == 1
    assert "the drain of n1 failed: n1 died while it drained" in capsys.readouterr().err


def test_a_successor_that_does_not_come_stops_it(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling_upgrade, "PATIENCE", 0.2)
    server.on(NODES, *[nodes()] * 100)
    server.on(DRAIN, moves(), (202, operation("running")))
    server.on("GET /api/v1/operations/op1", (200, operation("succeeded")))
    assert run(tmp_path) == 1
    assert "n1 is back" in capsys.readouterr().err
    assert (tmp_path / "logs" / "n1.log").exists()


def test_a_node_that_is_not_there_is_named(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on(NODES, nodes())
    assert run(tmp_path, "n9") == 1
    assert "no node that is alive is named 'n9'" in capsys.readouterr().err


def test_a_refusal_is_told_in_the_servers_words(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on(NODES, (403, {"detail": "this needs the scope read"}))
    assert run(tmp_path) == 1
    assert "this needs the scope read" in capsys.readouterr().err


def test_without_a_cluster_it_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWORM_URL", raising=False)
    assert run(tmp_path) == 1
    assert f"no cluster runs in {tmp_path}" in capsys.readouterr().err
