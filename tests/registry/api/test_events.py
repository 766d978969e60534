"""/events/stream: who follows gets each event once, in order, with its revision as id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from registry import eventstream
from registry.auth import issue_token
from registry.models import ApiToken, Counter, Event, Horizon
from swormweb.handler import ThreadedHandler
from tests.asking import Asking, asking

pytestmark = pytest.mark.django_db(transaction=True)

GENEROUS = 20.0


class Follower:
    """One connection at the ASGI side."""

    def __init__(self, status: int, headers: dict[str, str], sent: asyncio.Queue[dict[str, Any]]) -> None:
        self.status = status
        self.headers = headers
        self._sent = sent
        self._text = ""

    async def text(self) -> str:
        """All that comes until the answer ends."""
        text, more = self._text, True
        while more:
            message = await asyncio.wait_for(self._sent.get(), GENEROUS)
            text += message.get("body", b"").decode()
            more = message.get("more_body", False)
        return text

    async def block(self) -> dict[str, str]:
        """The next block of lines that is no comment, as {field: value}."""
        while True:
            while "\n\n" not in self._text:
                message = await asyncio.wait_for(self._sent.get(), GENEROUS)
                self._text += message.get("body", b"").decode()
            block, _, self._text = self._text.partition("\n\n")
            lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
            fields = {field: value for field, _, value in lines}
            if fields.keys() - {"retry"}:
                return fields


@asynccontextmanager
async def following(query: str = "", token: str = "", **headers: str) -> AsyncIterator[Follower]:
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    received.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    named = {"host": "127.0.0.1", "authorization": f"Bearer {token}", **headers}
    scope = {
        "type": "http", "method": "GET", "path": "/api/v1/events/stream", "raw_path": b"/api/v1/events/stream",
        "query_string": query.encode(), "headers": [(key.encode(), value.encode()) for key, value in named.items()],
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    task = asyncio.create_task(ThreadedHandler()(scope, received.get, sent.put))
    start = await asyncio.wait_for(sent.get(), GENEROUS)
    told = {key.decode().lower(): value.decode() for key, value in start["headers"]}
    try:
        yield Follower(start["status"], told, sent)
    finally:
        received.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(task, GENEROUS)  # a client that leaves ends its stream


def happen(*kinds: str, **fields: Any) -> None:
    for kind in kinds:
        counter, _ = Counter.objects.get_or_create(pk=1)
        counter.revision += 1
        Event.objects.create(revision=counter.revision, at=timezone.now(), kind=kind, **{"sworm": "rooms", **fields})
        counter.save()


later = sync_to_async(happen)


@pytest.fixture
def token() -> str:
    return issue_token("follower", ["read"])[0]


def run(scenario: Any) -> None:
    asyncio.run(scenario)


def test_events_come_once_in_order_and_as_they_happen(token: str) -> None:
    happen("started", "crashed")

    async def scenario() -> None:
        async with following("since=0", token) as stream:
            assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
            first, second = await stream.block(), await stream.block()
            assert [(block["id"], msgspec.json.decode(block["data"])["kind"]) for block in (first, second)] == [
                ("1", "started"),
                ("2", "crashed"),
            ]
            await later("restarted")
            assert (await stream.block())["id"] == "3"

    run(scenario())


def test_who_comes_back_goes_on_where_it_was(token: str) -> None:
    happen(*["started"] * 5)

    async def scenario() -> None:
        async with following("since=0", token, **{"last-event-id": "3"}) as stream:
            assert [(await stream.block())["id"] for _ in range(2)] == ["4", "5"]

    run(scenario())


def test_without_since_it_begins_now(token: str) -> None:
    happen("started", "crashed")

    async def scenario() -> None:
        async with following("", token) as stream:
            await later("moved")
            assert (await stream.block())["id"] == "3"

    run(scenario())


def test_long_histories_come_in_pages(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstream, "PAGE", 3)
    happen(*["started"] * 10)

    async def scenario() -> None:
        async with following("since=0", token) as stream:
            assert [int((await stream.block())["id"]) for _ in range(10)] == [*range(1, 11)]

    run(scenario())


def test_filters_and_bounds_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstream, "HEARTBEAT", 0.3)
    happen("started", "crashed", name="lobby")
    happen("started", sworm="games", name="chess")
    happen("started", sworm="", node="n1")
    bound = issue_token("bound", ["read"], sworms=["games"])[0]
    whole = issue_token("whole", ["read"])[0]

    async def scenario() -> None:
        async with following("since=0", bound) as stream:
            assert (await stream.block())["id"] == "3"
            beat = await stream.block()
            # what is not shown is passed over: a client that comes back does not ask for it again
            assert (beat["event"], beat["id"], beat["data"]) == ("heartbeat", "4", '{"revision":4}')
        async with following("since=0&kind=crashed&name=lobby", whole) as stream:
            assert (await stream.block())["id"] == "2"

    run(scenario())


def test_what_is_compacted_away_is_gone(token: str) -> None:
    happen(*["started"] * 5)
    Horizon.objects.update_or_create(pk=1, defaults={"events": 3, "changes": timezone.now()})

    async def scenario() -> None:
        async with following("since=2", token) as stream:
            assert stream.status == 410
            assert msgspec.json.decode(await stream.text())["code"] == "compacted"
        async with following("", token, **{"last-event-id": "1"}) as stream:
            assert stream.status == 410
        async with following("since=3", token) as stream:
            assert (await stream.block())["id"] == "4"

    run(scenario())


def test_a_stream_ends_with_the_right_to_look(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstream, "RECHECK", 0.1)
    monkeypatch.setattr(eventstream, "HEARTBEAT", 0.1)
    happen("started")

    async def scenario() -> None:
        async with following("since=0", token) as stream:
            assert (await stream.block())["id"] == "1"
            await sync_to_async(ApiToken.objects.update)(revoked_at=timezone.now())
            assert '"code":"unauthorized"' in await stream.text()

    run(scenario())


@pytest.mark.parametrize("query", ["since=-1", "since=soon", "limit=5", "since=99", "kind=bogus"])
def test_a_bad_question_is_refused(query: str) -> None:
    ask = asking()
    assert ask.get(f"/events/stream?{query}").status == 422
    assert ask.get("/events/stream", Last_Event_ID="x").fields == ["Last-Event-ID"]


def test_strangers_and_those_without_the_scope() -> None:
    assert Asking(None).get("/events/stream").code == "unauthorized"
    assert asking("process:call").get("/events/stream").code == "forbidden"
