"""Checkpoints: processes leave copies of their state at other nodes, from which they may go on."""

from __future__ import annotations

import random

from supervisor.core.spec import LEAST_CHECKPOINT_MS
from supervisor.simulation.feature import Feature, Settings


class Keeping(Feature):
    """One seed in three makes checkpoints."""

    name = "keeping"

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """Often, so that a short life sees some."""
        if chance.random() < 1 / 3:
            settings.definition = settings.definition._replace(
                checkpoint_interval_ms=LEAST_CHECKPOINT_MS * chance.choice([1, 5]),
                checkpoint_copies=chance.choice([1, 2]),
            )


FEATURE = Keeping
