"""Any MessagePack value can be shown as JSON."""

from __future__ import annotations

import json
import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from registry.jsonable import has_bytes, jsonable

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner), max_leaves=20
)


@given(VALUES)
def test_what_comes_out_is_json_that_postgres_takes(value: object) -> None:
    text = json.dumps(jsonable(value), allow_nan=False)
    assert "\\u0000" not in text


@given(VALUES)
def test_it_is_stable(value: object) -> None:
    once = jsonable(value)
    assert jsonable(once) == once


def test_what_json_lacks() -> None:
    assert jsonable(b"\x00\xff") == {"$bytes": "AP8="}
    assert jsonable(math.inf) == {"$float": "inf"}
    assert jsonable({1: ("a", "b\x00")}) == {"1": ["a", "b\ufffd"]}
    assert jsonable(msgspec.msgpack.Ext(1, b"x")).startswith("<msgspec")


def test_bytes_are_found_wherever_they_are() -> None:
    assert has_bytes([{"a": [b""]}])
    assert has_bytes({b"a": 1})
    assert not has_bytes([{"a": ["", 1, None]}])
