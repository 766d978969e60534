"""Idempotency-Key on POST."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from registry.api import idempotency
from registry.models import IdempotencyKey, Sworm
from supervisor import definitions
from tests.asking import Asking, asking

BODY = {"name": "rooms"}


def test_a_repetition_gets_the_first_answer(ask: Asking) -> None:
    first = ask.post("/sworms", BODY, Idempotency_Key="k1")
    second = ask.post("/sworms", BODY, Idempotency_Key="k1")
    assert (first.status, second.status) == (201, 201)
    assert second.body == first.body
    assert second.response.headers["Idempotent-Replay"] == "true"
    assert ask.post("/sworms", BODY, Idempotency_Key="k2").code == "already_exists"
    assert ask.post("/sworms", BODY, Idempotency_Key="k2").code == "already_exists"


def test_another_body_or_path_is_refused(ask: Asking) -> None:
    ask.post("/sworms", BODY, Idempotency_Key="k1")
    assert ask.post("/sworms", {"name": "halls"}, Idempotency_Key="k1").code == "idempotency_mismatch"
    assert ask.post("/tokens", BODY, Idempotency_Key="k1").code == "idempotency_mismatch"
    assert not Sworm.objects.filter(name="halls").exists()


def test_keys_belong_to_who_asks(ask: Asking) -> None:
    ask.post("/sworms", BODY, Idempotency_Key="k1")
    other = asking()  # another token of the same name
    assert other.post("/sworms", BODY, Idempotency_Key="k1").code == "already_exists"


def test_while_the_first_is_being_answered(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAIT", 0.0)
    ask.post("/sworms", BODY, Idempotency_Key="k1")
    IdempotencyKey.objects.update(status=None)
    assert ask.post("/sworms", BODY, Idempotency_Key="k1").code == "in_progress"
    IdempotencyKey.objects.update(created_at=timezone.now() - idempotency.LOST_AFTER - timedelta(seconds=1))
    assert ask.post("/sworms", BODY, Idempotency_Key="k1").code == "already_exists"


def test_after_an_error_of_ours_a_repetition_runs(ask: Asking) -> None:
    ask.post("/sworms", BODY)
    register = {"name": "lobby", "target": "chat:Room"}
    assert ask.post("/sworms/rooms/processes", register, Idempotency_Key="k1").code == "no_node"
    assert not IdempotencyKey.objects.exists()


def test_rights_come_first(ask: Asking) -> None:
    assert asking("read").post("/sworms", BODY, Idempotency_Key="k1").code == "forbidden"
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_cannot_be(ask: Asking, key: str) -> None:
    assert ask.post("/sworms", BODY, Idempotency_Key=key).fields == ["Idempotency-Key"]


def test_headers_that_belong_to_the_answer_are_repeated(ask: Asking) -> None:
    first = ask.post("/sworms", BODY, Idempotency_Key="k1")
    second = ask.post("/sworms", BODY, Idempotency_Key="k1")
    for name in ("ETag", "Location", "Content-Type"):
        assert second.response.headers[name] == first.response.headers[name]


def test_a_tokens_text_is_shown_once_and_stands_in_no_row(ask: Asking) -> None:
    body = {"name": "ci", "scopes": ["read"]}
    first = ask.post("/tokens", body, Idempotency_Key="k1")
    second = ask.post("/tokens", body, Idempotency_Key="k1")
    assert (second.status, second.body["id"], "token" in second.body) == (201, first.body["id"], False)
    assert first.body["token"].encode() not in bytes(IdempotencyKey.objects.get().body)


@pytest.mark.django_db(transaction=True)
def test_twins_get_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    token = asking().token
    begun, may_go = threading.Event(), threading.Event()
    create = definitions.create

    def slow(*args: Any) -> Sworm:
        begun.set()
        assert may_go.wait(30)
        return create(*args)

    monkeypatch.setattr(definitions, "create", slow)

    def post() -> Any:
        try:
            return Asking(token).post("/sworms", BODY, Idempotency_Key="k1")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(post)
        assert begun.wait(30)
        twins = [pool.submit(post) for _ in range(3)]
        may_go.set()
        answers = [one.result(30) for one in (first, *twins)]
    assert [answer.status for answer in answers] == [201] * 4
    assert all(answer.body == answers[0].body for answer in answers)
    assert Sworm.objects.count() == 1
