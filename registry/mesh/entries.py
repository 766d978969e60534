"""How the entries of an origin's map stand on the wire: which type the value under each kind of key has.

Law: equal entries are equal, and have an equal `repr`, on every node that decoded them, since digests are taken over
them: keys are a `str` or a tuple of `str`, values the core's named tuples, and what nothing here knows becomes plain
values with tuples for arrays. A change is `[key, value]`, or `[key]` for a key that is gone. An unknown kind of key is
carried, not refused: a newer node may write it, and an older one relays it.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec

from registry.core.directory import (
    DEAD,
    DEFINITION,
    ENDED,
    ENDED_KEPT,
    FORGOTTEN,
    NODE,
    RELAYED,
    SUSPECT,
    VIEW,
    NodeRecord,
    ViewRecord,
)
from registry.core.names import GONE, GROUP, Key, Registration

#: What arrays, maps and scalars of unknown meaning may be made of; MessagePack's extension types are none of it.
_PLAIN = (type(None), bool, int, float, str, bytes)


class BadEntry(ValueError):
    """A change is not one that an origin's map can hold; the message names its key and what is wrong with it."""


class _Kind(NamedTuple):
    """One kind of tuple key: how many strings it has, its own name included, and the decoder of its value."""

    length: int
    value: msgspec.msgpack.Decoder[Any]


_ABSENT = msgspec.Raw()


class _Change(NamedTuple):
    """A change as it stands on the wire; without a value, the key is gone."""

    key: str | tuple[str, ...]
    value: msgspec.Raw = _ABSENT


_OPAQUE: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()
_REGISTRATION = msgspec.msgpack.Decoder(Registration)
_NUMBER = msgspec.msgpack.Decoder(int)
_TEXT = msgspec.msgpack.Decoder(str)
_NUMBERS = msgspec.msgpack.Decoder(Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=ENDED_KEPT)])

#: First string of a tuple key -> its kind.
KINDS: dict[str, _Kind] = {
    GROUP: _Kind(3, _TEXT),
    GONE: _Kind(2, _NUMBER),
    NODE[0]: _Kind(1, msgspec.msgpack.Decoder(NodeRecord)),
    VIEW[0]: _Kind(1, msgspec.msgpack.Decoder(ViewRecord)),
    SUSPECT: _Kind(2, _NUMBER),
    DEAD: _Kind(2, _NUMBER),
    RELAYED: _Kind(2, _TEXT),
    ENDED: _Kind(2, _NUMBERS),
    DEFINITION: _Kind(2, _OPAQUE),
    FORGOTTEN: _Kind(2, _NUMBER),
}

_CHANGES = msgspec.msgpack.Decoder(list[_Change])


def decode_changes(raw: msgspec.Raw) -> list[list[Any]]:
    """The changes of a delta, typed. Raises `BadEntry`, or one of msgspec's errors for what is not even a list of
    changes.
    """
    return [[key] if value is _ABSENT else [key, _value(key, value)] for key, value in _CHANGES.decode(raw)]


def _value(key: Key, raw: msgspec.Raw) -> Any:
    try:
        if type(key) is str:
            return _REGISTRATION.decode(raw)
        return _tuple_value(key, raw)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadEntry(f"value under {key!r}: {error}") from error


def _tuple_value(key: Key, raw: msgspec.Raw) -> Any:
    kind = KINDS.get(key[0]) if key else None
    if kind is None:
        return plain(_OPAQUE.decode(raw))
    if len(key) != kind.length:
        raise ValueError(f"a key of this kind has {kind.length} parts, not {len(key)}")
    value = kind.value.decode(raw)
    if kind.value is _NUMBERS and value != tuple(sorted(set(value))):
        raise ValueError("these numbers do not ascend")
    return plain(value) if kind.value is _OPAQUE else value


def plain(value: Any) -> Any:
    """A value of unknown meaning, with tuples for lists all the way down. Raises `ValueError` for extension types."""
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, _PLAIN):
        return value
    raise ValueError(f"a value of type {type(value).__name__} has no place in an entry")
