"""States outlive nodes: prepared copies of handoffs, and checkpoints.

Law: whoever restores a process goes on from the newest state that any node in its view holds of that very incarnation,
and says that the state was lost only when none of them holds one.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from registry.core.events import Report
from registry.core.ids import origin_of_pid
from supervisor.core.events import Effect, StartWorker
from supervisor.simulation.feature import Feature, Settings
from supervisor.simulation.oracles import broken

if TYPE_CHECKING:
    from supervisor.simulation.run import Run
    from supervisor.simulation.world import Host

_LOST = "its state was lost with it"
_KEPT = re.compile(r"goes on with the state of (\d+) ms ago")


class States(Feature):
    """The search for states, watched; in some seeds checkpoints are kept."""

    name = "states"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.starts: dict[str, StartWorker] = {}

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """Whether checkpoints are kept, how often and by how many."""
        interval = chance.choice([0, 0, 200, 2_000])
        if interval:
            settings.definition = settings.definition._replace(
                checkpoint_interval_ms=interval, checkpoint_copies=chance.choice([1, 1, 2])
            )

    def stepped(self, host: Host, effects: list[Effect]) -> None:
        """Look at each restored process."""
        for effect in effects:
            if isinstance(effect, Report) and effect.kind == "rehomed":
                self._restored(host, effect)

    def _restored(self, host: Host, report: Report) -> None:
        pid = report.detail.split(" ", 1)[0]
        newest = max((at for _, at in self._held(host, report.sworm, report.name, pid)), default=0)
        if _LOST in report.detail:
            self.run.ledger.call_lost((report.sworm, report.name))
            if newest:
                where = [holder for holder, _ in self._held(host, report.sworm, report.name, pid)]
                raise broken("handoff-keeps-state", f"{report.name} of {pid} was called lost, and {where} had it")

    def _held(self, host: Host, sworm: str, name: str, pid: str) -> list[tuple[str, int]]:
        """(node, when it was taken) of each state that the nodes in a view hold of an incarnation."""
        view = host.node.member.view.agreeing
        return [
            (other.name, holding.taken_at)
            for other in self.run.world.live()
            if other.origin in view and not other.paused
            for held in other.node.estates.holdings
            for holding in held(sworm, origin_of_pid(pid))
            if (holding.name, holding.pid) == (name, pid)
        ]


FEATURE = States
