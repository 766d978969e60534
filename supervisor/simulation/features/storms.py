"""Many names that nobody has used before are registered in a moment in which the cluster changes.

Those who ask, and those who decide, then see different views: this is where two of them may decide about one name.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from registry.core.directory import UP
from supervisor.core.events import CordonAsked, Reply
from supervisor.simulation.feature import SWORM, Action, Feature

if TYPE_CHECKING:
    from supervisor.simulation.run import Run

#: Names of one storm, askers of each name, and seconds over which they ask.
NAMES, ASKERS, SPREAD = 8, 3, 0.2


class Storms(Feature):
    """Races for fresh names while nodes come, go, or close."""

    name = "storms"
    weights = (0, 0, 1, 3)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.used = 0

    def actions(self) -> list[Action]:
        """The change decides whether it is rough."""
        return [
            Action(self.while_one_comes, 1),
            Action(self.while_one_closes, 1),
            Action(self.while_one_dies, 1, rough=True),
        ]

    def while_one_comes(self) -> None:
        """A node joins."""
        down = [name for name in self.run.settings.nodes if self.run.world.host(name) is None]
        if down:
            self.run.start(self.run.random.choice(down))
            self._race()

    def while_one_closes(self) -> None:
        """A node is cordoned, or opened again."""
        host = self.run.any_host()
        up = [h for h in self.run.world.live() if h.node.member.record.status == UP]
        if host is not None:
            closing = host.node.member.record.status == UP
            if not closing or len(up) > 1:
                self.run.world.step(host, CordonAsked(closing))
                self._race()

    def while_one_dies(self) -> None:
        """A node is killed."""
        live = self.run.world.live()
        if len(live) > 2:
            self.run.crash(self.run.random.choice(live))
            self._race()

    def _race(self) -> None:
        run = self.run
        for _ in range(NAMES):
            self.used += 1
            for _ in range(ASKERS):
                run.world.at(run.random.uniform(0.0, SPREAD), partial(self._ask, f"fresh{self.used}"))

    def _ask(self, name: str) -> None:
        self.run.expect(self.run.ask("register", name), lambda reply: self._registered(name, reply))

    def _registered(self, name: str, reply: Reply) -> None:
        if reply.result in ("started", "already_started"):
            self.run.ledger.acknowledge((SWORM, name))


FEATURE = Storms
