"""Who may become the writer: when a standby takes the term over.

Law: pure. A term is free when it was released, when its holder was an earlier incarnation of the asking node, or when
it is `PATIENCE` old and the asking one has watched it for as long without a break. Its age alone would not do: after an
outage of the database every term looks old, that of a living writer too.
"""

from __future__ import annotations

from registry.core.ids import incarnation_of, node_of
from registry.readmodel import Term

#: Seconds without a renewal after which a writer is given up. It renews each second.
PATIENCE = 3.0


class Succession:
    """One standby's memory of the term. `me` is its origin."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._watched: tuple[int, str] | None = None  #: number and holder
        self._since = 0.0

    def may_take(self, term: Term | None, now: float) -> bool:
        """Whether the term as it stands may be taken; `now` in seconds of a clock that never goes back."""
        if term is None or not term.holder or self._supersedes(term.holder):
            return True
        if self._watched != term[:2]:
            self._watched, self._since = term[:2], now
        return term.age >= PATIENCE and now - self._since >= PATIENCE

    def interrupted(self) -> None:
        """The database was out of reach: what was seen before proves nothing."""
        self._watched = None

    def _supersedes(self, holder: str) -> bool:
        return node_of(holder) == node_of(self._me) and incarnation_of(holder) < incarnation_of(self._me)
