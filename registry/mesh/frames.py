"""WebSocket frames (RFC 6455, section 5), as far as nodes use them: whole binary messages, ping, pong and close.

Law: pure, bytes in and frames out. Whatever else a peer sends (text, fragments, reserved bits, a wrong mask, more than
the limit) is a fault, found from the header before the payload is taken; nothing after a fault is read. The library
that opens the connection could do this as well, at several times the cost for a small message.
"""

from __future__ import annotations

import secrets
import struct
from collections import deque
from typing import NamedTuple

from registry.mesh.protocol import BAD_FRAME, TOO_LARGE

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

_KNOWN = {0x80 | opcode for opcode in (BINARY, CLOSE, PING, PONG)}  #: first bytes of frames in one piece
_MOST_CONTROL = 125  #: longest payload of a control frame

_MASKS = 256  #: masks taken from the kernel at once
_masks: deque[bytes] = deque()


class Frame(NamedTuple):
    """One frame, unmasked."""

    opcode: int
    payload: bytes


class FrameReader:
    """Cuts a stream into frames. After a fault (`fault` says which) it takes nothing more."""

    __slots__ = ("_buffer", "_masked", "_need", "fault", "limit")

    def __init__(self, masked: bool, limit: int) -> None:
        """`masked`: whether the other side must mask (a client must, a server must not); `limit`: largest payload."""
        self.limit = limit
        self.fault = ""
        self._masked = masked
        self._buffer = bytearray()
        self._need = 0  # bytes that the frame at the head of the buffer is known to have

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream; returns the frames that they complete."""
        if self.fault:
            return []
        if not self._buffer:
            return self._cut(data)
        self._buffer += data
        if len(self._buffer) < self._need:
            return []
        stored, self._buffer = bytes(self._buffer), bytearray()
        return self._cut(stored)

    def _cut(self, data: bytes) -> list[Frame]:
        frames: list[Frame] = []
        at, end = 0, len(data)
        self._need = 0
        while end - at >= 2:
            start, size = self._header(data, at)
            if self.fault or not start or start + size > end:
                self._need = start + size - at
                break
            payload = data[start : start + size]
            if self._masked:
                payload = apply_mask(payload, data[start - 4 : start])
            frames.append(Frame(data[at] & 0x0F, payload))
            at = start + size
        if at < end:
            self._buffer += data[at:]
        return frames

    def _header(self, data: bytes, at: int) -> tuple[int, int]:
        """Where the payload of the frame at `at` starts, and its size; (0, 0) while the header is not all there."""
        first, second = data[at], data[at + 1]
        size, start = second & 0x7F, at + 2
        if first not in _KNOWN or (second >= 0x80) is not self._masked or (first >= 0x88 and size > _MOST_CONTROL):
            self.fault = f"{BAD_FRAME}: a frame that starts with {first:#04x} {second:#04x} came"
            return 0, 0
        if size >= 126:
            form, length = (">H", 2) if size == 126 else (">Q", 8)
            if len(data) < start + length:
                return 0, 0
            (size,) = struct.unpack_from(form, data, start)
            start += length
        if size > self.limit:
            self.fault = f"{TOO_LARGE}: a frame of {size} bytes came; at most {self.limit} are allowed"
            return 0, 0
        return start + 4 * self._masked, size


def frame(opcode: int, payload: bytes, masked: bool) -> bytes:
    """One frame, as it goes onto the connection; a client's are masked."""
    first, size, bit = 0x80 | opcode, len(payload), 0x80 * masked
    if size < 126:
        head = struct.pack(">BB", first, bit | size)
    elif size < 65_536:
        head = struct.pack(">BBH", first, bit | 126, size)
    else:
        head = struct.pack(">BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    mask = _mask()
    return head + mask + apply_mask(payload, mask)


def _mask() -> bytes:
    """A mask that nobody can foresee. Any thread may ask; the kernel is asked for many at once."""
    try:
        return _masks.pop()
    except IndexError:
        noise = secrets.token_bytes(4 * _MASKS)
        _masks.extend(noise[at : at + 4] for at in range(4, len(noise), 4))
        return noise[:4]


def close_payload(code: int, reason: str) -> bytes:
    """What a close frame says, cut to the length that one may have."""
    return struct.pack(">H", code) + reason.encode()[: _MOST_CONTROL - 2].decode(errors="ignore").encode()


def close_reason(payload: bytes) -> str:
    """What a peer's close frame says, if anything."""
    return payload[2:].decode(errors="replace")
