"""Processes are handed from node to node, there and back."""

from __future__ import annotations

from functools import partial

from supervisor.simulation.feature import Action, Feature


class Moves(Feature):
    """The verb `move`."""

    name = "moves"
    weights = (0, 1, 2, 6)

    def actions(self) -> list[Action]:
        """Move now and then."""
        return [Action(self.move, 2), Action(self.there_and_back, 1)]

    def move(self) -> None:
        """Hand a process off, to any node or to one that is named."""
        self.run.ask("move", self.run.any_name(), to=self.run.random.choice(["", *self.run.settings.nodes]))

    def there_and_back(self) -> None:
        """Hand a process off several times in a row, so that it comes back while its past still ends."""
        run, name = self.run, self.run.any_name()
        after = 0.0
        for _ in range(run.random.randint(2, 4)):
            run.world.at(after, partial(self.move_to, name, run.random.choice(run.settings.nodes)))
            after += run.random.choice([0.0, 0.05, 0.3, 1.0])

    def move_to(self, name: str, node: str) -> None:
        """Hand a process off to this node."""
        self.run.ask("move", name, to=node)


FEATURE = Moves
