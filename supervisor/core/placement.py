"""Which node decides about a name, and where a process goes.

Law: pure functions of the name and the view, so that all who agree on the view agree here. Rendezvous hashing (Thaler
and Ravishankar, 1998): when a node leaves, only its own names change hands. The hash takes the node's name, not its
incarnation, so that a restarted node gets its old names back.
"""

from __future__ import annotations

from hashlib import blake2b

from registry.core.ids import Origin, node_of
from registry.core.membership import View, hosts_of

#: Arbiters remembered for one view; beyond it they are computed again.
MAX_CACHED = 50_000


class Placement:
    """Arbiters under one view; made anew when the view changes."""

    __slots__ = ("_arbiters", "_hosts", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self._hosts: dict[str, list[tuple[Origin, bytes]]] = {}
        self._arbiters: dict[tuple[str, str], Origin] = {}

    def hosts(self, sworm: str) -> list[tuple[Origin, bytes]]:
        """The origins that take processes of a sworm, each with its node's name as the hash wants it."""
        found = self._hosts.get(sworm)
        if found is None:
            found = [(origin, node_of(origin).encode() + b"\0") for origin in hosts_of(self.view, sworm)]
            self._hosts[sworm] = found
        return found

    def arbiter(self, sworm: str, name: str) -> Origin:
        """Who decides about a name; empty when no node of the view hosts the sworm."""
        key = (sworm, name)
        found = self._arbiters.get(key)
        if found is None:
            if len(self._arbiters) >= MAX_CACHED:
                self._arbiters.clear()
            order = self.order(sworm, name)
            found = self._arbiters[key] = order[0] if order else ""
        return found

    def order(self, sworm: str, name: str) -> list[Origin]:
        """All hosts of a sworm, the heaviest for this name first."""
        text = name.encode()
        weighed = [(blake2b(node + text, digest_size=8).digest(), origin) for origin, node in self.hosts(sworm)]
        weighed.sort(reverse=True)
        return [origin for _, origin in weighed]

    def target(self, sworm: str, name: str, to: str, source: Origin) -> Origin:
        """Where a move goes: the node named `to`, or the heaviest that is not the source; empty when there is none."""
        order = [origin for origin in self.order(sworm, name) if origin != source]
        if to:
            order = [origin for origin in order if node_of(origin) == to]
        return order[0] if order else ""
