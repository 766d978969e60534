"""Settings that change how things go and must not change what holds: times, sizes of pieces, bounds of logs, pace."""

from __future__ import annotations

import random

from registry.core.membership import Timing
from supervisor.simulation.feature import Feature, Settings


class Tuning(Feature):
    """Half of the seeds have settings of their own."""

    name = "tuning"

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """Times in seconds; a timeout is never shorter than four beats."""
        settings.pace = chance.choice([0.08, 0.08, 0.03])
        if chance.random() < 0.5:
            return
        beat = chance.choice([0.2, 0.5, 1.0])
        settings.timing = Timing(
            heartbeat=beat,
            timeout=max(0.6, beat * chance.choice([4, 5])),
            suspicion=chance.choice([0.1, 0.3, 1.0]),
            connect=chance.choice([0.5, 2.0]),
            hold=chance.choice([0.01, 0.02, 0.1]),
            redial=chance.choice([0.25, 0.5]),
        )
        settings.max_log = chance.choice([2, 10, 20_000])
        settings.definition = settings.definition._replace(
            sync_interval_ms=chance.choice([50, 300, 2_000]), max_sync_size=chance.choice([1, 2, 3, 5_000])
        )


FEATURE = Tuning
