"""What a joining member has to have before it enters a view.

Law: it enters once it holds every copy that each peer it hears told it of at first, but for what that peer has dropped
since, which nobody can have from it. A peer that has not told yet is waited for as long as it is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from registry.core.ids import Origin
from registry.core.messages import Versions

#: Sworm -> the version of each origin's map.
Vector = Mapping[str, Versions]


class Entrance:
    """What each peer first told of, while it tells of it."""

    def __init__(self) -> None:
        self._needs: dict[Origin, dict[str, Versions]] = {}

    def told(self, peer: Origin, held: Vector) -> None:
        """A peer says what it holds."""
        first = self._needs.get(peer, held)
        self._needs[peer] = {
            sworm: {origin: version for origin, version in versions.items() if origin in held.get(sworm, {})}
            for sworm, versions in first.items()
        }

    def told_same(self, peer: Origin) -> None:
        """A peer holds what is held here."""
        self._needs[peer] = {}

    def gone(self, peer: Origin) -> None:
        """A peer is not reached any more, or over."""
        self._needs.pop(peer, None)

    def is_open(self, heard: Iterable[Origin], holds: Callable[[Vector, Origin], bool]) -> bool:
        """Whether everything is here that those who are heard told of."""
        return all(peer in self._needs and holds(self._needs[peer], peer) for peer in heard)
