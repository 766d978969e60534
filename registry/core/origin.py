"""A versioned map: what one origin says, and its log.

Law: a copy at version v is exactly the origin's map as it was at v. Only the origin makes versions (`write`); a copy
moves from one version to another by a delta that names every key changed in between, applied as a whole or not at all.
The log keeps for each key its newest change only; below its floor the whole map is sent instead.

A join of versioned single-writer maps, after Scuttlebutt reconciliation (van Renesse and others, 2008).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from registry.core.ids import Origin
from registry.core.messages import Delta
from registry.core.names import Key

#: What `write` and `apply` return: each changed key with its value before (None: there was none).
Changed = dict[Key, Any]

_MODULUS = 1 << 128

#: Log entries kept at most, whatever peers lack: a stuck peer must not hold memory.
MAX_LOG = 20_000


def entry_hash(key: Key, value: Any) -> int:
    """The hash of one entry; a map's digest is the sum of them, so that it can be kept up to date entry by entry."""
    return int.from_bytes(blake2b(repr((key, value)).encode(), digest_size=16).digest(), "big")


class VersionedMap:
    """One origin's map at one version: the origin's own, or a copy of it."""

    __slots__ = ("_dirty", "_hashes", "_sum", "entries", "floor", "log", "version")

    def __init__(self) -> None:
        self.version = 0
        self.entries: dict[Key, Any] = {}
        self.log: dict[Key, int] = {}  #: key -> version of its newest change, oldest first
        self.floor = 0  #: a delta can start here or above
        self._sum = 0
        self._hashes: dict[Key, int] = {}
        self._dirty: set[Key] = set()

    # ------------------------------------------------------------------------------------------------- at the origin

    def write(self, changes: Mapping[Key, Any]) -> Changed:
        """Apply one change set (None: the key goes) as one new version; one that changes nothing makes none."""
        entries = self.entries
        changed = {key: entries.get(key) for key, value in changes.items() if entries.get(key) != value}
        if changed:
            self.version += 1
            for key in changed:
                self._set(key, changes[key], self.version)
        return changed

    # -------------------------------------------------------------------------------------------------- at any holder

    def delta(self, sworm: str, origin: Origin, base: int) -> Delta:
        """What leads from `base` to this version; the whole map (base 0) when the log does not reach back so far."""
        entries = self.entries
        if base < self.floor or base == 0:
            return Delta(sworm, origin, 0, self.version, [[key, value] for key, value in entries.items()])
        changes: list[list[Any]] = []
        for key in reversed(self.log):
            if self.log[key] <= base:
                break
            changes.append([key, entries[key]] if key in entries else [key])
        changes.reverse()
        return Delta(sworm, origin, base, self.version, changes)

    def fits(self, delta: Delta) -> bool:
        """Whether a complete delta can be applied now."""
        return delta.base <= self.version < delta.version

    def apply(self, delta: Delta) -> Changed:
        """Move to the delta's version. The caller has asked `fits`, or replaces a copy it distrusts by a whole map."""
        if delta.base == 0:
            return self._replace(delta)
        changed: Changed = {}
        for change in delta.changes:
            key = change[0]
            value = change[1] if len(change) > 1 else None
            changed.setdefault(key, self.entries.get(key))
            self._set(key, value, delta.version)
        self.version = delta.version
        return changed

    def _replace(self, delta: Delta) -> Changed:
        fresh = {change[0]: change[1] for change in delta.changes if len(change) > 1}
        old = self.entries
        changed = {key: old.get(key) for key in fresh if old.get(key) != fresh[key]}
        changed.update((key, value) for key, value in old.items() if key not in fresh)
        self.entries = fresh
        self.log.clear()
        self.version = self.floor = delta.version
        self._hashes.clear()
        self._sum = 0
        self._dirty = set(fresh)
        return changed

    def _set(self, key: Key, value: Any, version: int) -> None:
        if value is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = value
        log = self.log
        log.pop(key, None)
        log[key] = version
        self._dirty.add(key)
        if len(log) > MAX_LOG:
            oldest = next(iter(log))
            self.floor = max(self.floor, log.pop(oldest))

    def prune(self) -> None:
        """Forget the log: everybody who matters has this version."""
        self.log.clear()
        self.floor = self.version

    def digest(self) -> bytes:
        """16 bytes over all entries: equal for equal maps, whatever way they came about."""
        hashes = self._hashes
        for key in self._dirty:
            self._sum -= hashes.pop(key, 0)
            if key in self.entries:
                hashes[key] = entry_hash(key, self.entries[key])
                self._sum += hashes[key]
        self._dirty.clear()
        self._sum %= _MODULUS
        return self._sum.to_bytes(16, "big")


def pieces(delta: Delta, size: int) -> list[Delta]:
    """Cut a delta into pieces of at most `size` changes; they are applied together or not at all."""
    changes = delta.changes
    if len(changes) <= size:
        return [delta]
    starts = range(0, len(changes), size)
    return [
        delta._replace(changes=changes[start : start + size], part=number, parts=len(starts))
        for number, start in enumerate(starts)
    ]
