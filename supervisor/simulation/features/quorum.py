"""A sworm under a quorum: splits and pauses longer than its leases, clocks that run as far apart as they may.

Law: every message that passes a gate is noted with its epoch, and after each step the gates of its host are looked at:
of a name at most one lets messages through, among hosts that the operating system lets run, and never one of a lower
epoch than before.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from supervisor.core.events import ForgetAsked
from supervisor.core.gate import OPEN
from supervisor.core.strategies import UNIFORM_QUORUM
from supervisor.simulation.feature import Action, Feature, Settings
from supervisor.simulation.oracles import broken

if TYPE_CHECKING:
    from supervisor.simulation.run import Run
    from supervisor.simulation.workers import Worker
    from supervisor.simulation.world import Host

#: Seconds after which every drain has ended, and after which a node that started is a member.
DRAINED, JOINED = 12.0, 8.0


class Quorum(Feature):
    """One seed in five has a sworm under a quorum."""

    name = "quorum"
    weights = (1,)
    chance: random.Random

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.is_on = self.is_split = False
        self.answered: Counter[tuple[str, str]] = Counter()  #: the highest epoch that let a message through
        #: Workers whose gates were seen open, by name and pid.
        self.opened: dict[tuple[str, str], dict[str, tuple[Host, Worker]]] = defaultdict(dict)

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """Whether it takes part."""
        self.chance = chance
        self.is_on = chance.random() < 0.2
        if self.is_on:
            settings.definition = settings.definition._replace(distribution_strategy=UNIFORM_QUORUM)

    def actions(self) -> list[Action]:
        """Splits are rare, and long."""
        if not self.is_on:
            return []
        self.run.world.member_options["quorum_hosts"] = len(self.run.settings.nodes)
        return [Action(self.split, 1, rough=True), Action(self.race, 1, rough=True)]

    def race(self) -> None:
        """Clocks are set apart, and run towards the time of day as fast as they may."""
        for host in self.run.world.live():
            self.run.world.set_clock(host, self.chance.uniform(-2.4, 2.4))

    def split(self) -> None:
        """With a majority at work, some hosts are cut off, or stopped, for longer than detection and leases take."""
        run, world = self.run, self.run.world
        if self.is_split:
            return
        self.is_split = True
        world.heal()
        self._mend()
        names = sorted(host.name for host in world.live())
        apart = set(self.chance.sample(names, self.chance.randint(1, max(1, len(names) // 2))))
        seconds = self.chance.uniform(3.0, 12.0)
        if self.chance.random() < 0.5:
            world.partition(apart, set(run.settings.nodes) - apart, both_ways=self.chance.random() < 0.7)
            if self.chance.random() < 0.5:  # links that are reset tell of it at once, silence does so late
                self._reset_links(apart)
        else:
            for host in [host for host in world.live() if host.name in apart]:
                world.pause(host, seconds)
        self._work(seconds)
        world.heal()
        self._work(2.0)

    def _work(self, seconds: float) -> None:
        world = self.run.world
        end = world.now + seconds
        while world.now < end:
            kind = self.chance.choice(["register", "increment", "move"])
            if kind == "increment":
                self._increment()
            else:
                self.run.ask(kind, self.run.any_name())
            world.run(self.chance.expovariate(1 / 0.08))

    def _increment(self) -> None:
        for feature in self.run.features:
            if feature.name == "counters":
                feature.increment()  # type: ignore[attr-defined]

    def _reset_links(self, apart: set[str]) -> None:
        world = self.run.world
        for host in [host for host in world.live() if host.name in apart]:
            for peer in sorted(host.links):
                if world.hosts[peer].name not in apart:
                    world.unlink(host, world.hosts[peer], "reset")

    def mend(self) -> None:
        """What operators do when hosts do not come back: others are started, and those given up."""
        if self.is_on:
            self.run.world.run(DRAINED)
            self._mend()

    def _mend(self) -> None:
        world = self.run.world
        for host in world.live():
            world.resume(host)
        for name in self.run.settings.nodes:
            self.run.start(name)
        world.run(JOINED)
        for host in world.live():
            for name in self.run.settings.nodes:
                world.step(host, ForgetAsked(name))
        world.run(JOINED)

    def looked(self, host: Host) -> None:
        """At most one gate of a name is open, in the order of epochs.

        A gate opens, and a lease grows, by a step of its own host only; whatever else happens can but shut it.
        """
        if not self.is_on or host.paused:  # nothing passes a gate of a process that the operating system has stopped
            return
        for worker in host.workers.all.values():
            if not worker.ended and worker.gate.state == OPEN:
                self._open(host, worker)

    def _open(self, host: Host, worker: Worker) -> None:
        effect = worker.effect
        slot = (effect.sworm, effect.name)
        known = self.opened[slot]
        known[effect.pid] = host, worker
        if len(known) > 1:
            for pid, (there, other) in list(known.items()):
                if other.ended or not there.up:
                    del known[pid]
                elif other is not worker and not there.paused and other.gate.state == OPEN:
                    raise broken("quorum-one-answers", f"{effect.name} is open at {effect.pid} and {pid}")
        if self.answered[slot] > effect.epoch:
            raise broken("quorum-one-answers", f"{effect.pid} of {effect.name} answers after a higher epoch")
        self.answered[slot] = effect.epoch


FEATURE = Quorum
