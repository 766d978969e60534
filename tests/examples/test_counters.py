"""The reference worker does what the contract says of it."""

from __future__ import annotations

import pytest

from examples.counters import Counter, Counters
from supervisor import NotHandled


def counter(*args: int) -> Counter:
    worker = Counter()
    worker.init(*args)
    return worker


def test_it_counts() -> None:
    worker = counter()
    assert worker.handle_call({"op": "increment", "by": 1}) == 1
    assert worker.handle_call({"op": "increment"}) == 2
    assert worker.handle_call({"op": "increment", "by": -5}) == -3
    assert worker.handle_call({"op": "get"}) == -3


def test_it_starts_where_it_is_told() -> None:
    assert counter(10).handle_call({"op": "get"}) == 10


def test_it_hands_its_value_off() -> None:
    heir = counter()
    heir.end_handoff(counter(41).begin_handoff())
    assert heir.handle_call({"op": "increment", "by": 1}) == 42
    assert Counters.definition().handoff


def test_a_duplicate_takes_nothing_away() -> None:
    worker = counter(3)
    worker.resolve_conflict(2)
    assert worker.value == 3
    worker.resolve_conflict(7)
    assert worker.value == 7


def test_it_refuses_what_it_cannot() -> None:
    for message in (None, 1, {}, {"op": "steal"}):
        with pytest.raises(NotHandled):
            counter().handle_call(message)


def test_a_cast_counts_too() -> None:
    worker = counter()
    worker.handle_cast({"op": "increment", "by": 2})
    assert worker.value == 2
