"""Readiness as the launcher reads it: the parts' own words, or why there are none."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from swormweb.launch import health, ports


class Answering(HTTPServer):
    """Answers every GET with what it holds."""

    answer: tuple[int, Any] = (200, {})


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        status, told = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(told if isinstance(told, bytes) else json.dumps(told).encode())

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering((ports.HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_web_is_ready_when_it_says_so(server: Answering) -> None:
    assert health.web_reason(server.server_port) == ""
    server.answer = (503, {"observer": "no term yet"})
    assert health.web_reason(server.server_port) == 'says 503: {"observer": "no term yet"}'


@pytest.mark.parametrize(
    "peers", [["n2", "n3"], [{"name": "n2"}, {"name": "n3"}], [{"node": "n2.17"}, {"node": "n3.18"}, {"node": "web"}]]
)
def test_an_agent_is_ready_when_it_sees_the_others(server: Answering, peers: list[Any]) -> None:
    server.answer = (200, {"status": "up", "peers": peers})
    assert health.agent_reason(server.server_port, ["n2", "n3"]) == ""
    assert health.agent_reason(server.server_port, ["n2", "n3", "n4", "n5"]) == "does not see n4, n5 yet"


@pytest.mark.parametrize("told", [b"no json", b"[]", {"peers": 3}])
def test_nonsense_is_no_peer(server: Answering, told: Any) -> None:
    server.answer = (200, told)
    assert health.agent_reason(server.server_port, ["n2"]) == "does not see n2 yet"


def test_nobody_there_is_a_reason() -> None:
    assert "does not answer yet" in health.web_reason(ports.choose(set()))
