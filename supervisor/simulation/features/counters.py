"""Processes hold state: counters whose increments are acknowledged, and must be there in the end.

Law: an increment counts when the gate of the process that took it was open. It may be lost with the last worker that
held it when that ends by a crash, a failed handoff that said so, a conflict or an order; never by a move.
"""

from __future__ import annotations

from supervisor.core.gate import BOUNCED, OPEN
from supervisor.simulation.feature import SWORM, Action, Feature
from supervisor.simulation.oracles import broken


class Counters(Feature):
    """Messages to processes, and the oracle of their state."""

    name = "counters"
    weights = (1, 2)

    def actions(self) -> list[Action]:
        """Count often."""
        return [Action(self.increment, 8)]

    def increment(self) -> None:
        """Change a counter where a node believes that it lives; acknowledged when its gate was open."""
        run = self.run
        host, name = run.any_host(), run.any_name()
        if host is None or SWORM not in host.node.replicas:
            return
        located = host.node.lookup(SWORM, name)
        there = run.world.hosts.get(located.origin) if located else None
        if located is None or there is None or not there.up or there.paused or there.workers.held:
            return
        worker = there.workers.all.get(located.entry.serial)
        run.requests += 1
        if worker is None or worker.ended or worker.gate.state == BOUNCED:
            return
        if worker.gate.state == OPEN:
            worker.state.add(f"i{run.requests}")
            slot = (worker.effect.sworm, worker.effect.name)  # the name may be a further one
            run.ledger.changes.setdefault(slot, set()).add(f"i{run.requests}")

    def healed(self) -> None:
        """Every change that nothing excuses the loss of is in the state of the one process."""
        ledger = self.run.ledger
        if not self.run.settings.definition.handoff:
            return
        for host in self.run.world.live():
            for worker in host.workers.running():
                slot = (worker.effect.sworm, worker.effect.name)
                lost = ledger.changes.get(slot, set()) - worker.state - ledger.forgiven
                if lost:
                    raise broken("handoff-keeps-state", f"{slot[1]} at {worker.effect.pid} lost {sorted(lost)}")


FEATURE = Counters
