"""Which node decides about a name, and which nodes may run it.

Law: pure functions of the name and the view, so that all who agree on the view agree here. Rendezvous hashing (Thaler
and Ravishankar, 1998): when a node leaves, only its own names change hands. The hash takes the node's name, not its
incarnation, so that a restarted node gets its old names back. Who decides does not depend on strategy or constraints:
nodes that do not know the same revision of a definition yet agree on the arbiter all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from registry.core.directory import NodeRecord
from registry.core.ids import Origin, node_of
from registry.core.membership import Directory, View, hosts_of, record_of
from supervisor.core.constraints import Constraints, eligible

#: Arbiters remembered for one view; beyond it they are computed again.
MAX_CACHED = 50_000


class Placement:
    """Arbiters and eligible nodes under one view; made anew when the view changes. A node's labels and capacity stay
    what they were at its start.
    """

    __slots__ = ("_arbiters", "_directory", "_eligible", "_hosts", "view")

    def __init__(self, view: View, directory: Directory | None = None) -> None:
        self.view = view
        self._directory: Directory = {} if directory is None else directory
        self._hosts: dict[str, list[tuple[Origin, bytes]]] = {}
        self._arbiters: dict[tuple[str, str], Origin] = {}
        self._eligible: dict[tuple[str, Constraints], list[Origin]] = {}

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

    def eligible(self, sworm: str, constraints: Constraints) -> list[Origin]:
        """The hosts of a sworm whose labels meet its constraints."""
        key = (sworm, constraints)
        found = self._eligible.get(key)
        if found is None:
            hosts = [origin for origin, _ in self.hosts(sworm)]
            found = self._eligible[key] = [o for o in hosts if not constraints or eligible(constraints, self.labels(o))]
        return found

    def labels(self, origin: Origin) -> dict[str, str]:
        """A node's labels; none while its record is not here."""
        record = self.record(origin)
        return record.labels if record else {}

    def capacity(self, origin: Origin) -> float:
        """A node's capacity; 1 while its record is not here."""
        record = self.record(origin)
        return record.capacity if record else 1.0

    def record(self, origin: Origin) -> NodeRecord | None:
        """What a node says of itself."""
        return record_of(self._directory, origin)


def named(origins: Iterable[Origin], node: str) -> Origin:
    """The origin of a node among some; empty when it is not there."""
    return next((origin for origin in origins if node_of(origin) == node), "")
