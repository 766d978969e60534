"""Following the history: server-sent events are read, and a stream that broke off is taken up where it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from swormweb.cli import following
from swormweb.cli.following import events_of, follow
from swormweb.cli.rest import Refused, Rest
from swormweb.launch import ports


def test_events_are_parsed_as_the_standard_says() -> None:
    text = b'id: 3\ndata: {"a":\ndata: 1}\n\n: a comment\n\nevent: heartbeat\r\ndata: x\r\n\r\n'
    lines = text.splitlines(keepends=True)
    assert list(events_of(lines)) == [("message", '{"a":\n1}'), ("heartbeat", "x")]


class Streams(HTTPServer):
    """Answers each request with the next stream, which then ends."""

    def __init__(self, *streams: tuple[int, str]) -> None:
        super().__init__((ports.HOST, 0), Handler)
        self.streams = list(streams)
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Streams

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, text = self.server.streams.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN", 0)


def event(revision: int) -> str:
    return f"id: {revision}\ndata: {json.dumps({'revision': revision, 'kind': 'started'})}\n\n"


def serve(server: Streams) -> Iterator[Rest]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Rest(f"http://{ports.HOST}:{server.server_port}", "swm_x")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_stream_that_breaks_off_is_asked_for_what_came_after(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    beat = 'event: heartbeat\nid: 9\ndata: {"revision": 9}\n\n'
    gone = json.dumps({"code": "compacted", "detail": "the history begins at 20", "title": "x"})
    server = Streams((200, event(7) + event(8) + beat), (200, event(10)), (410, gone))
    told: list[int] = []
    for rest in serve(server):
        with pytest.raises(Refused, match="leave out --since"):
            follow(rest, None, {"node": "n1"}, lambda one: told.append(one["revision"]))
    assert told == [7, 8, 10]
    assert [path.partition("?")[2] for path in server.asked] == ["node=n1", "node=n1&since=9", "node=n1&since=10"]
    assert capsys.readouterr().err.count("the stream broke off") == 2


def test_a_problem_within_the_stream_ends_it(quick: None) -> None:
    problem = {"code": "unauthorized", "detail": "the token was revoked"}
    for rest in serve(Streams((200, f"event: problem\ndata: {json.dumps(problem)}\n\n"))):
        with pytest.raises(Refused, match="the token was revoked"):
            follow(rest, 3, {}, lambda one: None)


def test_a_server_that_was_never_there_is_refused_at_once() -> None:
    with pytest.raises(Refused, match="does not answer"):
        follow(Rest(f"http://{ports.HOST}:{ports.choose(set())}", "x"), None, {}, lambda one: None)
