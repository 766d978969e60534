"""Where processes go: every strategy, demands on labels that some or no node meets, nodes of unequal capacity."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from registry.core.frozen import frozen
from registry.core.ids import Origin
from registry.core.messages import DIRECTORY
from supervisor.core.constraints import eligible, of_definition
from supervisor.core.events import Choose, Chosen, Effect, StartWorker
from supervisor.core.spec import STRATEGIES
from supervisor.simulation.feature import Action, Feature, Settings
from supervisor.simulation.oracles import broken
from supervisor.simulation.world import Host

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
            distribution_strategy=chance.choice([*STRATEGIES, OWN]), constraints=frozen(zone)
        )
        self.chance, self.gentle = chance, settings.gentle
        settings.labels = {name: {"zone": chance.choice("ab")} for name in settings.nodes}
        settings.capacities = {name: chance.choice([0.5, 1.0, 3.0]) for name in settings.nodes}

    def actions(self) -> list[Action]:
        """None; but here the world is there, and learns what the strategy says."""
        self.run.world.strategy = self.choose
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
