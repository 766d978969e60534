"""What all property tests share: how hard they try, and the entries they write.

Law: every run on a build machine tries the same examples (`CI` in the environment); elsewhere each run tries new ones.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from registry.core.names import GONE, GROUP, RUNNING, STARTING, Key, Registration, Spec

#: How many times more examples than usual (`LAW_FACTOR` in the environment), for a night of searching.
FACTOR = int(os.environ.get("LAW_FACTOR", "1"))


def law(examples: int) -> settings:
    """Settings of one property test."""
    return settings(
        max_examples=examples * FACTOR,
        deadline=None,
        database=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=[HealthCheck.too_slow],
    )


NAMES = ("lobby", "attic", "cellar")
SPEC = Spec("examples.counters:Counter")


def registration(epoch: int = 1, serial: int = 1, state: str = RUNNING, majority: int = 1) -> Registration:
    """An entry of which only a few things matter."""
    return Registration(serial, epoch, f"claim-{epoch}", state, majority, 0, 0, SPEC)


registrations = st.sampled_from(
    [
        registration(epoch, serial, state, majority)
        for epoch in range(1, 5)
        for serial in (1, 2)
        for state in (STARTING, RUNNING)
        for majority in (0, 1)
    ]
)

#: Every change that a host of a few names may make: names, groups and "gone" marks in about the usual mixture.
CHANGES: list[tuple[Key, Any]] = [
    *(
        (name, registration(epoch, serial, majority=serial % 2))
        for name in NAMES
        for epoch in (1, 2, 3)
        for serial in (1, 2)
    ),
    *((name, None) for name in NAMES for _ in range(3)),
    *(((GONE, name), epoch) for name in NAMES for epoch in (None, 1, 2)),
    *(((GROUP, "all", f"n1.1.{serial}"), name) for name in (None, *NAMES) for serial in (1, 2)),
]

change_sets: st.SearchStrategy[dict[Key, Any]] = st.lists(st.sampled_from(CHANGES), min_size=1, max_size=3).map(dict)
