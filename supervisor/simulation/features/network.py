"""The network between nodes: loss, repeats, delays, cuts one way and both, links that flap."""

from __future__ import annotations

import random

from supervisor.simulation.feature import Action, Feature, Settings


class Network(Feature):
    """Faults of links and of whole parts."""

    name = "network"
    weights = (0, 1, 1, 3)

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """How bad it is all the time."""
        if settings.gentle:
            settings.most_delay = chance.choice([0.001, 0.005, 0.05])
            return
        settings.loss = chance.choice([0.0, 0.0, 0.01, 0.1])
        settings.repeat = chance.choice([0.0, 0.05, 0.3])
        settings.most_delay = chance.choice([0.002, 0.05, 0.4])

    def actions(self) -> list[Action]:
        """More mending than cutting."""
        return [
            Action(self.cut, 1, rough=True),
            Action(self.mend, 2, rough=True),
            Action(self.flap, 1, rough=True),
            Action(self.isolate, 1, rough=True),
        ]

    def cut(self) -> None:
        """Cut the cluster in two, one way or both."""
        run = self.run
        one = {name for name in run.settings.nodes if run.random.random() < 0.5}
        run.world.partition(one, set(run.settings.nodes) - one, both_ways=run.random.random() < 0.7)

    def isolate(self) -> None:
        """One node falls silent to all others for a moment."""
        run = self.run
        one = {run.random.choice(run.settings.nodes)}
        run.world.partition(one, set(run.settings.nodes) - one, both_ways=run.random.random() < 0.7)
        run.world.at(run.random.choice([0.2, 1.0, 4.0]), run.world.heal)

    def mend(self) -> None:
        """Heal all cuts."""
        self.run.world.heal()

    def flap(self) -> None:
        """Close some links of a host; the cores dial again."""
        run = self.run
        host = run.any_host()
        for peer in sorted(host.links) if host else ():
            if host and run.random.random() < 0.5:
                run.world.unlink(host, run.world.hosts[peer], "flap")


FEATURE = Network
