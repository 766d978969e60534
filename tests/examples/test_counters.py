"""The reference worker: what it answers, and that its value is all it hands over."""

from __future__ import annotations

import pytest

from examples.counters import Counter, Counters
from supervisor import NotHandled


@pytest.fixture
def counter() -> Counter:
    worker = Counter()
    worker.init(10)
    return worker


def test_it_counts(counter: Counter) -> None:
    assert counter.handle_call({"op": "increment", "by": 5}) == 15
    assert counter.handle_call({"op": "increment"}) == 16
    assert counter.handle_call({"op": "get"}) == 16


def test_a_cast_counts_too(counter: Counter) -> None:
    counter.handle_cast({"op": "increment", "by": 2})
    assert counter.handle_call({"op": "get"}) == 12


@pytest.mark.parametrize("message", [{"op": "divide"}, "increment", None])
def test_what_it_does_not_know_is_refused(counter: Counter, message: object) -> None:
    with pytest.raises(NotHandled):
        counter.handle_call(message)


def test_its_value_is_handed_over(counter: Counter) -> None:
    other = Counter()
    other.init()
    other.end_handoff(counter.begin_handoff())
    assert other.handle_call({"op": "get"}) == 10


def test_of_two_the_larger_value_stays(counter: Counter) -> None:
    counter.resolve_conflict(3)
    assert counter.value == 10
    counter.resolve_conflict(30)
    assert counter.value == 30


def test_its_pool_hands_off() -> None:
    assert Counters.name == "counters"
    assert Counters.definition().handoff
