"""MessagePack values: copied, limited, refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import BadValue
from supervisor.workers.values import copied, pack, pack_arguments, pack_state, unpack, unpack_arguments

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_a_copy_is_what_travelling_makes_of_it(value: Any) -> None:
    assert copied(value) == unpack(pack(value)) == value


def test_nothing_mutable_is_shared() -> None:
    inner: list[int] = []
    assert copied({"a": inner})["a"] is not inner
    assert copied((1, 2)) == [1, 2]


@pytest.mark.parametrize("value", [object(), 2**64, -(2**63) - 1, [object()], {"a": {1, object()}}, "\ud800"])
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(BadValue):
        pack(value)
    with pytest.raises(BadValue):
        copied([value])


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(BadValue):
        pack(loop)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01", b"\x91" * 100_000])
def test_bytes_that_are_no_value_are_refused(data: bytes) -> None:
    with pytest.raises(BadValue):
        unpack(data)


def test_a_state_has_a_limit() -> None:
    assert unpack(pack_state([1], limit=2)) == [1]
    with pytest.raises(BadValue, match="at most 2 are"):
        pack_state([1, 2], limit=2)


@given(st.lists(scalars), st.dictionaries(st.text(), scalars))
def test_arguments_come_back(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert unpack_arguments(pack_arguments(args, kwargs)) == (args, kwargs)


@pytest.mark.parametrize("value", [1, [1], [[], []], [{}, []], [[], {1: 2}], [[], {}, []]])
def test_arguments_of_another_form_are_refused(value: Any) -> None:
    with pytest.raises(BadValue):
        unpack_arguments(pack(value))
