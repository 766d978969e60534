"""The live stream over a real layer and real tables: what a client gets, and what it gets for nonsense."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import OperationalError, connections
from django.test import Client as Browser
from django.urls import path
from django.utils import timezone

from registry import consumers
from registry.auth import Again, issue_token
from registry.consumers import Pace, live_map, websocket_urlpatterns
from registry.hub import hub
from registry.models import Removal
from registry.projection import Batch, Mirror, node_rows
from registry.readmodel import ReadModel, Work
from registry.stream import FRAME, GROUP, frame_of
from tests.registry.rows import entry, member, replica

pytestmark = pytest.mark.django_db(transaction=True)

N1 = "n1.1"
HOST = [(b"host", b"127.0.0.1:8000")]
OURS = [*HOST, (b"origin", b"http://127.0.0.1:8000")]

#: Seconds that anything may take before a test gives up; nothing waits for so long.
LIMIT = 20


class Observer:
    """Writes rows as an observer does, and sends the frame that belongs to them, or not."""

    def __init__(self) -> None:
        self.model = ReadModel("observer.1")
        self.model.take_term(self.model.read_term())
        self.mirror = Mirror()
        self.replicas = {name: replica(name, {}) for name in ("s", "t")}
        self.last = 0

    def write(self, sworm: str, names: dict[str, Any], frame: bool = True) -> Any:
        self.replicas[sworm].write(N1, names)
        batch = self.mirror.compare_all(self.replicas)
        self.mirror.compare_nodes(batch, [member(N1)], {})
        return self._commit(batch, frame)

    def _commit(self, batch: Batch, frame: bool) -> Any:
        written = self.model.write(Work(batch))
        self.mirror.written(batch)
        made, self.last = frame_of(batch, self.last or written.rows - 1, written.rows, 1.0), written.rows
        return made if frame else None


def signed_in(user: User) -> SessionBase:
    """The session of somebody who has signed in just now."""
    browser = Browser()
    browser.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return browser.session


class Client:
    """A client of the stream, and the observer that gives it something to see."""

    def __init__(self, observer: Observer, pace: Pace) -> None:
        self.observer = observer
        self.routes = URLRouter([path("ws/map", live_map(pace))])  # type: ignore[arg-type]  # as in the module
        self.open: list[WebsocketCommunicator] = []

    async def connect(
        self, query: str = "", user: Any = None, headers: list[tuple[bytes, bytes]] = OURS
    ) -> WebsocketCommunicator:
        socket = WebsocketCommunicator(self.routes, f"/ws/map?{query}", headers)
        if user is not None:
            socket.scope["user"] = user
            socket.scope["session"] = await sync_to_async(signed_in)(user)
        connected, _ = await socket.connect(LIMIT)
        assert connected
        self.open.append(socket)
        return socket

    async def signed_in(self, query: str = "") -> WebsocketCommunicator:
        user = await sync_to_async(User.objects.get)(username="ann")
        return await self.connect(query, user)

    async def write(self, sworm: str, names: dict[str, Any], frame: bool = True) -> None:
        made = await sync_to_async(self.observer.write)(sworm, names, frame)
        if made is not None:
            await get_channel_layer().group_send(GROUP, {"type": FRAME, "frame": made})


async def told(socket: WebsocketCommunicator, *kinds: str) -> dict[str, Any]:
    """The next message of one of these kinds (any, when none is named); heartbeats are passed over."""
    while True:
        message: dict[str, Any] = json.loads(await socket.receive_from(LIMIT))
        if message["type"] in kinds or (not kinds and message["type"] != "heartbeat"):
            return message


async def closed(socket: WebsocketCommunicator) -> int:
    message = await socket.receive_output(LIMIT)
    assert message["type"] == "websocket.close"
    return int(message["code"])


Scenario = Callable[[Client], Awaitable[None]]


class Play(Protocol):
    """Runs a scenario, with the stream at this pace."""

    def __call__(self, scenario: Scenario, **pace: float) -> None: ...


@pytest.fixture
def play(transactional_db: None) -> Play:
    """Runs a scenario with a superuser `ann`, an observer, and everything closed afterwards."""
    User.objects.create_superuser("ann")

    async def run(scenario: Scenario, pace: Pace) -> None:
        client = Client(await sync_to_async(Observer)(), pace)
        try:
            async with asyncio.timeout(LIMIT * 3):
                await scenario(client)
        finally:
            for socket in client.open:
                await socket.disconnect(LIMIT)
            await get_channel_layer().flush()
            await sync_to_async(connections.close_all)()

    return lambda scenario, **pace: asyncio.run(run(scenario, Pace(**pace)))


def rows(table: dict[str, Any]) -> dict[str, str]:
    name, state = table["columns"].index("name"), table["columns"].index("state")
    return {row[name]: row[state] for row in table["rows"]}


def test_a_snapshot_comes_first_and_then_what_changes(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        socket = await client.signed_in()
        snapshot = await told(socket)
        assert snapshot["type"] == "snapshot"
        assert rows(snapshot["processes"]) == {"a": "running"}
        assert [node["name"] for node in snapshot["nodes"]] == ["n1"]
        await client.write("s", {"b": entry(2, state="starting"), "a": None})
        diff = await told(socket)
        assert (diff["type"], diff["rev_from"]) == ("diff", snapshot["revision"])
        assert (rows(diff["upserts"]), diff["removed"]) == ({"b": "starting"}, [["s", "a"]])
        assert set(diff) == {"type", "rev_from", "rev_to", "nodes", "upserts", "removed"}

    play(scenario)


def test_a_lost_frame_is_made_up_from_the_tables_without_a_gap(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        socket = await client.signed_in()
        at = (await told(socket))["revision"]
        await client.write("s", {"b": entry(2)}, frame=False)
        await client.write("s", {"c": entry(3)})
        seen: dict[str, str] = {}
        while set(seen) != {"b", "c"}:
            diff = await told(socket)
            assert diff["rev_from"] == at
            at = diff["rev_to"]
            seen |= rows(diff["upserts"])

    play(scenario)


def test_without_any_frame_the_tables_are_asked(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in()
        await told(socket)
        await client.write("s", {"a": entry(1)}, frame=False)
        assert rows((await told(socket))["upserts"]) == {"a": "running"}

    play(scenario)


def test_a_client_that_comes_back_gets_a_diff_since_its_revision(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1), "b": entry(2), "z": entry(9)})
        await client.write("s", {"z": None})
        at = client.observer.last
        await client.write("s", {"b": None, "c": entry(3)})
        socket = await client.signed_in(f"since={at}")
        diff = await told(socket)
        assert (diff["type"], diff["rev_from"], rows(diff["upserts"])) == ("diff", at, {"c": "running"})
        assert diff["removed"] == [["s", "b"]]

    play(scenario)


def test_a_client_that_has_all_is_told_so_and_one_of_the_future_gets_a_snapshot(
    play: Play,
) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        at = client.observer.last
        diff = await told(await client.signed_in(f"since={at}"))
        assert (diff["type"], diff["rev_from"], diff["rev_to"], diff["removed"]) == ("diff", at, at, [])
        assert (await told(await client.signed_in(f"since={at + 100}")))["type"] == "snapshot"

    play(scenario)


def test_a_revision_from_before_the_removals_that_are_kept_gets_a_snapshot(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1), "b": entry(2)})
        at = client.observer.last
        await client.write("s", {"a": None})
        await client.write("s", {"b": None})
        await sync_to_async(Removal.objects.filter(name="a").delete)()
        assert (await told(await client.signed_in(f"since={at}")))["type"] == "snapshot"

    play(scenario)


def test_resync_answers_with_a_diff_from_there(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        first = client.observer.last
        await client.write("s", {"b": entry(2)})
        socket = await client.signed_in()
        await told(socket)
        await socket.send_to(json.dumps({"type": "resync", "since": first}))
        diff = await told(socket)
        assert (diff["type"], diff["rev_from"], rows(diff["upserts"])) == ("diff", first, {"b": "running"})

    play(scenario)


def test_a_client_of_one_sworm_sees_no_other(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        await client.write("t", {"x": entry(2)})
        socket = await client.signed_in("sworm=s")
        snapshot = await told(socket)
        assert rows(snapshot["processes"]) == {"a": "running"}
        await client.write("t", {"y": entry(3)})
        await client.write("s", {"b": entry(4)})
        at, seen = snapshot["revision"], {}
        while not seen:
            diff = await told(socket)
            assert diff["rev_from"] == at
            at, seen = diff["rev_to"], rows(diff["upserts"])
        assert seen == {"b": "running"}

    play(scenario)


def test_many_changes_reach_a_viewer_as_few_messages(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in()
        await told(socket)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(100):
            await client.write("s", {f"name-{number}": entry(number)})
        seen: set[str] = set()
        messages = 0
        while len(seen) < 100:
            seen |= set(rows((await told(socket))["upserts"]))
            messages += 1
        assert messages <= (loop.time() - began) * 10 + 2

    play(scenario)


class Transport:
    """What daphne's connection says of itself."""

    producerPaused = False  # noqa: N815 - twisted's word


