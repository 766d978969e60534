"""The hybrid logical clock: stamps grow, stay near the time of day, and refuse the far future."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry.core.clock import Clock
from tests.laws import law

SKEW = 5.0
times = st.integers(0, 2_000_000_000).map(float)
steps = st.lists(st.tuples(st.sampled_from(["stamp", "observe"]), times, st.integers(-60, 60)), max_size=12)


@law(60)
@given(steps)
def test_stamps_only_grow_whatever_the_time_of_day_does(script: list[tuple[str, float, float]]) -> None:
    clock, last = Clock(SKEW), 0
    for verb, now, ahead in script:
        if verb == "stamp":
            made = clock.stamp(now)
            assert made > last
            last = made
        else:
            seen = int((now + ahead) * 1_000_000)
            if clock.observe(seen, now):
                last = max(last, seen)


@law(40)
@given(times, st.integers(int(SKEW) + 1, 1_000_000))
def test_a_stamp_too_far_ahead_changes_nothing(now: float, ahead: float) -> None:
    clock, untouched = Clock(SKEW), Clock(SKEW)
    assert not clock.observe(int((now + ahead) * 1_000_000) + 1, now)
    assert clock.stamp(now) == untouched.stamp(now)


def test_a_stamp_exceeds_what_it_must_exceed() -> None:
    clock = Clock(SKEW)
    assert clock.stamp(1.0, above=7_000_000) == 7_000_001 - 0
    assert clock.stamp(1.0) > 1_000_000


def test_exceeding_the_far_future_does_not_move_the_clock_there() -> None:
    clock = Clock(SKEW)
    year = 365 * 86_400 * 1_000_000
    assert clock.stamp(1.0, above=year) == year + 1
    assert clock.stamp(1.1) < 2_000_000


def test_stamps_stay_exact_in_any_json_reader() -> None:
    assert Clock(SKEW).stamp(4_000_000_000.0) < 2**53


def test_equal_times_give_different_stamps() -> None:
    clock = Clock(SKEW)
    assert len({clock.stamp(5.0) for _ in range(100)}) == 100
