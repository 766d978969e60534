"""What may come between a commit and its opening: the target dies, and nobody else takes the process, or somebody has
it by the time that its source is back.

Law: what strikes, and after how many commits, is drawn before the run from a stream of its own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from registry.core.directory import CORDONED
from registry.core.events import Send
from registry.core.messages import Commit
from supervisor.core.events import CordonAsked, Effect
from supervisor.simulation.feature import Feature, Settings

if TYPE_CHECKING:
    from supervisor.simulation.run import Run
    from supervisor.simulation.world import Host

#: Nobody takes it: all others are cordoned. Overtaken: the source is stopped until a majority has given its node up.
NOBODY, OVERTAKEN = "nobody", "overtaken"

#: Nodes that must be there.
LEAST = {NOBODY: 3, OVERTAKEN: 4}

#: Seconds for which the others take nothing.
CLOSED = 5.0


class Commits(Feature):
    """Strikes in one seed of two that are not gentle, twice at most."""

    name = "commits"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.plans: list[tuple[str, int]] = []  #: what strikes, and how many commits pass before it does

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """What strikes."""
        if not settings.gentle and chance.random() < 0.5:
            count = chance.randint(1, 2)
            self.plans = [(chance.choice([NOBODY, OVERTAKEN]), chance.choice([0, 0, 0, 1])) for _ in range(count)]

    def stepped(self, host: Host, effects: list[Effect]) -> None:
        """Strike when a commit was sent."""
        if not self.plans or not self.run.troubled:
            return
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, Commit) and has_state(host, effect.message):
                self._count(host, self.run.world.hosts.get(effect.to))
                return

    def _count(self, source: Host, target: Host | None) -> None:
        plan, left = self.plans[-1]
        live = len(self.run.world.live())
        if target is None or not target.up or live < LEAST[plan]:
            return
        if left:
            self.plans[-1] = plan, left - 1
            return
        self.plans.pop()
        self.run.crash(target)
        if plan == NOBODY:
            self._close(source)
        else:
            timing = self.run.settings.timing
            self.run.world.pause(source, timing.timeout + timing.suspicion + 1.0)
            self.run.world.at(1.0, lambda: self.run.start(target.name))

    def _close(self, source: Host) -> None:
        world = self.run.world
        for other in world.live():
            if other is not source and not other.paused:
                world.step(other, CordonAsked(True))
        world.at(CLOSED, self._open)

    def _open(self) -> None:
        for host in self.run.world.live():
            if host.node.member.record.status == CORDONED:
                self.run.world.step(host, CordonAsked(False))


def has_state(source: Host, commit: Commit) -> bool:
    """Whether there is something to lose."""
    process = source.node.context.hosted.get((commit.sworm, commit.name))
    worker = source.workers.all.get(process.serial) if process is not None else None
    return worker is not None and bool(worker.state)


FEATURE = Commits
