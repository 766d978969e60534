"""MessagePack values: what messages, replies, arguments and states may be.

Law: a value that leaves one worker and reaches another was copied, encoded or not: two workers never share something
mutable, in one agent no more than across the network. Scalars pass as they are; everything else goes through
MessagePack, so that a local call gives exactly what a remote one would (tuples arrive as lists).
"""

from __future__ import annotations

import inspect
from types import CoroutineType
from typing import Any

import msgspec

from supervisor.core.transfer import MAX_STATE
from supervisor.errors import BadValue

#: Largest message or reply between nodes, in bytes: half of what one frame of the mesh may hold.
MAX_MESSAGE = 8 * 1024 * 1024

_IMMUTABLE = frozenset({type(None), bool, float, str, bytes})
#: Types of which nothing is an awaitable: asking `inspect` costs more than a whole call.
PLAIN = _IMMUTABLE | {int, dict, list, tuple}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def pack(value: Any) -> bytes:
    """Encode a value; raises `BadValue` naming what cannot be."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise BadValue(f"not a MessagePack value: {error}") from None


def unpack(data: bytes) -> Any:
    """Decode a value; raises `BadValue` for what is not MessagePack."""
    try:
        return _decode(data)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadValue(f"not MessagePack: {error}") from None


def copied(value: Any) -> Any:
    """The value as another worker gets it; raises `BadValue` for what is no MessagePack value."""
    kind = value.__class__
    if kind in _IMMUTABLE:
        return value
    if kind is int and -0x8000_0000_0000_0000 <= value <= 0xFFFF_FFFF_FFFF_FFFF:
        return value
    return _decode(pack(value))


def is_pending(value: Any) -> bool:
    """Whether a method returned something to wait for, instead of a value."""
    kind = value.__class__
    return kind not in PLAIN and (kind is CoroutineType or inspect.isawaitable(value))


def pack_state(state: Any, limit: int = MAX_STATE) -> bytes:
    """Encode a state; raises `BadValue` when it is no MessagePack value or larger than `limit` bytes."""
    data = pack(state)
    if len(data) > limit:
        raise BadValue(f"the state has {len(data)} bytes as MessagePack; at most {limit} are handed off")
    return data


def unpack_arguments(data: bytes) -> tuple[list[Any], dict[str, Any]]:
    """The positional and keyword arguments of a `Spec`; raises `BadValue`."""
    if not data:
        return [], {}
    pair = unpack(data)
    if not isinstance(pair, list) or len(pair) != 2:
        raise BadValue("arguments must be a list of positional and a map of keyword arguments")
    args, kwargs = pair
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
        raise BadValue("arguments must be a list of positional and a map of keyword arguments")
    return args, kwargs


def pack_arguments(args: list[Any], kwargs: dict[str, Any]) -> bytes:
    """The arguments as a `Spec` carries them: empty when there are none."""
    return pack([args, kwargs]) if args or kwargs else b""
