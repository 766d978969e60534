"""What people are told of users' exceptions."""

from __future__ import annotations

import pytest

from supervisor.errors import MAX_DETAIL, NotRegistered, described, from_code
from supervisor.workers.tracing import shortened


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no such seat"), "ValueError: no such seat"),
        (ValueError(), "ValueError"),
        (ValueError("lone \ud800"), "ValueError: lone \\ud800"),
        (Mute(), "Mute: its text raised RuntimeError"),
    ],
)
def test_an_exception_is_one_line_that_can_travel(error: Exception, told: str) -> None:
    assert described(error) == told


def test_a_long_text_is_cut() -> None:
    assert len(described(ValueError("x" * 20_000_000))) <= MAX_DETAIL + len("ValueError: ")


@pytest.mark.parametrize("error", [ValueError("lone \ud800"), Mute(), NotRegistered("\udfff")])
def test_a_traceback_can_travel(error: Exception) -> None:
    assert type(error).__name__ in shortened(error).encode().decode()


def test_the_family_can_travel_too() -> None:
    assert str(from_code("not_registered", "lone \ud800")) == "lone \\ud800"
