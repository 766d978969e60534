"""Where processes go: every strategy, demands on labels that some or no node meets, nodes of unequal capacity."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from registry.core.frozen import frozen
from registry.core.ids import Origin, node_of
from registry.core.messages import DIRECTORY
from registry.core.names import RUNNING
from supervisor.core.constraints import eligible, of_definition
from supervisor.core.events import Choose, Chosen, Effect, StartWorker
from supervisor.core.spec import ACTIVE, PASSIVE, STRATEGIES
from supervisor.core.strategies import UNIFORM, UNIFORM_QUORUM, UNIFORM_RANDOM, wish
from supervisor.simulation.feature import SWORM, Action, Feature, Settings
from supervisor.simulation.oracles import broken
from supervisor.simulation.world import Host

#: Built-in strategies that are drawn here; `features/quorum.py` has the other one.
DRAWN = frozenset(STRATEGIES) - {UNIFORM_QUORUM}

#: A strategy that is not built in: `Placing.choose`.
OWN = "own:letters"


class Placing(Feature):
    """Strategies and constraints."""

    name = "placing"
    chance: random.Random
    gentle: bool

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """Half of the seeds make no demands on labels, some make ones that not every node meets."""
        draw = chance.random()
        zone: Any = {} if draw < 0.5 else {"zone": "a"} if draw < 0.75 else {"zone": ["a", "b"]}
        settings.definition = settings.definition._replace(
            distribution_strategy=chance.choice([*sorted(DRAWN, key=STRATEGIES.index), OWN]), constraints=frozen(zone),
            redistribution=chance.choice([PASSIVE, ACTIVE]),
        )  # fmt: skip
        self.chance, self.gentle = chance, settings.gentle
        settings.labels = {name: {"zone": chance.choice("ab")} for name in settings.nodes}
        settings.capacities = {name: chance.choice([0.5, 1.0, 3.0]) for name in settings.nodes}

    def actions(self) -> list[Action]:
        """None; but here the world is there, and learns what the strategy says."""
        self.run.world.strategy = self.choose
        self.run.world.options.update(calm=1.0, dwell=1.5, pace=0.05)
        return []

    def choose(self, question: Choose) -> Chosen:
        """A user's own strategy: names go by their last letter; in rough seeds it fails now and then, or lies."""
        if not self.gentle and self.chance.random() < 0.1:
            nodes: tuple[str, ...] = self.chance.choice([(), ("n99",), ("",)])
            return Chosen(question.request, nodes, "" if nodes else "planned")
        count = len(question.candidates)
        found = (question.candidates[ord(name[-1]) % count].node for name in question.names)
        return Chosen(question.request, tuple(found))

    def stepped(self, host: Host, effects: list[Effect]) -> None:
        """Whatever starts may start there."""
        for effect in effects:
            if isinstance(effect, StartWorker):
                self._judge(host, effect)

    def _judge(self, host: Host, effect: StartWorker) -> None:
        record, definition = host.node.member.record, host.node.definitions.get(effect.sworm)
        hosted = effect.sworm in record.sworms or "*" in record.sworms
        if not hosted or (definition and not eligible(of_definition(definition.constraints), record.labels)):
            raise broken("only-eligible", f"{effect.name} starts as {effect.pid} on a node with {record.labels}")

    def healed(self) -> None:
        """Everything is in place, and stays there."""
        self._counts_are_kept()
        if self.run.settings.definition.redistribution == ACTIVE:
            self._redistribution_ends()

    def _redistribution_ends(self) -> None:
        doing = [host for host in self.run.world.live() if host.node.redistribution.is_ours()]
        for host in doing:
            redistribution, choosing = host.node.redistribution, host.node.choosing
            begun = redistribution.asked
            self.run.world.run(5.0)
            if redistribution.asked != begun or redistribution.todo or redistribution.moving:
                raise broken("redistribution-ends", f"{host.origin} still moves {redistribution.todo}")
            strategy = self.run.settings.definition.distribution_strategy
            candidates = choosing.candidates(SWORM)
            for name, found in host.node.member.replica(SWORM).index.items():
                left = redistribution.is_left(SWORM, name) or found.entry.spec is None or found.entry.state != RUNNING
                later = found.entry.epoch / 1e6 > redistribution.begun_at - 5.0  # people may have moved it since
                if strategy not in (UNIFORM, UNIFORM_RANDOM) or left or later or not candidates:
                    continue
                wanted = wish(strategy, name, found.entry.claim, candidates)
                if node_of(found.origin) != wanted:
                    raise broken("redistribution-ends", f"{name} stays at {found.pid}; {strategy} wants it at {wanted}")

    def _counts_are_kept(self) -> None:
        """Counts are kept while entries come and go; a recount finds the same. Nothing is on its way any more."""
        for host in self.run.world.live():
            counted: Counter[Origin] = Counter()
            for sworm, replica in host.node.replicas.items():
                entries = replica.entries() if sworm != DIRECTORY else ()
                counted.update(o for o, key, entry in entries if isinstance(key, str) and entry.spec is not None)
            kept = host.node.member.repair.processes
            if kept != counted:
                raise broken("counts-are-kept", f"{host.origin} counts {kept}, its copies hold {dict(counted)}")
            if host.node.choosing.coming:
                raise broken("counts-are-kept", f"{host.origin} waits for {host.node.choosing.coming}")


FEATURE = Placing
