"""Further names and groups: given, taken, joined and left, by pids and names that may be out of date."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from supervisor.simulation.agreement import check_ties
from supervisor.simulation.feature import SWORM, Action, Feature, Settings

if TYPE_CHECKING:
    from supervisor.simulation.run import Run


class Ties(Feature):
    """The verbs about further names and groups."""

    name = "ties"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.further: list[str] = []

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """Six further names at most, so that they are contended for."""
        self.further = [f"name{number}'" for number in range(chance.randint(1, 6))]

    def actions(self) -> list[Action]:
        """As often as moves."""
        return [
            Action(self.name_further),
            Action(self.unname),
            Action(self.join, 2),
            Action(self.leave),
        ]

    def name_further(self) -> None:
        """Give a process a further name, by the pid that some host believes it has; sometimes one that others use."""
        run = self.run
        host = run.any_host()
        located = host.node.lookup(SWORM, run.any_name()) if host else None
        if located is None:
            return
        name = run.random.choice(self.further) if run.random.random() < 0.9 else run.any_name()
        if name not in self.further:
            run.ledger.doubt((SWORM, name))  # a further name has no spec: it may end with its process
        run.ask("register", name, pid=located.pid)

    def unname(self) -> None:
        """Take a further name away."""
        self.run.ask("unregister", self.run.random.choice(self.further))

    def join(self) -> None:
        """A process joins a group, by its name or by a further one."""
        name = self.run.random.choice([*self.run.settings.names, *self.further])
        self.run.ask("join", name, group=self.run.random.choice(["odd", "even"]))

    def leave(self) -> None:
        """A process leaves a group."""
        self.run.ask("leave", self.run.any_name(), group=self.run.random.choice(["odd", "even"]))

    def healed(self) -> None:
        """Ties stand with their process and nowhere else."""
        check_ties(self.run.world)


FEATURE = Ties
