"""A node's time of day stays near the wall clock and never leaps, whatever anybody does to the wall clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry.steady import RATE, SteadyClock

#: (seconds that pass, what is added to the wall clock's error then)
STEPS = st.lists(st.tuples(st.floats(0.001, 100.0), st.floats(-3600.0, 3600.0)), min_size=1, max_size=30)


class Machine:
    """A wall clock that may be set, and one that only runs."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.error = 0.0

    def wall(self) -> float:
        return 1_700_000_000.0 + self.passed + self.error

    def steady(self) -> float:
        return self.passed


@given(STEPS)
def test_it_runs_at_nine_to_eleven_tenths_of_real_time(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = SteadyClock(machine.wall, machine.steady)
    last = clock()
    for seconds, jump in steps:
        machine.error += jump
        machine.passed += seconds
        now = clock()
        assert (1 - RATE) * seconds - 1e-5 <= now - last <= (1 + RATE) * seconds + 1e-5
        last = now


@given(st.floats(-50.0, 50.0))
def test_it_comes_back_to_the_wall_clock(jump: float) -> None:
    machine = Machine()
    clock = SteadyClock(machine.wall, machine.steady)
    machine.error = jump
    machine.passed += abs(jump) / RATE + 1
    assert abs(clock() - machine.wall()) < 1e-5
