"""The arithmetic on measured times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import last_to_first, percentile

TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(TIMES, st.floats(0, 100))
def test_a_percentile_is_one_of_the_values_and_has_that_share_below_it(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= len(values) * percent


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_the_percentiles_of_a_hundred(percent: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_the_last_tenth_is_compared_with_the_first() -> None:
    steady = [float(number) for number in range(1, 101)]
    assert last_to_first(steady) == 1.0
    slowing = [*steady[:90], *(90 + 5.0 * number for number in range(1, 11))]
    assert last_to_first(slowing) == pytest.approx(0.2)
    assert last_to_first([2.0]) == 1.0
