"""Names are registered and unregistered: singly, in races, again with the same claim, and by pids of the past."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from supervisor.core.events import Reply
from supervisor.simulation.feature import SWORM, Action, Feature, Settings

if TYPE_CHECKING:
    from supervisor.simulation.run import Run


class Registering(Feature):
    """The verbs that begin and end a name."""

    name = "registering"
    weights = (1, 1, 2)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.past: list[tuple[str, str]] = []  #: (name, pid) that somebody was once told

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """How many names there are."""
        settings.names = [f"name{number}" for number in range(chance.randint(3, 25))]

    def actions(self) -> list[Action]:
        """Register often, unregister seldom."""
        return [
            Action(self.register, 6),
            Action(self.race, 1),
            Action(self.repeat, 2),
            Action(self.unregister, 1),
            Action(self.unregister_past, 1),
        ]

    def register(self) -> None:
        """Register one name at one host."""
        name = self.run.any_name()
        self.run.expect(self.run.ask("register", name), lambda reply: self.registered(name, reply))

    def race(self) -> None:
        """Several hosts register one name at once."""
        name = self.run.any_name()
        for _ in range(self.run.random.randint(2, 4)):
            self.run.expect(self.run.ask("register", name), lambda reply: self.registered(name, reply))

    def repeat(self) -> None:
        """A claim that is asked for again, perhaps of another host, as a command is that was not answered in time."""
        run, name = self.run, self.run.any_name()
        run.requests += 1
        claim = f"again{run.requests}"

        def ask() -> None:
            run.expect(run.ask("register", name, claim=claim), lambda reply: self.registered(name, reply))

        ask()
        for _ in range(run.random.randint(1, 3)):
            run.world.at(run.random.choice([0.0, 0.01, 0.3, 1.0, 3.0]), ask)

    def registered(self, name: str, reply: Reply) -> None:
        """The answer to a registration."""
        if reply.result in ("started", "already_started"):
            self.run.ledger.acknowledge((SWORM, name))
            self.past.append((name, reply.pid))

    def unregister(self) -> None:
        """End a name."""
        name = self.run.any_name()
        self.run.ledger.doubt((SWORM, name))
        self.run.ask("unregister", name)

    def unregister_past(self) -> None:
        """End the incarnation that somebody was told of some time ago; no other one may end by that."""
        if not self.past:
            return
        name, pid = self.run.random.choice(self.past)
        if self.run.runs((SWORM, name), pid) or self._newest(name) == pid:
            self.run.ledger.doubt((SWORM, name))
        self.run.ask("unregister", name, pid=pid)

    def _newest(self, name: str) -> str:
        """The last incarnation of a name that any node knows, whether it runs, has stopped or departed."""
        replicas = [host.node.replicas.get(SWORM) for host in self.run.world.live()]
        claims = [claim for replica in replicas if replica for claim in replica.claims(name)]
        return max(claims, key=lambda claim: claim.entry.epoch).pid if claims else ""


FEATURE = Registering
