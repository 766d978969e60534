"""What only sockets can do wrong: garbage, floods, strangers who say nothing, HTTP, TLS, and another event loop."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from registry.core.messages import Want
from registry.mesh.protocol import Answer, Options
from tests.registry.mesh.owners import LIMIT, Owner, World
from tests.turns import until

pytestmark = pytest.mark.asyncio

PAGES = {"/healthz": Answer(200, "application/json", b'{"status": "ok"}')}


def page(path: str) -> Answer | None:
    if path == "/broken":
        raise RuntimeError("this page is wrong")
    return PAGES.get(path)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    made = World("websocket")
    yield made
    await made.close()


async def listening(world: World, **options: Any) -> tuple[Any, Owner, str, int]:
    one, first = world.mesh("n1.1", options=Options(http=page, **options))
    url = await one.listen("127.0.0.1", 0)
    return one, first, url, int(url.rpartition(":")[2])


async def say(port: int, words: bytes) -> bytes:
    """Everything that the node says to these bytes, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(words)
        async with asyncio.timeout(LIMIT):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def hangs_up(stranger: ClientConnection) -> str:
    """What the node says in the end, having said nothing but its challenge before."""
    async with asyncio.timeout(LIMIT):
        with contextlib.suppress(ConnectionClosedError):
            async for _ in stranger:
                pass
    return stranger.close_reason or ""


# ------------------------------------------------------------------------------------------------------------- abuse


async def test_garbage_instead_of_http_is_turned_away(world: World) -> None:
    one, first, _, port = await listening(world)
    await say(port, b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n")
    assert (await first.until_told("refused"))[1].startswith("bad_frame: ")
    assert one.traffic.refused == 1


async def test_a_frame_of_garbage_before_the_proof_is_turned_away(world: World) -> None:
    _, first, url, _ = await listening(world)
    async with connect(url) as stranger:
        await stranger.send(b"\xc1 garbage")
        assert (await hangs_up(stranger)).startswith("bad_frame: ")
    assert (await first.until_told("refused"))[1].startswith("bad_frame: no step of a handshake")


async def test_messages_before_the_proof_are_turned_away_unread(world: World) -> None:
    one, first, url, _ = await listening(world)
    async with connect(url) as stranger:
        await stranger.send(one._codec.frame([one._codec.encode(Want("rooms", "n1.1", 1))]))
        await hangs_up(stranger)
    await first.until_told("refused")
    assert first.messages() == []


async def test_a_huge_frame_before_the_proof_is_not_even_read(world: World) -> None:
    _, first, url, _ = await listening(world)
    async with connect(url) as stranger:
        await stranger.send(bytes(5_000))
        await hangs_up(stranger)
    assert (await first.until_told("refused"))[1].startswith("too_large: ")


async def test_text_and_fragments_are_turned_away(world: World) -> None:
    _, first, url, _ = await listening(world)
    for words in ("text", [b"in", b"fragments"]):
        async with connect(url) as stranger:
            await stranger.send(words)
            await hangs_up(stranger)
    assert (await first.until_told("refused"))[1].startswith("bad_frame: a frame that starts with 0x81")


@pytest.mark.parametrize("words", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: n1\r\n"])
async def test_a_stranger_who_is_slow_is_hung_up_on(world: World, words: bytes) -> None:
    _, first, _, port = await listening(world, handshake_timeout=0.1)
    assert await say(port, words) == b""
    assert (await first.until_told("refused"))[1].startswith("timeout: ")


async def test_a_stranger_who_upgrades_and_then_says_nothing_is_hung_up_on(world: World) -> None:
    _, first, url, _ = await listening(world, handshake_timeout=0.1)
    async with connect(url) as stranger:
        assert (await hangs_up(stranger)).startswith("timeout: ")
    assert (await first.until_told("refused"))[1].startswith("timeout: ")


async def test_a_peer_who_does_not_answer_a_dial_ends_it_in_time(world: World) -> None:
    one, first, *_ = await listening(world, handshake_timeout=0.1)
    mute = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    one.connect(f"ws://127.0.0.1:{port}", "n2.1")
    failed = await first.until_told("failed")
    assert failed[2] is False
    assert failed[3].startswith("timeout: ")
    await one.close()
    mute.close()


async def test_only_so_many_strangers_are_let_in(world: World) -> None:
    one, first, url, port = await listening(world, max_strangers=3)
    strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    reader, late = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    late.close()
    for _, writer in strangers:
        writer.close()
        await writer.wait_closed()
    await until(lambda: not one.sockets)
    two, second = world.mesh("n2.1")
    two.connect(url)
    assert await second.until_told("up") == ("n1.1",)
    await first.until(lambda: first.up == {"n2.1"})


async def test_a_flood_of_strangers_is_one_line_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one, first, _, port = await listening(world)
    for _ in range(20):
        await say(port, b"\0\r\n\r\n")
    await first.until(lambda: one.traffic.refused == 20)
    assert 1 <= len(first.of("refused")) <= 4
    assert len([line for line in caplog.messages if "turned away" in line]) == len(first.of("refused"))


async def test_somebody_who_only_looks_whether_the_port_is_open_is_no_news(world: World) -> None:
    one, first, _, port = await listening(world)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await writer.wait_closed()
    await say(port, b"GET /healthz HTTP/1.1\r\n\r\n")
    assert first.told == []
    assert one.traffic.refused == 0


@pytest.mark.parametrize("url", ["", "n2:7000", "http://127.0.0.1:1", "ws://", "ws://127.0.0.1:99999", "ws://[::1"])
async def test_a_bad_url_is_a_failed_dial(world: World, url: str) -> None:
    one, first, *_ = await listening(world)
    one.connect(url, "n2.1")
    failed = await first.until_told("failed")
    assert failed[:3] == (url, "n2.1", False)
    assert failed[3].startswith("unreachable: ")


async def test_a_server_that_is_no_mesh_is_a_failed_dial(world: World) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    one, first, *_ = await listening(world)
    one.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", "n2.1")
    failed = await first.until_told("failed")
    assert failed[2] is False
    assert "404" in failed[3]
    server.close()


async def test_the_first_messages_may_come_with_the_last_word_of_the_handshake(world: World) -> None:
    one, _, url, _ = await listening(world)
    two, second = world.mesh("n2.1")
    big = Want("x" * 100_000, "n1.1", 1)
    told = second._note

    def send_at_once(*what: Any) -> None:
        told(*what)
        if what[0] == "up":
            two.send("n1.1", big)
            two._flush()

    second._note = send_at_once  # type: ignore[method-assign]
    two.connect(url)
    await second.until_told("up")
    first = one._handler
    await first.until_told("got")
    assert first.messages() == [big]


# -------------------------------------------------------------------------------------------------------------- HTTP


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /healthz HTTP/1.1", b"200 OK", b'{"status": "ok"}'),
        (b"GET /nothing HTTP/1.1", b"404 Not Found", b"There is no such page on a node.\n"),
        (b"GET /broken HTTP/1.1", b"500 Internal Server Error", b"This page failed; the node's log says how.\n"),
    ],
)
async def test_pages_are_answered_on_the_same_port(
    world: World, request_line: bytes, status: bytes, body: bytes
) -> None:
    one, first, _, port = await listening(world)
    answer = await say(port, request_line + b"\r\nHost: n1\r\n\r\n")
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"Content-Length: %d" % len(body) in head
    assert b"Connection: close" in head
    assert content == body
    assert first.told == []
    assert not one._meetings


