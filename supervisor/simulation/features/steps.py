"""Faults aimed at the steps of a move: whoever sends or gets a frame of it, or a third node, dies, freezes, is cut off.

Law: which step, which fault and whom is drawn before the run from a stream of its own; the fault strikes at the very
step that sent the frame.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from registry.core import messages
from registry.core.events import Send
from registry.core.ids import Origin
from supervisor.core.events import Effect
from supervisor.simulation.feature import Feature, Settings

if TYPE_CHECKING:
    from supervisor.simulation.run import Run
    from supervisor.simulation.world import Host

STEPS = (
    messages.Order, messages.Prepare, messages.Prepared, messages.Commit, messages.Opened, messages.Abort,
    messages.OrderDone, messages.Seek, messages.Held, messages.Fetch, messages.Piece, messages.Keep,
)  # fmt: skip
FAULTS = ("crash", "pause", "cut")
VICTIMS = ("sender", "receiver", "third")

#: Aimed faults in one run at most: with more there is nobody left to look at.
MOST = 3


class Steps(Feature):
    """Aims in one seed of two that are not gentle."""

    name = "steps"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.chance = random.Random(f"{run.seed}/aims")
        self.aims: list[tuple[type[object], str, str]] = []
        self.countdown = 0

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """What is aimed at."""
        if settings.gentle or chance.random() < 0.5:
            return
        count = chance.randint(1, MOST)
        self.aims = [(chance.choice(STEPS), chance.choice(FAULTS), chance.choice(VICTIMS)) for _ in range(count)]
        self._count_down()

    def _count_down(self) -> None:
        """So many frames of that kind pass before it strikes."""
        self.countdown = self.chance.choice([0, 0, 1, 3, 8])

    def stepped(self, host: Host, effects: list[Effect]) -> None:
        """Strike when a frame that is aimed at was sent."""
        if not self.aims or not self.run.troubled:
            return
        for effect in effects:
            if isinstance(effect, Send) and type(effect.message) is self.aims[-1][0]:
                self.countdown -= 1
                if self.countdown < 0:
                    _, fault, victim = self.aims.pop()
                    self._count_down()
                    self._strike(fault, self._victim(victim, host, effect.to))
                    return

    def _victim(self, victim: str, host: Host, to: Origin) -> Host | None:
        world = self.run.world
        others = [other for other in world.live() if other.origin not in (host.origin, to)]
        third = self.chance.choice(others) if others else None
        return {"sender": host, "receiver": world.hosts.get(to), "third": third}[victim]

    def _strike(self, fault: str, host: Host | None) -> None:
        world, timing = self.run.world, self.run.settings.timing
        if host is None or not host.up or host.paused or len(world.live()) < 2:
            return
        seconds = self.chance.choice([0.1, 2 * timing.timeout + timing.suspicion])
        if fault == "crash":
            self.run.crash(host)
        elif fault == "pause":
            world.pause(host, seconds)
        else:
            others = {other.name for other in world.live()} - {host.name}
            world.partition({host.name}, others)
            world.at(seconds, partial(self._mend, host.name, others))

    def _mend(self, name: str, others: set[str]) -> None:
        for other in others:
            self.run.world.cut -= {(name, other), (other, name)}


FEATURE = Steps
