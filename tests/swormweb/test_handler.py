"""Django behind ASGI: one thread a request, bodies of bounded size, nothing left open."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import django
import pytest
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

django.setup()

from swormweb.handler import ThreadedHandler  # noqa: E402

Message = dict[str, Any]


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body, headers={"Thread": threading.current_thread().name})


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("as told")


def stream(request: HttpRequest) -> HttpResponseBase:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    return StreamingHttpResponse(parts())


def broken(request: HttpRequest) -> HttpResponseBase:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        raise RuntimeError("half-way")

    return StreamingHttpResponse(parts())


urlpatterns = [path("echo", echo), path("fail", fail), path("stream", stream), path("broken", broken)]


@pytest.fixture
def handler() -> Iterator[ThreadedHandler]:
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[], DATA_UPLOAD_MAX_MEMORY_SIZE=100):
        yield ThreadedHandler()


async def ask(handler: ThreadedHandler, where: str, *messages: Message) -> list[Message]:
    """Everything that the handler sends."""
    incoming = iter(messages or ({"type": "http.request"},))
    sent: list[Message] = []

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": where, "raw_path": where.encode(), "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    await handler(scope, receive, send)
    return sent


def whole(sent: list[Message]) -> tuple[int, bytes]:
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.asyncio
async def test_the_answer_is_made_in_a_thread_of_the_pool(handler: ThreadedHandler) -> None:
    sent = await ask(handler, "/echo", part(b"a", more=True), part(b"b"))
    assert whole(sent) == (200, b"ab")
    assert dict(sent[0]["headers"])[b"Thread"].startswith(b"request")


@pytest.mark.asyncio
async def test_a_body_that_is_too_large_is_not_read_on(handler: ThreadedHandler) -> None:
    status, _ = whole(await ask(handler, "/echo", *[part(b"x" * 60, more=True)] * 2))
    assert status == 413


@pytest.mark.asyncio
async def test_a_client_that_leaves_gets_nothing(handler: ThreadedHandler) -> None:
    assert await ask(handler, "/echo", part(b"a", more=True), {"type": "http.disconnect"}) == []


@pytest.mark.asyncio
async def test_what_fails_is_an_answer_too(handler: ThreadedHandler) -> None:
    status, _ = whole(await ask(handler, "/fail"))
    assert status == 500


@pytest.mark.asyncio
async def test_a_stream_is_sent_as_it_comes(handler: ThreadedHandler) -> None:
    assert whole(await ask(handler, "/stream")) == (200, b"one two")


@pytest.mark.asyncio
async def test_a_stream_that_breaks_off_ends_and_is_logged(
    handler: ThreadedHandler, caplog: pytest.LogCaptureFixture
) -> None:
    sent = await ask(handler, "/broken")
    assert (whole(sent), sent[-1].get("more_body", False)) == ((200, b"one "), False)
    assert "half-way" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["/echo", "/stream"])
async def test_the_end_of_a_request_is_told_once(handler: ThreadedHandler, where: str) -> None:
    told: list[str] = []
    listener: Callable[..., None] = lambda **_: told.append("finished")  # noqa: E731
    request_finished.connect(listener)
    await ask(handler, where)
    request_finished.disconnect(listener)
    assert told == ["finished"]
