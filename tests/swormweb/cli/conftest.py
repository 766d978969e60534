"""A server for the command line that answers what it was told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from swormweb.launch import ports


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
        monkeypatch.setattr("swormweb.cli.moving.EVERY", 0)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
