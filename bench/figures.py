"""Arithmetic on measured times.

Law: pure.
"""

from __future__ import annotations

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent of the values lie (nearest rank). Raises ValueError without values."""
    if not values:
        raise ValueError("there are no values")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def last_to_first(done: Sequence[float]) -> float:
    """The rate of the last tenth divided by that of the first; `done`: when each was done, from the start."""
    tenth = max(1, len(done) // 10)
    first = done[tenth - 1]
    last = done[-1] - (done[-tenth - 1] if len(done) > tenth else 0.0)
    return first / last
