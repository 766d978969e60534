"""Workers are slow, fail to start, crash, and cannot always give their state."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from supervisor.simulation.feature import Action, Feature, Settings

if TYPE_CHECKING:
    from supervisor.simulation.run import Run


class Work(Feature):
    """How workers behave; also the plan that simulated workers follow."""

    name = "work"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.chance = random.Random(f"{run.seed}/workers")
        self.fragile: set[str] = set()
        self.slow = self.slow_stop = self.speechless = 0.0
        run.world.plan = self

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """How long things take, and which names are in bad hands."""
        self.slow = chance.choice([0.001, 0.02, 0.3, 2.0])
        self.slow_stop = chance.choice([0.002, 0.002, 0.3, 2.0])
        if not settings.gentle:
            self.fragile = {f"name{number}" for number in range(25) if chance.random() < 0.1}
            self.speechless = chance.choice([0.0, 0.0, 0.2])

    def actions(self) -> list[Action]:
        """Crashes are rough: they lose state."""
        return [Action(self.crash, 1, rough=True)]

    def crash(self) -> None:
        """A worker raises."""
        host = self.run.any_host()
        running = sorted(host.workers.all) if host else []
        if host and running:
            worker = host.workers.all[self.run.random.choice(running)]
            if worker.started:
                host.workers.end(worker.effect.serial, normal=False, detail="planned")

    # ------------------------------------------------------------------------------------------------------- the plan

    def fails_to_start(self, name: str) -> bool:
        """Fragile workers fail now and then."""
        return name in self.fragile and self.run.troubled and self.chance.random() < 0.3

    def fails_to_give(self, name: str) -> bool:
        """Whether `begin_handoff` raises."""
        return self.run.troubled and self.chance.random() < self.speechless

    def start_time(self) -> float:
        """How long `init` takes."""
        return self.chance.uniform(0.0, self.slow)

    def stop_time(self) -> float:
        """How long `terminate` takes."""
        return self.chance.uniform(0.0, self.slow_stop)

    def state_time(self) -> float:
        """How long `begin_handoff` takes."""
        return self.chance.uniform(0.0, self.slow)


FEATURE = Work
