"""WebSocket frames, against the library that everybody else uses."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as Theirs
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State

from registry.mesh.frames import BINARY, CLOSE, PING, PONG, Frame, FrameReader, close_payload, close_reason, frame

LIMIT = 100_000
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, LIMIT]

sent = st.lists(
    st.tuples(st.just(BINARY), st.binary(max_size=300))
    | st.tuples(st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=125)),
    max_size=6,
)


@given(sent, st.booleans(), st.lists(st.integers(1, 40)))
def test_frames_come_back_however_the_stream_is_cut(
    frames: list[tuple[int, bytes]], masked: bool, cuts: list[int]
) -> None:
    stream = b"".join(frame(opcode, payload, masked) for opcode, payload in frames)
    reader = FrameReader(masked, LIMIT)
    back: list[Frame] = []
    for size in itertools.chain(cuts, [len(stream) or 1]):
        back += reader.feed(stream[:size])
        stream = stream[size:]
    assert back == frames
    assert not reader.fault


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [False, True])
def test_the_library_reads_what_we_write_and_we_what_it_writes(size: int, masked: bool) -> None:
    payload = bytes(index % 251 for index in range(size))
    library = Protocol(Side.SERVER if masked else Side.CLIENT, state=State.OPEN)
    library.receive_data(frame(BINARY, payload, masked))
    (read,) = library.events_received()
    assert isinstance(read, Theirs)
    assert (read.opcode, bytes(read.data)) == (Opcode.BINARY, payload)
    written = Theirs(Opcode.BINARY, payload).serialize(mask=masked)
    assert FrameReader(masked, LIMIT).feed(written) == [(BINARY, payload)]


@pytest.mark.parametrize(
    "stream",
    [
        b"\x81\x00",  # text
        b"\x02\x00",  # not final
        b"\x80\x00",  # a continuation
        b"\xc2\x00",  # a reserved bit
        b"\x83\x00",  # an unknown opcode
        b"\x89\x7e\x00\x7e",  # a control frame that is too long
        b"\x82\x80\0\0\0\0",  # a mask where none belongs
    ],
)
def test_everything_else_is_a_fault_and_ends_reading(stream: bytes) -> None:
    reader = FrameReader(masked=False, limit=LIMIT)
    good = frame(BINARY, b"good", masked=False)
    assert reader.feed(good + stream) == [(BINARY, b"good")]
    assert reader.fault.startswith("bad_frame: ")
    assert reader.feed(good) == []


def test_an_unmasked_frame_of_a_client_is_a_fault() -> None:
    reader = FrameReader(masked=True, limit=LIMIT)
    assert reader.feed(b"\x82\x00") == []
    assert reader.fault


@pytest.mark.parametrize("masked", [False, True])
def test_a_frame_beyond_the_limit_is_a_fault_from_its_header_on(masked: bool) -> None:
    reader = FrameReader(masked, LIMIT)
    head = frame(BINARY, bytes(LIMIT + 1), masked)[:10]
    assert reader.feed(head) == []
    assert reader.fault == f"too_large: a frame of {LIMIT + 1} bytes came; at most {LIMIT} are allowed"


def test_a_limit_may_be_raised() -> None:
    reader = FrameReader(masked=False, limit=10)
    reader.limit = LIMIT
    assert reader.feed(frame(BINARY, bytes(LIMIT), masked=False)) == [(BINARY, bytes(LIMIT))]


@given(st.binary(max_size=60), st.booleans())
def test_arbitrary_bytes_never_raise(data: bytes, masked: bool) -> None:
    FrameReader(masked, LIMIT).feed(data)


@given(st.text(max_size=200))
def test_the_reason_of_a_close_fits_whatever_it_is(reason: str) -> None:
    payload = close_payload(4_000, reason)
    assert len(payload) <= 125
    assert reason.startswith(close_reason(payload))
