"""Further names and groups: given, taken, joined and left, by pids and names that may be out of date.

Where nothing fails, a further name that was given and never taken stands for as long as its process; in rough seeds it
may go with a process that loses a conflict.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from supervisor.core.events import Reply
from supervisor.simulation.agreement import check_ties
from supervisor.simulation.feature import SWORM, Action, Feature, Settings
from supervisor.simulation.oracles import broken

if TYPE_CHECKING:
    from supervisor.simulation.run import Run


class Ties(Feature):
    """The verbs about further names and groups."""

    name = "ties"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.further: list[str] = []
        self.given: dict[str, str] = {}  #: further name -> own name of its process, as somebody was told
        self.taken: Counter[str] = Counter()  #: how often somebody asked for a further name's end
        self.ends: Counter[str] = Counter()  #: how many of these wishes are over

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
        known = run.any_name() if host else ""
        located = host.node.lookup(SWORM, known) if host else None
        if located is None:
            return
        name = run.random.choice(self.further) if run.random.random() < 0.9 else run.any_name()
        if name not in self.further:
            run.ledger.doubt((SWORM, name))  # a further name has no spec: it may end with its process
        own, taken = located.entry.of or known, self.taken[name]
        quiet = taken == self.ends[name]
        run.expect(
            run.ask("register", name, pid=located.pid), lambda reply: self._named(name, own, taken, quiet, reply)
        )

    def _named(self, name: str, own: str, taken: int, quiet: bool, reply: Reply) -> None:
        others_use_it = name not in self.further  # and may have it unregistered
        if reply.result == "started" and quiet and self.taken[name] == taken and not others_use_it:
            self.given[name] = own

    def unname(self) -> None:
        """Take a further name away."""
        name = self.run.random.choice(self.further)
        self.taken[name] += 1
        self.given.pop(name, None)
        self.run.expect(self.run.ask("unregister", name), lambda reply: self._unnamed(name, reply))

    def _unnamed(self, name: str, reply: Reply) -> None:
        self.ends[name] += reply.result in ("done", "not_registered")

    def join(self) -> None:
        """A process joins a group, by its name or by a further one."""
        name = self.run.random.choice([*self.run.settings.names, *self.further])
        self.run.ask("join", name, group=self.run.random.choice(["odd", "even"]))

    def leave(self) -> None:
        """A process leaves a group."""
        self.run.ask("leave", self.run.any_name(), group=self.run.random.choice(["odd", "even"]))

    def healed(self) -> None:
        """Ties stand with their process and nowhere else, and none has vanished."""
        world, doubtful = self.run.world, self.run.ledger.doubtful
        check_ties(world)
        for name, own in self.given.items() if self.run.settings.gentle else ():
            node = world.live()[0].node
            located = node.lookup(SWORM, name)
            if (SWORM, own) in doubtful or node.lookup(SWORM, own) is None:
                continue  # while a process waits for a node that may run it, its further names do
            if located is None or located.entry.of != own:
                raise broken("ties-follow", f"{name} was given to {own} and is {located and located.pid}")


FEATURE = Ties
