"""Clocks differ between nodes, and are set anew while they run."""

from __future__ import annotations

import random

from supervisor.simulation.feature import Action, Feature, Settings


class Clocks(Feature):
    """Skew and jumps, within what a cluster admits (`max_clock_skew` between any two)."""

    name = "clocks"
    weights = (0, 1)

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """By how much clocks are wrong."""
        if not settings.gentle:
            settings.skew = chance.choice([0.0, 0.01, 2.0])

    def actions(self) -> list[Action]:
        """Seldom."""
        return [Action(self.jump, 1, rough=True)]

    def jump(self) -> None:
        """Somebody sets a node's clock, forwards or back."""
        host = self.run.any_host()
        if host is not None:
            self.run.world.set_clock(host, self.run.random.uniform(-2.0, 2.0))


FEATURE = Clocks
