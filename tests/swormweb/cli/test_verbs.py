"""The operator's verbs against a server that answers what it was told to: requests made, words printed, exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from swormweb.cli.__main__ import main
from swormweb.launch import ports
from swormweb.launch.folder import Folder

from .conftest import Scripted

ITEM = {
    "sworm": "rooms", "name": "a/b", "pid": "n1.17.3", "node": "n1", "epoch": 5, "state": "running", "restarts": 0,
    "target": "chat:Room",
}  # fmt: skip


def page(*items: Any, cursor: str | None = None) -> tuple[int, Any]:
    return 200, {"items": list(items), "next_cursor": cursor, "revision": 9}


def test_ps_shows_every_sworm_page_after_page(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("GET /api/v1/processes?limit=1000&node=n1", page(ITEM, cursor="c=1"))
    server.on("GET /api/v1/processes?limit=1000&node=n1&cursor=c%3D1", page({**ITEM, "name": "c"}))
    assert main(["ps", "--node", "n1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SWORM", "NAME", "STATE", "NODE", "PID", "EPOCH", "RESTARTS", "TARGET"]
    assert [line.split()[1] for line in lines[1:]] == ["a/b", "c"]
    assert server.tokens == {"Bearer swm_secret"}


def test_json_is_what_the_server_said(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("GET /api/v1/sworms/rooms/processes/a%2Fb", (200, ITEM))
    assert main(["whereis", "rooms", "a/b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ITEM


def test_a_call_prints_the_reply(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("POST /api/v1/sworms/counters/processes/c/call", (200, {"reply": 42}))
    assert main(["call", "counters", "c", '{"op": "get"}']) == 0
    assert capsys.readouterr().out == "42\n"
    assert server.asked[0][1] == {"message": {"op": "get"}, "timeout_ms": 5000}


def test_a_process_is_registered_with_its_arguments(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("POST /api/v1/sworms/rooms/processes", (201, ITEM))
    assert main(["register", "rooms", "a/b", "chat:Room", "--args", "[1]", "--isolation", "task"]) == 0
    assert capsys.readouterr().out == "n1.17.3 on n1, running\n"
    body = {"name": "a/b", "target": "chat:Room", "args": [1], "kwargs": {}, "meta": {}, "isolation": "task"}
    assert server.asked[0][1] == body


def test_a_refusal_is_status_1_with_the_servers_words(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"code": "unknown_process", "detail": "no process is named 'x'", "title": "Unknown process"}
    server.on("DELETE /api/v1/sworms/rooms/processes/x", (404, problem))
    assert main(["unregister", "rooms", "x"]) == 1
    assert capsys.readouterr().err == (
        "sworm: no process is named 'x' (unknown_process); ./sworm ps --q PART finds names\n"
    )


def test_wrong_fields_are_named(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    errors = [{"field": "target", "detail": "has no colon"}]
    server.on("POST /api/v1/sworms/rooms/processes", (422, {"code": "invalid", "detail": "refused", "errors": errors}))
    assert main(["register", "rooms", "x", "chat"]) == 1
    assert capsys.readouterr().err == "sworm: refused (invalid): target: has no colon\n"


def test_a_field_is_named_once(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"code": "invalid", "detail": "to: no node", "errors": [{"field": "to", "detail": "no node"}]}
    server.on("POST /api/v1/sworms/rooms/processes", (422, problem))
    assert main(["register", "rooms", "x", "chat"]) == 1
    assert capsys.readouterr().err == "sworm: to: no node (invalid)\n"


def test_ps_of_an_unknown_sworm_is_refused(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("GET /api/v1/processes?limit=1000&sworm=x", page())
    server.on("GET /api/v1/sworms/x", (404, {"code": "unknown_sworm", "detail": "no definition is named 'x'"}))
    assert main(["ps", "x"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err[:40]) == ("", "sworm: no definition is named 'x' (unkno")


@pytest.mark.parametrize("url", ["foo", "http://", "ftp://127.0.0.1", "http://127.0.0.1:no", "127.0.0.1:8000"])
def test_a_bad_url_is_named(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SWORM_URL", url)
    monkeypatch.setenv("SWORM_TOKEN", "swm_secret")
    assert main(["nodes"]) == 1
    assert capsys.readouterr().err == f"sworm: SWORM_URL is {url!r}; it must be like http://127.0.0.1:8000\n"


def test_a_token_goes_to_its_own_cluster_only(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder.claim(tmp_path / "data")
    folder.write_cluster({"url": "http://127.0.0.1:1", "token": "swm_everything"})
    monkeypatch.delenv("SWORM_TOKEN")
    assert main(["nodes", "--data", str(folder.path)]) == 1
    assert "set SWORM_TOKEN too" in capsys.readouterr().err
    assert not server.asked


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SWORM_URL", f"http://{ports.HOST}:{ports.choose(set())}")
    monkeypatch.setenv("SWORM_TOKEN", "swm_secret")
    assert main(["nodes"]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["call", "a", "b", "text"], ["whereis", "a"], ["drain"], ["register", "a", "b"]])
def test_wrong_usage_of_a_verb_is_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_events_stand_in_columns_below_a_head(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    at = "2026-01-02T03:04:05.678901Z"
    crashed = {"revision": 7, "at": at, "kind": "crashed", "sworm": "rooms", "name": "a/b", "node": "n1", "detail": "x"}
    dead = {**crashed, "revision": 8, "kind": "dead", "sworm": "", "name": "", "node": "n2", "detail": ""}
    server.on("GET /api/v1/events?limit=1000", page(crashed, dead))
    assert main(["events"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["REVISION", "AT", "KIND", "SWORM", "NAME", "NODE", "DETAIL"]
    assert first.split() == ["7", at, "crashed", "rooms", "a/b", "n1", "x"]
    assert second.split() == ["8", at, "dead", "-", "-", "n2", "-"]
    assert head.index("NODE") == first.index("n1") == second.index("n2")


def test_events_as_json_have_no_head(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"revision": 7, "at": "", "kind": "dead", "sworm": "", "name": "", "node": "n1", "detail": ""}
    server.on("GET /api/v1/events?limit=1000", page(event))
    assert main(["events", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [event]


def test_help_says_what_each_argument_of_register_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["register", "--help"])
    told = capsys.readouterr().out
    for name in ("sworm", "name", "target", "--isolation {task,process}"):
        assert re.search(rf"^  {re.escape(name)}\s+\w", told, re.MULTILINE), name
