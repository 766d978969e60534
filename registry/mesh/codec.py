"""Messages to frames and back.

Law: a frame is MessagePack `[version, [[number, [field, …]], …]]`; the numbers and the classes behind them come from a
table. An envelope is `[number, [origin, [number, [field, …]]]]`: a message within a message, and never deeper.
What decodes is well-formed: every field of every message has the type that its class declares. Whatever else the
bytes are, the outcome is a `CodecError` that names the fault; no other exception, no partial result, nothing executed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from registry.core.ids import Origin
from registry.core.messages import Delta, Relay, Relayed
from registry.mesh.entries import decode_changes
from registry.mesh.protocol import PROTOCOL_VERSION, Kinds, Message

#: Bytes that a frame needs beyond its messages, at most: array, version, array header.
FRAME_OVERHEAD = 7

_FAULTS = (msgspec.MsgspecError, RecursionError, ValueError, OverflowError)

_Decode = Callable[[msgspec.Raw], Message]


class CodecError(ValueError):
    """A frame is not well-formed; the message says which of its messages, and what is wrong with it."""


class _DeltaFrame(NamedTuple):
    """A `Delta` whose changes are still encoded: their types follow from their keys."""

    sworm: str
    origin: Origin
    base: int
    version: int
    changes: msgspec.Raw
    part: int = 0
    parts: int = 1
    urgent: bool = False


class _EnvelopeFrame(NamedTuple):
    """An envelope whose message is still encoded: its type follows from its number."""

    origin: Origin
    message: tuple[int, msgspec.Raw]


#: Kinds of messages that hold an origin and one more message.
ENVELOPES: frozenset[type[Any]] = frozenset({Relay, Relayed})

_ENVELOPE = msgspec.msgpack.Decoder(_EnvelopeFrame)
_DELTA = msgspec.msgpack.Decoder(_DeltaFrame)


def _decode_delta(raw: msgspec.Raw) -> Delta:
    sworm, origin, base, version, changes, part, parts, urgent = _DELTA.decode(raw)
    return Delta(sworm, origin, base, version, decode_changes(changes), part, parts, urgent)


class Codec:
    """Encodes and decodes the messages of one table. Holds no state between calls; any thread may use it."""

    def __init__(self, kinds: Kinds, envelopes: frozenset[type[Any]] = ENVELOPES) -> None:
        """`kinds`: number -> class, a `typing.NamedTuple` whose annotations msgspec can check; numbers 0 to 127.
        `envelopes`: those that hold an origin and one more message of the table.
        """
        for number in kinds:
            if not 0 <= number <= 127:
                raise ValueError(f"number {number} of {kinds[number].__name__} is not one of 0 to 127")
        self._kinds = dict(kinds)
        prefix = {kind: bytes((0x92, number)) for number, kind in kinds.items()}
        self._prefix = {kind: start for kind, start in prefix.items() if kind not in envelopes}
        self._envelopes = {kind: start for kind, start in prefix.items() if kind in envelopes}
        self._plain = {number: _decoder(kind) for number, kind in kinds.items() if kind not in envelopes}
        self._decoders = self._plain | {
            number: partial(self._decode_envelope, kind) for number, kind in kinds.items() if kind in envelopes
        }
        self._encode = msgspec.msgpack.Encoder().encode
        self._split = msgspec.msgpack.Decoder(tuple[int, list[tuple[int, msgspec.Raw]]]).decode
        self._version = msgspec.msgpack.Decoder(list[Any]).decode

    def encode(self, message: Message) -> bytes:
        """One message as it stands within a frame. Raises `TypeError` for what is no message of the table."""
        prefix = self._prefix.get(type(message))
        if prefix is None:
            return self._encode_envelope(message)
        try:
            return prefix + self._encode(message)
        except (OverflowError, ValueError, RecursionError) as error:
            raise TypeError(f"{type(message).__name__} cannot be encoded: {error}") from error

    def _encode_envelope(self, message: Message) -> bytes:
        kind, prefix = type(message), self._envelopes.get(type(message))
        if prefix is None:
            raise TypeError(f"{kind.__name__} is no message of this lane")
        origin, inner = message
        if type(inner) not in self._prefix:
            raise TypeError(f"{kind.__name__} holds no {type(inner).__name__}")
        return b"".join((prefix, b"\x92", self._encode(origin), self.encode(inner)))

    def frame(self, messages: Sequence[bytes]) -> bytes:
        """Put encoded messages together into one frame, in this order."""
        return b"".join((b"\x92", bytes((PROTOCOL_VERSION,)), _array_header(len(messages)), *messages))

    def decode(self, frame: bytes | bytearray | memoryview) -> list[Message]:
        """The messages of a frame, in order. Raises `CodecError`, whatever the bytes are."""
        try:
            version, parts = self._split(frame)
        except _FAULTS as error:
            raise CodecError(f"the frame is not [version, messages]: {error}") from error
        if version != PROTOCOL_VERSION:
            raise CodecError(f"the frame is of version {version}; ours is {PROTOCOL_VERSION}")
        decoders = self._decoders
        messages = []
        try:
            for number, raw in parts:
                messages.append(decoders[number](raw))
        except (KeyError, *_FAULTS) as error:
            raise CodecError(self._fault(len(messages), parts[len(messages)][0], error)) from error
        return messages

    def _decode_envelope(self, kind: type[Any], raw: msgspec.Raw) -> Message:
        origin, (number, inner) = _ENVELOPE.decode(raw)
        decoder = self._plain.get(number)
        if decoder is None:
            raise ValueError(f"a message with the number {number} has no place in it")
        made: Message = kind(origin, decoder(inner))
        return made

    def _fault(self, index: int, number: int, error: Exception) -> str:
        kind = self._kinds.get(number)
        if kind is None:
            return f"message {index} of the frame has the number {number}, which this lane does not know"
        return f"message {index} of the frame is no {kind.__name__}: {error}"


def _decoder(kind: type[Any]) -> _Decode:
    return _decode_delta if kind is Delta else msgspec.msgpack.Decoder(kind).decode


def _array_header(length: int) -> bytes:
    if length < 16:
        return bytes((0x90 | length,))
    if length < 65_536:
        return struct.pack(">BH", 0xDC, length)
    return struct.pack(">BI", 0xDD, length)
