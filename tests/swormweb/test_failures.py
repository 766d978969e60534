"""What a browser is shown when a request failed: which service is away, or that it was our mistake, and never why."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from swormweb import views


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def fails_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(views, "AuthenticationForm", fail)


def test_a_page_says_that_the_database_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(monkeypatch, OperationalError("connection refused at 10.0.0.1"))
    answer = client.post("/signin", {"username": "ann", "password": "x"})
    assert answer.status_code == 503
    assert b"PostgreSQL does not answer" in answer.content
    assert b"10.0.0.1" not in answer.content


def test_a_mistake_of_ours_is_called_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(monkeypatch, ValueError("a secret"))
    answer = client.post("/signin", {"username": "ann", "password": "x"})
    assert answer.status_code == 500
    assert b"an error on our side" in answer.content
    assert b"a secret" not in answer.content
