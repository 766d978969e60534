"""Origins and pids parse back to what they were made of; names that the registry refuses say why."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core import ids
from tests.laws import law

nodes = st.builds(str.__add__, st.sampled_from("an"), st.text("a0_-", max_size=62))
numbers = st.integers(0, 2**53 - 1)


@law(40)
@given(nodes, numbers, numbers)
def test_an_origin_and_a_pid_parse_back(node: str, incarnation: int, serial: int) -> None:
    origin = ids.origin_of(node, incarnation)
    pid = ids.pid_of(origin, serial)
    assert (ids.node_of(origin), ids.incarnation_of(origin)) == (node, incarnation)
    assert (ids.origin_of_pid(pid), ids.serial_of(pid)) == (origin, serial)
    assert ids.is_origin(origin)
    assert not ids.is_origin(pid)
    assert ids.is_pid(pid)
    assert not ids.is_pid(origin)


@pytest.mark.parametrize("text", ["", "n1", "n1.", ".1", "N1.1", "n1.x", "n1.1.2", "n1.12345678901234567", 7, None])
def test_what_is_no_origin(text: object) -> None:
    assert not ids.is_origin(text)


@law(40)
@given(st.text(min_size=1, max_size=255))
def test_a_name_is_taken_as_it_is_unless_it_has_a_control_character(name: str) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        with pytest.raises(ids.BadName, match="control character"):
            ids.check_name(name)
    else:
        assert ids.check_name(name) is name


@pytest.mark.parametrize(
    ("name", "why"), [("", "empty"), ("x" * 256, "256 characters"), ("a\nb", "control"), (7, "must be a string")]
)
def test_a_refused_name_says_why(name: object, why: str) -> None:
    with pytest.raises(ids.BadName, match=why):
        ids.check_name(name)


@pytest.mark.parametrize("name", ["Rooms", "1st", "a b", "a\n", "x" * 64, "", None])
def test_a_refused_slug_says_what_is_right(name: object) -> None:
    with pytest.raises(ids.BadName, match=r"must match \[a-z\]"):
        ids.check_slug(name, "sworm name")


def test_a_slug_is_returned_unchanged() -> None:
    assert ids.check_slug("rooms-2_b", "sworm name") == "rooms-2_b"
