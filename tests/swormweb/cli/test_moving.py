"""The verbs that take long: what they ask for, how they tell progress, and their exit status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swormweb.cli import progress
from swormweb.cli.__main__ import main

from .conftest import Scripted

OPERATION = "GET /api/v1/operations/op1"


def operation(state: str, done: int, problem: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "op1", "kind": "drain", "target": "n2", "state": state, "progress": {"done": done, "total": 104},
        "problem": problem, "cancelling": False, **more,
    }  # fmt: skip


def test_long_work_shows_progress_until_it_ends(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("POST /api/v1/nodes/n2/drain", (202, operation("pending", 0)))
    looks = [(200, operation("running", 34)), (200, operation("running", 34)), (200, operation("succeeded", 104))]
    server.on("GET /api/v1/operations/op1", *looks)
    assert main(["drain", "n2"]) == 0
    told = capsys.readouterr()
    assert told.out == "drain n2: succeeded\n"
    assert told.err == "sworm: drain n2: 0 of 104\nsworm: drain n2: 34 of 104\n"


def test_work_that_fails_is_status_1(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("POST /api/v1/nodes/n2/drain", (202, operation("failed", 3, "no other node")))
    assert main(["drain", "n2"]) == 1
    assert "drain n2 failed: no other node" in capsys.readouterr().err


def test_a_dry_run_shows_the_moves(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    move = {"sworm": "rooms", "name": "a", "from": "n2", "to": "n1", "problem": None}
    server.on("POST /api/v1/nodes/n2/drain", (200, {"moves": [move]}))
    assert main(["drain", "n2", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["rooms", "a", "n2", "n1", "-"]


def test_a_failure_names_what_is_left(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"code": "no_node", "detail": "1 of 104 failed: n1 takes no processes now", "left_behind": ["rooms/a"]}
    server.on("POST /api/v1/nodes/n2/drain", (202, operation("failed", 103, problem)))
    assert main(["drain", "n2"]) == 1
    assert "n1 takes no processes now (no_node): rooms/a" in capsys.readouterr().err


def test_one_process_is_handed_off_and_several_are_migrated(server: Scripted) -> None:
    server.on("POST /api/v1/sworms/rooms/processes/a%2Fb/handoff", (202, operation("succeeded", 1)))
    assert main(["handoff", "rooms", "a/b", "--to", "n2", "--reason", "balance"]) == 0
    server.on("POST /api/v1/sworms/rooms/migrate", (202, operation("succeeded", 2)))
    assert main(["handoff", "rooms", "a", "b"]) == 0
    assert [body for _, body in server.asked] == [
        {"to": "n2", "dry_run": False, "reason": "balance"},
        {"names": ["a", "b"], "to": None, "dry_run": False},
    ]


def test_a_node_is_migrated_at_a_pace(server: Scripted) -> None:
    server.on("POST /api/v1/sworms/rooms/migrate", (202, operation("succeeded", 2)))
    pace = ["--max-per-minute", "30", "--max-at-once", "2"]
    assert main(["migrate", "rooms", "--from", "n1", "--to", "n2", *pace]) == 0
    body = {"from": "n1", "to": "n2", "names": None, "max_per_minute": 30.0, "max_at_once": 2, "dry_run": False}
    assert server.asked == [("POST /api/v1/sworms/rooms/migrate", body)]


def test_a_rebalance_shows_its_plan_with_reasons(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    move = {"sworm": "rooms", "name": "a", "from": "n2", "to": "n1", "problem": None, "why": "its strategy wants it"}
    server.on("POST /api/v1/sworms/rooms/rebalance", (200, {"moves": [move]}))
    assert main(["rebalance", "rooms", "--dry-run", "--dwell-s", "5"]) == 0
    assert "its strategy wants it" in capsys.readouterr().out
    assert server.asked[0][1] == {"dwell_s": 5.0, "dry_run": True}


def test_a_sworm_or_some_restart_as_an_operation_and_a_process_at_once(
    server: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on("POST /api/v1/sworms/rooms/restart", (202, operation("pending", 0)))
    assert main(["restart", "rooms", "--no-wait"]) == 0
    server.on("POST /api/v1/sworms/rooms/processes/a/restart", (202, {"accepted": True}))
    assert main(["restart", "rooms", "a"]) == 0
    assert capsys.readouterr().out == "drain n2: operation op1\nrooms/a is restarted\n"
    server.on("POST /api/v1/sworms/rooms/restart", (202, operation("pending", 0)))
    assert main(["restart", "rooms", "a", "b/c", "--max-at-once", "2", "--no-wait"]) == 0
    several = {"names": ["a", "b/c"], "max_at_once": 2}
    assert [body for _, body in server.asked] == [{"dry_run": False}, {}, {"dry_run": False, **several}]


def test_operations_are_listed_shown_and_cancelled(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    more = {"requested_by": "user:a", "created_at": "now", "reason": "disk"}
    row = operation("running", 3, **more)
    page = {"items": [row], "next_cursor": None, "revision": 1}
    server.on("GET /api/v1/operations?limit=1000&state=running", (200, page))
    assert main(["operations", "--state", "running"]) == 0
    assert "3/104" in capsys.readouterr().out
    step = {"name": "r1", "from": "n2", "to": None, "state": "waiting", "attempts": 0, "detail": "", "why": "drained"}
    server.on(OPERATION, (200, row))
    server.on("GET /api/v1/operations/op1/steps?limit=1000", (200, {**page, "items": [step]}))
    assert main(["operations", "op1"]) == 0
    assert "waiting" in capsys.readouterr().out
    server.on("POST /api/v1/operations/op1/cancel", (200, {**row, "cancelling": True}))
    assert main(["operations", "cancel", "op1", "--reason", "wrong"]) == 0
    assert capsys.readouterr().out == "drain n2: cancelling\n"
    assert server.asked[-1][1] == {"reason": "wrong"}


def test_an_operation_is_followed_to_its_end(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    looks = [(200, operation("running", 1)), (200, operation("running", 2, cancelling=True))]
    server.on(OPERATION, *looks, (200, operation("cancelled", 2)))
    assert main(["operations", "op1", "--follow"]) == 1
    told = capsys.readouterr()
    assert "2 of 104, cancelled: what is under way finishes" in told.err
    assert "drain n2 cancelled: 2 of 104 were done" in told.err


def test_json_is_the_operation_at_its_end(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("POST /api/v1/sworms/rooms/migrate", (202, operation("succeeded", 2)))
    assert main(["migrate", "rooms", "--name", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "succeeded"


@pytest.mark.parametrize(
    "arguments",
    [
        ["operations", "cancel"], ["operations", "a", "b"], ["restart", "rooms", "a", "--dry-run"], ["migrate"],
        ["handoff", "rooms"], ["migrate", "rooms", "--max-at-once", "x"],
    ],
)  # fmt: skip
def test_wrong_usage_is_status_2(server: Scripted, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_terminal_gets_a_bar_with_a_rate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 0.0, 10.0])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("swormweb.cli.progress.time.monotonic", lambda: next(clock))
    shown = progress.Progress()
    shown.show(operation("running", 0))
    shown.show(operation("running", 52))
    shown.end()
    assert "[############............] drain n2: 52 of 104 · 5.2 a second · 10 s left" in capsys.readouterr().err


def test_a_bar_is_full_only_when_all_is_done() -> None:
    assert progress.bar(0, 3) == "." * 24
    assert progress.bar(999, 1000).count("#") == 23
    assert progress.bar(0, 0) == progress.bar(5, 5) == "#" * 24
