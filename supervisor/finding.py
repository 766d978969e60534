"""Where a name is, for whoever has a message to it.

Law: reads this node's replicas and nothing else, and writes nothing; what it finds may be old by the time that a letter
gets there, which the letter then finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from registry.core.ids import Origin
from registry.core.names import FAILED, Located
from supervisor.errors import NotRegistered, WorkerCrashed

#: Sworm and name.
Key = tuple[str, str]


class Index(Protocol):
    """One sworm's registry, as `registry.core.replica.Replica` offers it."""

    @property
    def index(self) -> Mapping[str, Located]:
        """Name -> its best entry at a live origin."""
        ...

    @property
    def orphaned(self) -> AbstractSet[str]:
        """Names that only departed nodes claim; their arbiters will bring them back."""
        ...

    def claims(self, name: str) -> list[Located]:
        """Every entry of a name, at departed nodes too."""
        ...


class Registry(Protocol):
    """What the router reads, and never writes."""

    @property
    def replicas(self) -> Mapping[str, Index]:
        """Sworm -> its registry."""
        ...

    def call_url(self, origin: Origin) -> str:
        """Where a node takes calls; empty when it is not known."""
        ...


def find(registry: Registry, sworm: str, name: str) -> Located:
    """The process to send to; its origin is empty while the name waits for its node's successor.

    Raises `NotRegistered`, or `WorkerCrashed` for a process that has failed for good.
    """
    replica = registry.replicas.get(sworm)
    found = replica.index.get(name) if replica is not None else None
    if found is None and replica is not None and name in replica.orphaned:
        found = _departed(replica, name)
    if found is None:
        raise NotRegistered(f"no process {name!r} is registered in {sworm}")
    if found.entry.state == FAILED:
        raise WorkerCrashed(f"{name!r} has failed and is not restarted any more")
    return found


def locate(registry: Registry, key: Key) -> Located | None:
    """The best entry of a name at a live origin, in whatever state."""
    replica = registry.replicas.get(key[0])
    return replica.index.get(key[1]) if replica is not None else None


def _departed(replica: Index, name: str) -> Located | None:
    """Where a name was that its departed node still claims: with no origin, since nothing can be sent there."""
    claims = replica.claims(name)
    return max(claims, key=lambda claim: claim.entry.epoch)._replace(origin="") if claims else None
