"""The restart table, row by row, and the intensity that is counted for each process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.lifecycle import FAIL, MOST_DELAY, REMOVE, RESTART, after_exit, delay, recent
from supervisor.core.spec import RESTARTS, Definition
from tests.laws import law

NOW = 100.0


@pytest.mark.parametrize(
    ("policy", "normal", "often", "verdict"),
    [
        ("permanent", True, False, RESTART),
        ("permanent", False, False, RESTART),
        ("permanent", True, True, FAIL),
        ("permanent", False, True, FAIL),
        ("transient", True, False, REMOVE),
        ("transient", False, False, RESTART),
        ("transient", True, True, REMOVE),
        ("transient", False, True, FAIL),
        ("temporary", True, False, REMOVE),
        ("temporary", False, False, REMOVE),
        ("temporary", False, True, REMOVE),
    ],
)
def test_the_table(policy: str, normal: bool, often: bool, verdict: str) -> None:
    definition = Definition("rooms", restart=policy, max_restarts=3, max_seconds=5)
    restarts = [NOW - 1] * (3 if often else 2)
    assert after_exit(definition, normal, restarts, NOW) == verdict


@law(40)
@given(st.lists(st.integers(0, 20), max_size=10), st.integers(0, 5), st.sampled_from(RESTARTS), st.booleans())
def test_only_what_lies_in_the_window_counts(ages: list[int], most: int, policy: str, normal: bool) -> None:
    definition = Definition("rooms", restart=policy, max_restarts=most, max_seconds=5)
    restarts = [NOW - age for age in ages]
    young = [at for at in restarts if NOW - at < 5]
    assert recent(definition, restarts, NOW) == young
    assert after_exit(definition, normal, restarts, NOW) == after_exit(definition, normal, young, NOW)
    if after_exit(definition, normal, restarts, NOW) == FAIL:
        assert len(young) >= most


def test_back_off_starts_at_nothing_and_grows_to_a_cap() -> None:
    delays = [delay(count) for count in range(30)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[-1] == MOST_DELAY
