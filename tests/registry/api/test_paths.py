"""Names in paths, whatever they hold."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.api.paths import NameConverter, routable

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(NAMES, NAMES)
def test_a_name_comes_out_as_it_went_in(name: str, other: str) -> None:
    path = routable(f"/api/v1/{quote(name, safe='')}/{quote(other, safe='')}/call")
    segments = path.split("/")
    assert segments[:3] == ["", "api", "v1"]
    assert segments[5:] == ["call"]
    assert [NameConverter().to_python(segment) for segment in segments[3:5]] == [name, other]


def test_what_is_not_utf_8_is_said_to_be() -> None:
    with pytest.raises(UnicodeDecodeError):
        routable("/api/%ff")
