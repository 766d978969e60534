"""Operators take nodes out: drain to leave, drain to stay, cordon, one node after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.core.directory import CORDONED, DRAINING, UP
from supervisor.core.events import CordonAsked, DrainAsked, DrainCancelled
from supervisor.simulation.feature import Action, Feature

if TYPE_CHECKING:
    from supervisor.simulation.world import Host


class Drains(Feature):
    """What SIGTERM and operators ask of whole nodes."""

    name = "drains"

    def actions(self) -> list[Action]:
        """Allowed in gentle seeds: nothing of it is a fault."""
        return [
            Action(self.drain),
            Action(self.drain_and_start),
            Action(self.empty),
            Action(self.cancel),
            Action(self.cordon),
            Action(self.uncordon, 2),
        ]

    def _one(self) -> Host | None:
        live = [host for host in self.run.world.live() if not host.paused]
        fit = [host for host in live if host.node.member.record.status == UP]
        return self.run.random.choice(live) if len(fit) > 1 else None

    def drain(self) -> None:
        """Take a node out, as SIGTERM does."""
        host = self._one()
        if host is not None:
            self._begin(host)

    def drain_and_start(self) -> None:
        """One step of a rolling restart: drained, gone, and there again at once."""
        host = self._one()
        if host is not None:
            self._begin(host, again=True)

    def _begin(self, host: Host, again: bool = False) -> None:
        seconds = self.run.random.choice([10.0, 10.0, 10.0 if self.run.settings.gentle else 0.5])
        host.drained = None  # an earlier drain, after which it stayed, does not count
        self.run.world.step(host, DrainAsked(host.clock() + seconds))
        self.run.world.exit_when_drained(host, lambda: self.run.start(host.name) if again else None)

    def empty(self) -> None:
        """Drain a node that stays."""
        host = self._one()
        if host is not None:
            self.run.world.step(host, DrainAsked(host.clock() + 10.0, leave=False))

    def cancel(self) -> None:
        """Think again about a drain that is under way."""
        draining = [host for host in self.run.world.live() if host.node.context.draining and not host.paused]
        if draining:
            self.run.world.step(self.run.random.choice(draining), DrainCancelled())

    def cordon(self) -> None:
        """Close a node to new processes."""
        host = self._one()
        if host is not None:
            self.run.world.step(host, CordonAsked(True))

    def uncordon(self) -> None:
        """Open one again."""
        shut = [host for host in self.run.world.live() if host.node.member.record.status in (CORDONED, DRAINING)]
        if shut:
            self.run.world.step(self.run.random.choice(shut), CordonAsked(False))


FEATURE = Drains
