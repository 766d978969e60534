"""Whether a departed incarnation may be forgotten.

Law: pure functions of the copies held. What only a departed origin says and what still counts keeps it: an entry that
nobody has restored, a "gone" that guards against another's entry, the newest revision of a definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.core.directory import DEFINITION
from registry.core.ids import Origin
from registry.core.messages import DIRECTORY
from registry.core.names import GONE, MOVED, Key
from registry.core.replica import Replica


def is_needed(replicas: Mapping[str, Replica], origin: Origin) -> bool:
    """Whether something that only this departed origin says still counts."""
    for sworm, replica in replicas.items():
        copy = replica.copies.get(origin)
        if copy is None:
            continue
        if sworm == DIRECTORY:
            if any(_definition_needed(replica, origin, key, value) for key, value in copy.entries.items()):
                return True
        elif replica.orphans(origin) or any(
            _gone_needed(replica, origin, key) or _opened(replica, origin, key, value)
            for key, value in copy.entries.items()
        ):
            return True
    return False


def _opened(replica: Replica, origin: Origin, key: Key, value: Any) -> bool:
    """Whether a departed target had opened a move whose source still shows it: once the entry of that is gone, this
    one is work for the arbiter.
    """
    best = replica.index.get(key) if isinstance(key, str) else None
    if best is None or best.entry.state != MOVED or best.entry.to != origin:
        return False
    return bool(value.epoch > best.entry.epoch)


def _definition_needed(directory: Replica, origin: Origin, key: Key, value: Any) -> bool:
    if key[0] != DEFINITION:
        return False
    others = [copy.entries.get(key) for other, copy in directory.copies.items() if other != origin]
    return not any(other is not None and other[1] >= value[1] for other in others)


def _gone_needed(replica: Replica, origin: Origin, key: Key) -> bool:
    if isinstance(key, str) or key[0] != GONE:
        return False
    epoch = replica.copies[origin].entries[key]
    return any(claim.entry.epoch <= epoch for claim in replica.claims(key[1]) if claim.origin != origin)
