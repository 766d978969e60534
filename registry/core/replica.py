"""One sworm's registry as one node holds it: a copy of every origin's map, and what is read from all of them together.

Law: entries are only ever added or removed by applying an origin's own versions; reading never changes a copy. A lookup
(`index`) sees the best-ranked entry among origins that are not `dead`; an entry at a dead origin is no answer, it is
work for the name's arbiter (`orphans`). Nothing is inferred to be removed: an entry is void only when a "gone up to
epoch" says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from registry.core.directory import VIEW
from registry.core.ids import Origin, Pid, origin_of_pid
from registry.core.messages import Delta, Versions
from registry.core.names import GONE, GROUP, Key, Located, Registration, located, rank
from registry.core.origin import Changed, VersionedMap

#: Names taken out whose epoch is remembered, so that the next incarnation gets a higher one though clocks differ.
MAX_RETIRED = 4_096

#: Deltas that came too early, kept for each origin at most.
MAX_HELD = 8


def _cut(delta: Delta) -> tuple[int, int, int]:
    return delta.base, delta.version, delta.parts


def _lists_process(entry: Registration | None) -> bool:
    return entry is not None and entry.spec is not None


class Replica:
    """The copies of one sworm (or of the directory) and the index over them."""

    __slots__ = (
        "changed", "contested", "copies", "dead", "gone", "groups", "held", "index", "joined", "moves", "news",
        "orphaned", "processes", "retired", "staged", "sworm", "touched",
    )  # fmt: skip

    def __init__(
        self, sworm: str, touched: list[Replica] | None = None, processes: dict[Origin, int] | None = None
    ) -> None:
        self.sworm = sworm
        #: Shared by a node's replicas: those with something `changed`.
        self.touched = [] if touched is None else touched
        #: Shared likewise: origin -> how many processes it lists, of all sworms; further names do not count.
        self.processes = {} if processes is None else processes
        self.copies: dict[Origin, VersionedMap] = {}
        self.moves = 0  #: grows whenever a copy moves or goes
        self.news = 0  #: the same, but for copies that only report another view
        self.index: dict[str, Located] = {}
        self.gone: dict[str, int] = {}  #: name -> the highest epoch that any origin declares void
        self.dead: set[Origin] = set()
        self.changed: set[str] = set()  #: names touched since somebody last took them
        self.contested: set[str] = set()  #: names with more than one claim, or with a void one
        self.groups: dict[str, dict[Pid, str]] = {}  #: group -> {pid: name}, departed members too
        self.joined: dict[Pid, set[str]] = {}  #: the same by pid
        self.orphaned: set[str] = set()  #: names that only departed origins claim: work for their arbiters
        self.retired: dict[str, int] = {}  #: name -> the highest epoch of it that was taken out, for a while
        self.held: dict[Origin, list[Delta]] = {}
        self.staged: dict[tuple[Origin, Origin], dict[int, Delta]] = {}  #: (sender, origin) -> pieces

    # ------------------------------------------------------------------------------------------------------ versions

    def copy(self, origin: Origin) -> VersionedMap:
        """The copy of one origin's map, made empty when there is none."""
        found = self.copies.get(origin)
        if found is None:
            found = self.copies[origin] = VersionedMap()
        return found

    def version(self, origin: Origin) -> int:
        """The version at which an origin's map is held; 0: not held."""
        found = self.copies.get(origin)
        return found.version if found else 0

    def versions(self) -> Versions:
        """{origin: version} of all copies."""
        return {origin: copy.version for origin, copy in self.copies.items() if copy.version}

    def digest(self, origin: Origin) -> bytes:
        """The digest of one copy, 16 bytes."""
        return self.copy(origin).digest()

    def entries(self) -> Iterator[tuple[Origin, Key, Any]]:
        """Every entry of every copy."""
        for origin, copy in self.copies.items():
            for key, value in copy.entries.items():
                yield origin, key, value

    # ------------------------------------------------------------------------------------------------------- changes

    def write(self, origin: Origin, changes: Mapping[Key, Any]) -> bool:
        """A change set of the own origin; False when it changed nothing."""
        changed = self.copy(origin).write(changes)
        self._reindex(origin, changed)
        return bool(changed)

    def receive(self, delta: Delta, sender: Origin = "", replace: bool = False) -> tuple[bool, bool]:
        """Take a delta (or a piece of one): (whether a copy moved, whether something is missing before it).

        `replace`: the own copy is distrusted, a whole map of the same version may replace it.
        """
        origin = delta.origin
        held = self.version(origin)
        useful = delta.version > held or (replace and delta.base == 0 and delta.version == held)
        whole = self._assemble(delta, sender) if useful else None
        if whole is None:
            return False, False
        if whole.base <= held:
            self._reindex(origin, self.copy(origin).apply(whole))
            self._apply_held(origin)
            self._unstage(lambda at, version: at[1] == origin and version <= self.version(origin))
            return True, False
        waiting = self.held.setdefault(origin, [])
        waiting.append(whole)
        del waiting[:-MAX_HELD]
        return False, True

    def _assemble(self, delta: Delta, sender: Origin) -> Delta | None:
        """The whole that a piece completes. Two senders cut one map differently: their pieces never mix."""
        if delta.parts <= 1:
            return delta
        at = (sender, delta.origin)
        parts = self.staged.setdefault(at, {})
        known = next(iter(parts.values()), delta)
        if _cut(known) != _cut(delta):
            if delta.version < known.version:
                return None
            parts.clear()  # a set that the next one of its sender overtakes will never be whole
        parts[delta.part] = delta
        if len(parts) < delta.parts:
            return None
        del self.staged[at]
        changes = [change for number in sorted(parts) for change in parts[number].changes]
        return delta._replace(changes=changes, part=0, parts=1)

    def _unstage(self, useless: Callable[[tuple[Origin, Origin], int], bool]) -> None:
        for at, parts in list(self.staged.items()):
            if useless(at, next(iter(parts.values())).version):
                del self.staged[at]

    def sender_left(self, sender: Origin) -> None:
        """The link to a sender is gone: what it had begun to send stays incomplete."""
        self._unstage(lambda at, _: at[0] == sender)

    def _apply_held(self, origin: Origin) -> None:
        waiting = self.held.pop(origin, None)
        if not waiting:
            return
        copy = self.copy(origin)
        for delta in sorted(waiting, key=lambda d: d.base):
            if copy.fits(delta):
                self._reindex(origin, copy.apply(delta))
        left = [delta for delta in waiting if delta.base > copy.version]
        if left:
            self.held[origin] = left

    def drop(self, origin: Origin) -> None:
        """Forget an origin whose incarnation is over and none of whose entries is needed."""
        copy = self.copies.pop(origin, None)
        self.held.pop(origin, None)
        self.dead.discard(origin)
        self._unstage(lambda at, _: at[1] == origin)
        if copy:
            self._reindex(origin, dict(copy.entries))

    def set_dead(self, origin: Origin, dead: bool) -> bool:
        """Take an origin's entries out of the lookups, or back in; False when that was so already."""
        if (origin in self.dead) == dead:
            return False
        (self.dead.add if dead else self.dead.discard)(origin)
        copy = self.copies.get(origin)
        for key in list(copy.entries) if copy else ():
            if isinstance(key, str):
                self._settle(key)
        return True

    # --------------------------------------------------------------------------------------------------------- index

    def _reindex(self, origin: Origin, changed: Changed) -> None:
        self.moves += 1
        self.news += any(key != VIEW for key in changed) or origin not in self.copies
        copy = self.copies.get(origin)
        entries = copy.entries if copy else {}
        for key, before in changed.items():
            if isinstance(key, str):
                entry = entries.get(key)
                by = _lists_process(entry) - _lists_process(before)
                if by:
                    self._count(origin, by)
                if before is not None and (entry is None or entry.epoch < before.epoch):
                    self._retire(key, before.epoch)
                self._point(origin, key, entry)
            elif key[0] == GONE:
                self._retire(key[1], before or 0)
                self._set_gone(key[1])
            elif key[0] == GROUP and origin_of_pid(key[2]) == origin:  # only the host of a process speaks for it
                self._set_member(key[1], key[2], entries.get(key))

    def _count(self, origin: Origin, by: int) -> None:
        count = self.processes.get(origin, 0) + by
        if count:
            self.processes[origin] = count
        else:
            del self.processes[origin]

    def _retire(self, name: str, epoch: int) -> None:
        self.retired[name] = max(epoch, self.retired.pop(name, 0))
        if len(self.retired) > MAX_RETIRED:
            del self.retired[next(iter(self.retired))]

    def _point(self, origin: Origin, name: str, entry: Registration | None) -> None:
        """The common case, one live claimant, without a look at the other copies."""
        now = self.index.get(name)
        alone = now.origin == origin if now else not self._claimed_by_dead(name)
        quiet = name not in self.gone and name not in self.contested
        if entry is not None and alone and quiet and origin not in self.dead:
            self.index[name] = located(origin, entry)
            self._touch(name)
        else:
            self._settle(name)

    def _claimed_by_dead(self, name: str) -> bool:
        return any(origin in self.copies and name in self.copies[origin].entries for origin in self.dead)

    def _set_gone(self, name: str) -> None:
        key = (GONE, name)
        epochs = [copy.entries[key] for copy in self.copies.values() if key in copy.entries]
        if epochs:
            self.gone[name] = max(epochs)
        else:
            self.gone.pop(name, None)
        self._settle(name)

    def _set_member(self, group: str, pid: Pid, name: str | None) -> None:
        members, joined = self.groups.setdefault(group, {}), self.joined.setdefault(pid, set())
        before = members.pop(pid, None)
        joined.discard(group)
        if name is not None:
            members[pid] = name
            joined.add(group)
        if not members:
            del self.groups[group]
        if not joined:
            del self.joined[pid]
        for touched in {before, name} - {None}:
            self._touch(touched)  # type: ignore[arg-type]

    def _settle(self, name: str) -> None:
        claims = self.claims(name)
        live = [claim for claim in claims if claim.origin not in self.dead]
        valid = [claim for claim in live if not self.is_void(name, claim.entry)]
        (self.contested.add if len(claims) > 1 or len(live) != len(valid) else self.contested.discard)(name)
        lost = not valid and any(c.origin in self.dead and not self.is_void(name, c.entry) for c in claims)
        (self.orphaned.add if lost else self.orphaned.discard)(name)
        if valid:
            self.index[name] = max(valid, key=lambda claim: rank(claim.origin, claim.entry))
        else:
            self.index.pop(name, None)
        self._touch(name)

    def _touch(self, name: str) -> None:
        if not self.changed:
            self.touched.append(self)
        self.changed.add(name)

    def members(self, group: str) -> list[tuple[str, Pid]]:
        """Name and pid of a group's members, by name: those incarnations that are where lookups find their names."""
        found = ((name, pid) for pid, name in self.groups.get(group, {}).items())
        return sorted((name, pid) for name, pid in found if name in self.index and self.index[name].pid == pid)

    def groups_of(self, pid: Pid) -> list[str]:
        """The groups that an incarnation has joined, by name."""
        return sorted(self.joined.get(pid, ()))

    def claims(self, name: str) -> list[Located]:
        """Every entry of a name, at whichever origin, dead ones too."""
        found = [(origin, copy.entries.get(name)) for origin, copy in self.copies.items()]
        return [located(origin, entry) for origin, entry in found if entry is not None]

    def is_void(self, name: str, entry: Registration) -> bool:
        """Whether a "gone up to epoch" covers this entry."""
        return entry.epoch <= self.gone.get(name, -1)

    def highest_epoch(self, name: str) -> int:
        """The highest epoch of a name known here, of whichever fate; 0: the name is new."""
        retired = self.retired.get(name, 0)
        now = self.index.get(name)
        if name not in self.contested:
            if now is not None:
                return max(retired, now.entry.epoch)
            if not self.dead:  # nobody claims it: a live claim would stand in the index, a void one would be contested
                return max(retired, self.gone.get(name, 0))
        return max([retired, self.gone.get(name, 0), *(claim.entry.epoch for claim in self.claims(name))])

    def orphans(self, origin: Origin) -> list[tuple[str, Registration]]:
        """The entries of a dead origin that no live entry and no "gone" supersedes: work for the arbiters."""
        copy = self.copies.get(origin)
        if copy is None or origin not in self.dead:
            return []
        found = ((name, copy.entries.get(name)) for name in sorted(self.orphaned))
        return [(name, entry) for name, entry in found if entry is not None and not self.is_void(name, entry)]
