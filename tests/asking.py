"""A client of the REST API as tests use it: a token, JSON in and out, names with slashes.

Law: requests go through all of Django, from the ASGI handler on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.test import AsyncClient

from registry.auth import issue_token
from registry.scopes import ALL

API = "/api/v1"


@dataclass
class Answer:
    """What came back."""

    status: int
    body: Any
    response: HttpResponse

    @property
    def code(self) -> str:
        """The problem's word."""
        assert self.response.headers["Content-Type"] == "application/problem+json", self.body
        assert self.body["status"] == self.status
        return str(self.body["code"])

    @property
    def fields(self) -> list[str]:
        """The fields that were refused."""
        return [error["field"] for error in self.body["errors"]]


class RawClient(AsyncClient):
    """Tells the raw path, as servers do."""

    def generic(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        self.raw_path = path.partition("?")[0].encode()
        return super().generic(method, path, *args, **more)

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        return {**super()._base_scope(**request), "raw_path": self.raw_path}


class Asking:
    """Asks with one token; None asks without."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        self.client = RawClient()

    def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, kind: str = "", **headers: str
    ) -> Answer:
        """`path` is below /api/v1 unless it begins with two slashes; headers are given with underscores."""
        path = path[1:] if path.startswith("//") else API + path
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            named.setdefault("Authorization", f"Bearer {self.token}")
        content = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)

        async def send() -> HttpResponse:
            return await self.client.generic(method, path, content, kind or "application/json", headers=named)

        response = async_to_sync(send)()
        return Answer(response.status_code, _decoded(response), response)

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self("DELETE", path, **headers)


def asking(*scopes: str, sworms: tuple[str, ...] = (), **more: Any) -> Asking:
    """Somebody with a new token of these scopes (none given: all)."""
    text, _ = issue_token("test", scopes or ALL, sworms=sworms, **more)
    return Asking(text)


def in_path(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _decoded(response: HttpResponse) -> Any:
    if response.streaming:
        return b""
    if "json" in response.headers.get("Content-Type", "") and response.content:
        return msgspec.json.decode(response.content)
    return response.content