def test_a_congested_client_is_left_alone_and_then_gets_one_message(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in()
        await told(socket)
        transport.producerPaused = True
        for number in range(20):
            await client.write("s", {f"name-{number}": entry(number)})
        assert await socket.receive_nothing(0.5)
        transport.producerPaused = False
        assert len(rows((await told(socket))["upserts"])) == 20

    transport = Transport()
    monkeypatch.setattr(consumers, "transport_of", lambda send: transport)
    play(scenario)


def test_heartbeats_tell_the_revision_and_the_age(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        socket = await client.signed_in()
        snapshot = await told(socket)
        beat = await told(socket, "heartbeat")
        assert beat["revision"] == snapshot["revision"]
        assert 0 <= beat["lag_ms"] < LIMIT * 1000

    play(scenario, heartbeat=0.05)


def test_a_heartbeat_never_shows_a_gap_where_there_is_none(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        socket = await client.signed_in("sworm=s")
        at = (await told(socket))["revision"]
        await client.write("t", {"x": entry(2)})
        while at < client.observer.last:
            message = await told(socket, "diff", "heartbeat")
            if message["type"] == "diff":
                assert message["rev_from"] == at
                assert rows(message["upserts"]) == {}
                at = message["rev_to"]
            else:
                assert message["revision"] == at

    play(scenario, heartbeat=0.3)


def token(**more: Any) -> str:
    return issue_token("test", more.pop("scopes", ["read"]), **more)[0]


def test_a_token_as_first_message_opens_the_stream_without_an_origin(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.write("s", {"a": entry(1)})
        await client.write("t", {"x": entry(2)})
        text = await sync_to_async(token)(sworms=["t"])
        socket = await client.connect(headers=HOST)
        await socket.send_to(json.dumps({"token": text}))
        assert rows((await told(socket))["processes"]) == {"x": "running"}

    play(scenario)


@pytest.mark.parametrize(
    ("first", "word"),
    [
        ('{"token": "swm_unknown"}', "unknown"),
        ("{", "JSON"),
        ("[1]", "object"),
        ('{"token": 5}', "token"),
        ("9" * 9000, "9000"),
    ],
)
def test_without_a_good_token_the_connection_is_closed_with_4401(play: Play, first: str, word: str) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.connect(headers=HOST)
        await socket.send_to(first)
        error = await told(socket)
        assert error["type"] == "error"
        assert word in error["detail"]
        assert await closed(socket) == 4401

    play(scenario)


def test_no_token_in_time_is_closed_with_4401(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.connect(headers=HOST)
        assert (await told(socket))["code"] == "not_signed_in"
        assert await closed(socket) == 4401

    play(scenario, token=0.01)


def test_an_expired_token_and_one_without_the_right_are_refused(play: Play) -> None:
    async def scenario(client: Client) -> None:
        old = await sync_to_async(token)(expires_at=timezone.now() - timedelta(seconds=1))
        other = await sync_to_async(token)(scopes=["process:call"])
        for text, code in ((old, 4401), (other, 4403)):
            socket = await client.connect(headers=HOST)
            await socket.send_to(json.dumps({"token": text}))
            assert (await told(socket))["type"] == "error"
            assert await closed(socket) == code

    play(scenario)


def test_a_token_that_is_revoked_ends_its_stream(play: Play) -> None:
    async def scenario(client: Client) -> None:
        text, row = await sync_to_async(issue_token)("short", ["read"])
        socket = await client.connect(headers=HOST)
        await socket.send_to(json.dumps({"token": text}))
        assert (await told(socket))["type"] == "snapshot"
        row.revoked_at = timezone.now()
        await sync_to_async(row.save)()
        assert (await told(socket, "error"))["code"] == "not_signed_in"
        assert await closed(socket) == 4401

    play(scenario, recheck=0.0, heartbeat=0.05)


def test_who_signs_out_is_told_nothing_more(play: Play) -> None:
    async def scenario(client: Client) -> None:
        user = await sync_to_async(User.objects.get)(username="ann")
        socket = await client.connect(user=user)
        assert (await told(socket))["type"] == "snapshot"
        assert (await told(socket, "heartbeat"))["type"] == "heartbeat"
        await sync_to_async(socket.scope["session"].flush)()
        assert (await told(socket, "error"))["code"] == "not_signed_in"
        assert await closed(socket) == 4401

    play(scenario, recheck=0.0, heartbeat=0.05)


def test_an_outage_of_the_tables_ends_no_stream(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(client: Client) -> None:
        user = await sync_to_async(User.objects.get)(username="ann")
        socket = await client.connect(user=user)
        assert (await told(socket))["type"] == "snapshot"

        def out_of_reach(who: Again) -> None:
            raise OperationalError("out of reach")

        monkeypatch.setattr(Again, "__call__", out_of_reach)
        for _ in range(3):
            assert (await told(socket, "heartbeat"))["type"] == "heartbeat"
        monkeypatch.undo()
        await sync_to_async(socket.scope["session"].flush)()

    play(scenario, recheck=0.0, heartbeat=0.05)


def test_a_session_without_an_origin_needs_a_token(play: Play) -> None:
    async def scenario(client: Client) -> None:
        user = await sync_to_async(User.objects.get)(username="ann")
        socket = await client.connect(user=user, headers=HOST)
        await socket.send_to("{}")
        assert (await told(socket))["code"] == "not_signed_in"

    play(scenario)


@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", b"http://127.0.0.1:9", b"ftp://127.0.0.1:8000"])
def test_a_foreign_page_is_refused_before_it_opens(play: Play, origin: bytes) -> None:
    async def scenario(client: Client) -> None:
        socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), "/ws/map", [*HOST, (b"origin", origin)])
        connected, code = await socket.connect(LIMIT)
        assert (connected, code) == (False, 4403)

    play(scenario)


def test_a_name_that_leads_here_is_not_ours(play: Play) -> None:
    async def scenario(client: Client) -> None:
        headers = [(b"host", b"evil.example:8000"), (b"origin", b"http://evil.example:8000")]
        socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), "/ws/map", headers)
        assert (await socket.connect(LIMIT))[0] is False

    play(scenario)


def test_another_path_is_refused(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), "/ws/other", OURS)
        assert (await socket.connect(LIMIT))[0] is False

    play(scenario)


@pytest.mark.parametrize(
    ("query", "word"), [("sworm=NO!", "NO!"), ("since=-1", "since"), ("since=x", "since"), ("since=", "since")]
)
def test_a_query_that_makes_no_sense_is_named(play: Play, query: str, word: str) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in(query)
        error = await told(socket)
        assert (error["type"], error["code"]) == ("error", "bad_query")
        assert word in error["detail"]
        assert await closed(socket) == 4400

    play(scenario)


def test_messages_that_make_no_sense_are_named_and_the_stream_goes_on(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in()
        await told(socket)
        for text, word in (
            ("nonsense", "nonsense"), ('{"type": "dance"}', "dance"), ('{"type": "resync"}', "since"),
            ('{"type": "resync", "since": true}', "since"), ("[]", "object"),
        ):  # fmt: skip
            await socket.send_to(text)
            error = await told(socket, "error")
            assert word in error["detail"]
        await client.write("s", {"a": entry(1)})
        assert rows((await told(socket))["upserts"]) == {"a": "running"}
        for _ in range(consumers.MAX_FAULTS):
            await socket.send_to("nonsense")
        while (message := await socket.receive_output(LIMIT))["type"] != "websocket.close":
            pass
        assert message["code"] == 4400

    play(scenario)


def test_the_hub_rests_when_nobody_looks(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in()
        await told(socket)
        source = hub()
        assert source._tasks
        await socket.disconnect(LIMIT)
        assert not source._tasks
        await client.write("s", {"a": entry(1)}, frame=False)
        assert rows((await told(await client.signed_in()))["processes"]) == {"a": "running"}

    play(scenario)


def test_rows_of_a_batch_that_is_too_large_for_a_frame_come_from_the_tables(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in()
        await told(socket)
        await client.write("s", {f"name-{number}": entry(number) for number in range(2_500)})
        assert len(rows((await told(socket))["upserts"])) == 2_500

    play(scenario)


def test_node_rows_make_items(play: Play) -> None:
    async def scenario(client: Client) -> None:
        socket = await client.signed_in()
        await told(socket)
        await client.write("s", {"a": entry(1)})
        (node,) = (await told(socket))["nodes"]
        assert (node["name"], node["status"], node["processes"]) == ("n1", "alive", 1)
        assert set(node_rows([member(N1)], {})) == {"n1"}

    play(scenario)


def test_the_connection_below_a_send_is_found_through_its_wrappers() -> None:
    class Protocol:
        transport = Transport()

    class Wrapper:
        def __init__(self, send: Any) -> None:
            self.real_send = send

        async def send(self, message: Any) -> None:
            """As the session middleware's."""

    async def reply(protocol: Protocol, message: Any) -> None:
        """As daphne's."""

    bound = functools.partial(reply, Protocol())
    assert consumers.transport_of(Wrapper(bound).send) is Protocol.transport
    assert consumers.transport_of(bound) is Protocol.transport
    assert consumers.transport_of(Wrapper(reply).send) is None
