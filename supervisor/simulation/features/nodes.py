"""Nodes come and go: killed, restarted with amnesia, one after another, frozen."""

from __future__ import annotations

from supervisor.simulation.feature import Action, Feature


class Nodes(Feature):
    """What happens to whole nodes, without being asked."""

    name = "nodes"
    weights = (0, 1, 1, 3)

    def actions(self) -> list[Action]:
        """Starting again is no fault, but dying is."""
        return [
            Action(self.start, 2),
            Action(self.crash, 1, rough=True),
            Action(self.crash_and_start, 1, rough=True),
            Action(self.pause, 1, rough=True),
        ]

    def crash(self) -> None:
        """kill -9 of a node."""
        live = self.run.world.live()
        if len(live) > 1:
            self.run.crash(self.run.random.choice(live), silent=self.run.random.random() < 0.3)

    def crash_and_start(self) -> None:
        """A node that is killed and stands there again, knowing nothing, before anybody believes that it was gone."""
        run = self.run
        live = run.world.live()
        if len(live) > 1:
            name = run.random.choice(live).name
            run.crash(run.world.host(name), silent=run.random.random() < 0.3)
            run.world.at(run.random.choice([0.0, 0.05, 0.5, 2.0]), lambda: run.start(name))

    def start(self) -> None:
        """Start a node that is not there."""
        down = [name for name in self.run.settings.nodes if self.run.world.host(name) is None]
        if down:
            self.run.start(self.run.random.choice(down))

    def pause(self) -> None:
        """SIGSTOP for a while, perhaps longer than every timeout."""
        host = self.run.any_host()
        timing = self.run.settings.timing
        longest = 2 * timing.timeout + timing.suspicion
        if host is not None:
            self.run.world.pause(host, self.run.random.choice([0.1, timing.timeout / 2, longest]))


FEATURE = Nodes