async def test_pages_are_read_only(world: World) -> None:
    _, first, _, port = await listening(world)
    answer = await say(port, b"POST /healthz HTTP/1.1\r\nHost: n1\r\nContent-Length: 0\r\n\r\n")
    assert b" 200 " not in answer.partition(b"\r\n")[0]
    assert first.up == set()


# ---------------------------------------------------------------------------------------------------- TLS, other loops


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context for a certificate of 127.0.0.1 that only they know."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "n1.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_links_over_tls(world: World, tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    one, first, url, _ = await listening(world, server_ssl=server)
    assert url.startswith("wss://")
    two, second = world.mesh("n2.1", options=Options(client_ssl=client))
    two.connect(url, "n1.1")
    await second.until_told("up")
    two.send("n1.1", Want("rooms", "n1.1", 1))
    await first.until_told("got")
    await two.close()
    await first.until_told("down")
    assert one.links() == set()


async def test_an_unknown_certificate_is_a_failed_dial(world: World, tmp_path: Path) -> None:
    server, _ = certificate(tmp_path)
    _, _, url, _ = await listening(world, server_ssl=server)
    two, second = world.mesh("n2.1")
    two.connect(url, "n1.1")
    failed = await second.until_told("failed")
    assert failed[2] is False
    assert failed[3].startswith("unreachable: ")


async def _a_thousand_there_and_back() -> list[Any]:
    world = World("websocket")
    one, first, two, second = await world.pair()
    second.on_received = two.send
    for number in range(1_000):
        one.send("n2.1", Want("rooms", "n1.1", number))
    await first.until(lambda: len(first.messages()) == 1_000)
    await world.close()
    return first.messages()


async def test_nothing_depends_on_the_event_loop() -> None:
    def run() -> list[Any]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_a_thousand_there_and_back())

    assert [message.base for message in await asyncio.to_thread(run)] == list(range(1_000))


async def test_frames_that_do_not_wait_for_the_upgrade_are_turned_away(world: World) -> None:
    _, first, _, port = await listening(world)
    upgrade = (
        b"GET / HTTP/1.1\r\nHost: n1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    frame, close = b"\x82\x80\0\0\0\0", b"\x88\x80\0\0\0\0"
    for eager in (upgrade + frame, upgrade + close, upgrade + frame + close):
        assert await say(port, eager) == b""
    assert (await first.until_told("refused"))[1].startswith("bad_frame: ")


async def relayed(port: int, said: list[bytes]) -> asyncio.Server:
    """A listener that passes everything on to a node, and keeps what the dialler said."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: list[bytes] | None) -> None:
        while data := await reader.read(65_536):
            if keep is not None:
                keep.append(data)
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back, said), pump(there, writer, None))

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def test_what_a_recorded_dialler_said_opens_nothing(world: World) -> None:
    one, first, _, port = await listening(world)
    two, second = world.mesh("n2.1")
    said: list[bytes] = []
    relay = await relayed(port, said)
    two.connect(f"ws://127.0.0.1:{relay.sockets[0].getsockname()[1]}", "n1.1")
    await first.until_told("up")
    await second.until_told("up")
    await two.close()
    await first.until_told("down")
    relay.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said[0])
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"".join(said[1:]))
    await reader.read()
    writer.close()
    assert (await first.until_told("refused"))[1].startswith("cluster_key: ")
    assert len(first.of("up")) == 1
    assert one.links() == set()
