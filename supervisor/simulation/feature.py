"""What a feature of the system brings to the simulator: settings, actions, and oracles of its own.

Law: a feature is one module in `features/` that names its class `FEATURE`; it is found there, and no list has to be
changed. Each seed gives each feature a weight, often none (after Groce and others, "Swarm Testing", 2012: runs that
leave features out meet deeper states of the rest). What a feature draws comes from streams of its own, so that a new
one changes only the seeds that use it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from registry.core.membership import PRESETS, Timing
from supervisor.core.spec import PERMANENT, Definition

if TYPE_CHECKING:
    from supervisor.core.events import Effect
    from supervisor.simulation.run import Run
    from supervisor.simulation.world import Host

#: The sworm in which everything happens.
SWORM = "rooms"

DEFINITION = Definition(SWORM, 1, handoff=True, max_restarts=1_000_000, restart=PERMANENT)


class Action(NamedTuple):
    """Something that may happen."""

    do: Callable[[], None]
    weight: int = 1
    rough: bool = False  #: a fault: not in gentle seeds


@dataclass(slots=True)
class Settings:
    """What a seed draws before it begins. Times in seconds."""

    gentle: bool = False  #: no faults at all
    nodes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    timing: Timing = PRESETS["lan"]
    skew: float = 0.0  #: each node's clock is wrong by at most this much
    loss: float = 0.0
    repeat: float = 0.0
    most_delay: float = 0.005
    labels: dict[str, dict[str, str]] = field(default_factory=dict)  #: of each node
    capacities: dict[str, float] = field(default_factory=dict)
    max_log: int = 20_000  #: log entries of one map
    pace: float = 0.08  #: mean time between two actions
    definition: Definition = DEFINITION


class Feature:
    """One feature in one run. Override what is needed."""

    name = ""
    #: Weights that a seed gives to its actions; every one equally likely.
    weights: tuple[int, ...] = (0, 1, 1, 2)

    def __init__(self, run: Run) -> None:
        self.run = run

    def draw(self, chance: random.Random, settings: Settings) -> None:
        """Draw its part of the settings, before the run begins."""

    def actions(self) -> list[Action]:
        """What may happen while there is trouble."""
        return []

    def stepped(self, host: Host, effects: list[Effect]) -> None:
        """Look at the effects of a step; raises `Violation`. Called only if overridden, and not without effects."""

    def looked(self, host: Host) -> None:
        """Look at a host after a step of its own, or before it goes on after a pause. Called only if overridden."""

    def mend(self) -> None:
        """The faults have ended: do what operators do then. Time may pass."""

    def healed(self) -> None:
        """Judge after the network has healed; raises `Violation`."""
