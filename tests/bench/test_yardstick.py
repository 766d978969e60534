"""The yardstick can be taken, and stands above the table."""

from __future__ import annotations

from bench import machine, yardstick


def test_both_figures_are_there() -> None:
    assert yardstick.lookups() > 0
    assert yardstick.round_trip() > 0


def test_the_machine_is_described_without_its_name_or_paths() -> None:
    described = machine.describe()
    assert {"cpu", "memory", "python", "packages", "yardstick", "load"} <= described.keys()
    assert "/" not in described["cpu"]
