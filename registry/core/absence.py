"""What a node does that was away: it hears what happened before it lets anybody be answered.

Law: a node whose own timer ran late by half the time of silence knows nothing of the meantime; others may have declared
it dead and restarted its processes. It holds its calls until one round is over: each other member of its view that is
not dead here has answered a question asked since, and what it then held is held here too. The round ends after that
time of silence in any case: who hears nobody at all goes on as after any split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from registry.core.ids import Origin
from registry.core.messages import Versions

Held = Mapping[str, Versions]


class Absence:
    """The round after one absence at a time."""

    def __init__(self) -> None:
        self.number = 0  #: of the round under way, or the last one
        self.until = 0.0  #: 0: none is under way
        self._missing: set[Origin] = set()
        self._told: dict[Origin, Held] = {}

    @property
    def is_over(self) -> bool:
        """Whether no round is under way."""
        return not self.until

    def begin(self, members: Iterable[Origin], until: float) -> int:
        """A round with these members; returns its number."""
        self.number += 1
        self._missing, self._told = set(members), {}
        self.until = until if self._missing else 0.0
        return self.number

    def answered(self, peer: Origin, number: int, held: Held) -> None:
        """A member has answered."""
        if number == self.number and peer in self._missing:
            self._told[peer] = held

    def look(self, now: float, departed: Callable[[Origin], bool], holds: Callable[[Held, Origin], bool]) -> bool:
        """True once, when the round has ended."""
        if self.is_over:
            return False
        done = {
            peer for peer in self._missing if departed(peer) or (peer in self._told and holds(self._told[peer], peer))
        }
        self._missing -= done
        if self._missing and now < self.until:
            return False
        self.until = 0.0
        return True
