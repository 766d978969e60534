"""Operations of the control plane: handoff, migrate, rebalance, rolling restart; asked for, cancelled, and carried out
by observers that end at any point.

Law: which deed of an observer a fault is aimed at, and what the fault is, comes from a stream of its own. The oracles
read the rows, and hold them to what the nodes did.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from registry.core.ids import node_of
from supervisor.core import rebalance
from supervisor.core.events import Effect
from supervisor.core.operation import OPEN, RESTART, Rules, Step
from supervisor.core.rebalance import Limits, Placed
from supervisor.core.strategies import UNIFORM, Candidate
from supervisor.simulation.control import POINTS, Control
from supervisor.simulation.engine import Engine
from supervisor.simulation.feature import SWORM, Action, Feature, Settings
from supervisor.simulation.oracles import broken
from supervisor.simulation.promises import Promises, strike

if TYPE_CHECKING:
    from supervisor.simulation.run import Run
    from supervisor.simulation.world import Host

#: Virtual seconds after the heal within which every operation must have ended, and further ones for each process that
#: it still has before it: the slowest go one by one, at a limited rate.
ENDS_WITHIN, EACH_WITHIN = 180.0, 2.0

#: What happens at a point that is aimed at: the observer dies or is replaced while it goes on; or, beside it, the node
#: that runs the process of a step, or the one that shall take it, dies, freezes or is cut off.
QUIET = ("die", "replace")
ROUGH = (*QUIET, "crash", "pause", "cut")

#: Operations that are open at once, at most, and aims in one life.
MOST, AIMS = 2, 6


class Operations(Feature):
    """The control plane in one seed of three."""

    name = "operations"
    weights = (0, 0, 1)
    chance: random.Random

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.control = Control(run.world, random.Random(f"{run.seed}/control"))
        self.control.at_point = self._point
        self.promises = Promises(run.world, self.control)
        self.countdown = 0
        self.aims = 0

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """How bad the broker is, and how often observers end."""
        self.chance = chance
        courier = self.control.courier
        courier.loss = 0.0 if settings.gentle else chance.choice([0.0, 0.0, 0.1, 0.3])
        courier.repeat = chance.choice([0.0, 0.2])
        courier.most_delay = chance.choice([0.01, 0.1, 2.0])
        self.aims = chance.choice([0, 2, AIMS])
        self._count_down()

    def actions(self) -> list[Action]:
        """Nothing of it is a fault."""
        return [Action(self.begin, 2), Action(self.cancel)]

    # -------------------------------------------------------------------------------------------------------- people

    def begin(self) -> None:
        """Somebody asks for an operation over what the read model shows."""
        control, chance = self.control, self.chance
        if control.engine is None:
            control.start()
        control.observe()
        if len(control.open()) >= MOST or not control.facts:
            return
        kind = chance.choice(["handoff", "migrate", "rebalance", "restart", "drain"])
        if kind == "drain":
            self._drain()
            return
        rules, steps = getattr(self, f"_{kind}")()
        if steps:
            control.begin(kind, steps, rules)

    def _handoff(self) -> tuple[Rules, list[Step]]:
        name = self.chance.choice(sorted(self.control.facts))
        to = self.chance.choice(["", *self.run.settings.nodes])
        source = self.control.facts[name].node
        return Rules(width=1, strict=True), [Step(0, SWORM, name, source, to)] if to != source else []

    def _migrate(self) -> tuple[Rules, list[Step]]:
        source, to = self.chance.choice(self.run.settings.nodes), self.chance.choice(["", *self.run.settings.nodes])
        names = sorted(name for name, fact in self.control.facts.items() if fact.node == source)
        rules = Rules(width=self.chance.choice([1, 3, 8]), per_minute=self.chance.choice([0.0, 0.0, 120.0]))
        steps = [Step(number, SWORM, name, source, to) for number, name in enumerate(names)]
        return rules, steps if to != source else []

    def _rebalance(self) -> tuple[Rules, list[Step]]:
        facts, dwell, now = self.control.facts, self.chance.choice([0.0, 3.0]), self.run.world.now
        placed = [
            Placed(SWORM, n, f.node, f.epoch, f.epoch / 1e6) for n, f in sorted(facts.items()) if f.state == "running"
        ]
        candidates = [Candidate(node, {}, 1.0, sum(f.node == node for f in facts.values()))
                      for node in sorted(self.control.takers())]  # fmt: skip
        strategy = self.run.settings.definition.distribution_strategy
        planned = rebalance.plan(placed, candidates, strategy if strategy in ("least_loaded",) else UNIFORM,
                                 Limits(dwell=dwell), now)  # fmt: skip
        for move in planned:
            if node_of(facts[move.name].pid) in self.control.takers() and now - facts[move.name].epoch / 1e6 < dwell:
                raise broken("operation-keeps-pace", f"{move.name} was planned to move before it had dwelt {dwell} s")
        rules = Rules(width=2, per_minute=self.chance.choice([60.0, 600.0]), planned=True)
        return rules, [Step(n, SWORM, move.name, move.source, move.target) for n, move in enumerate(planned)]

    def _restart(self) -> tuple[Rules, list[Step]]:
        facts = self.control.facts
        names = sorted(facts) if self.chance.random() < 0.5 else [self.chance.choice(sorted(facts))]
        rules = Rules(RESTART, self.chance.choice([1, 2]), self.chance.choice([0.0, 120.0]))
        return rules, [Step(n, SWORM, name, facts[name].node, facts[name].node) for n, name in enumerate(names)]

    def _drain(self) -> None:
        """A drain; the node is started again somewhen, by whoever starts nodes."""
        nodes = self.control.nodes
        able = sorted(name for name, seen in nodes.items() if seen.status in ("alive", "draining", "suspect"))
        drained = {row.origin for row in self.control.open()}
        able = [name for name in able if f"{name}.{nodes[name].incarnation}" not in drained]
        if len(able) > 1:
            self.control.begin_drain(self.chance.choice(able), self.chance.choice([2.0, 10.0]))

    def cancel(self) -> None:
        """Somebody wants no more of one."""
        rows = self.control.open()
        if rows:
            self.control.cancel(self.chance.choice(rows))

    # --------------------------------------------------------------------------------------------------------- faults

    def _count_down(self) -> None:
        self.countdown = self.control.random.choice([0, 1, 3, 10, 30])

    def _point(self, point: str, engine: Engine) -> None:
        """A fault strikes between two deeds of an observer."""
        assert point in POINTS
        if not self.aims or not self.run.troubled:
            return
        self.countdown -= 1
        if self.countdown >= 0:
            return
        self.aims -= 1
        self._count_down()
        strike(self.run.world, self.control, self.control.random.choice(QUIET if self.run.settings.gentle else ROUGH))

    def stepped(self, host: Host, effects: list[Effect]) -> None:
        """See `Promises`."""
        self.promises.stepped(host, effects)

    def mend(self) -> None:
        """Observers go on, and all operations come to their end."""
        control = self.control
        if control.engine is None:
            return
        control.courier.loss = control.courier.repeat = 0.0
        if control.engine.dead:
            control.start()
        left = sum(step.state in OPEN for row in control.open() for step in row.steps.values())
        self.promises.ended(ENDS_WITHIN + EACH_WITHIN * left)
        control.stop()


FEATURE = Operations
