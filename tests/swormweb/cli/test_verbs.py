"""The operator's verbs against a server that answers what it was told to: requests made, words printed, exit status."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from swormweb.cli.__main__ import main
from swormweb.launch import ports

ITEM = {
    "sworm": "rooms", "name": "a/b", "pid": "n1.17.3", "node": "n1", "epoch": 5, "state": "running", "restarts": 0,
    "target": "chat:Room",
}  # fmt: skip


def operation(state: str, done: int, problem: str | None = None) -> dict[str, Any]:
    progress = {"done": done, "total": 104}
    return {"id": "op1", "kind": "drain", "target": "n2", "state": state, "progress": progress, "problem": problem}


class Scripted(HTTPServer):
    """Answers each (method, path) with the next of its answers, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__((ports.HOST, 0), Handler)
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.tokens: set[str | None] = set()

    def on(self, request: str, *answers: tuple[int, Any]) -> None:
        self.answers[request] = list(answers)


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def answer(self) -> None:
        request = f"{self.command} {self.path}"
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((request, json.loads(body) if body else None))
        self.server.tokens.add(self.headers["Authorization"])
        status, told = self.server.answers[request].pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"" if told is None else json.dumps(told).encode())

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    with Scripted() as server:
        monkeypatch.setenv("SWORM_URL", f"http://{ports.HOST}:{server.server_port}/")
        monkeypatch.setenv("SWORM_TOKEN", "swm_secret")
        monkeypatch.setattr("swormweb.cli.verbs.EVERY", 0)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def page(*items: Any, cursor: str | None = None) -> tuple[int, Any]:
    return 200, {"items": list(items), "next_cursor": cursor, "revision": 9}


def test_ps_shows_every_sworm_page_after_page(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("GET /api/v1/sworms?limit=1000", page({"name": "rooms"}))
    server.on("GET /api/v1/sworms/rooms/processes?limit=1000&node=n1", page(ITEM, cursor="c=1"))
    server.on("GET /api/v1/sworms/rooms/processes?limit=1000&node=n1&cursor=c%3D1", page({**ITEM, "name": "c"}))
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
    assert capsys.readouterr().err == "sworm: no process is named 'x' (unknown_process)\n"


def test_wrong_fields_are_named(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    errors = [{"field": "target", "detail": "has no colon"}]
    server.on("POST /api/v1/sworms/rooms/processes", (422, {"code": "invalid", "detail": "refused", "errors": errors}))
    assert main(["register", "rooms", "x", "chat"]) == 1
    assert capsys.readouterr().err == "sworm: refused (invalid): target: has no colon\n"


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


@pytest.mark.parametrize("verb", ["migrate", "rebalance"])
def test_what_is_not_built_yet_is_status_2(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == 2
    assert "is not built yet" in capsys.readouterr().err
