"""How much of everything: the sizes of the table, and tiny ones that only show that it runs.

Law: values only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Numbers of names and calls, and seconds."""

    small: int = 1_000
    large: int = 10_000
    seen: int = 300
    spread: int = 5_000
    lookups: int = 300_000
    calls: int = 20_000
    failover: int = 1_000
    counters: int = 300
    conflicts: int = 100
    settled_seconds: float = 6.0
    memory: int = 10_000
    idle_names: int = 5_000
    idle_seconds: float = 10.0
    rest: int = 200
    rest_idle: int = 3
    rest_idle_seconds: float = 10.0
    batch: int = 10_000
    many: int = 100_000
    changes: int = 3_000
    viewers: int = 50


FULL = Scale()

#: Only shows that every row can be measured.
QUICK = Scale(
    small=40, large=80, seen=5, spread=60, lookups=2_000, calls=200, failover=30, counters=6, conflicts=6,
    settled_seconds=3.0, memory=60, idle_names=30, idle_seconds=0.5, rest=3, rest_idle=1, rest_idle_seconds=0.1,
    batch=30, many=120, changes=30, viewers=3,
)  # fmt: skip
