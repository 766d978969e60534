"""What else stands in the registry for one process than its own name: further names, and groups.

Law: pure values. A further name has no spec of its own and shares the pid of its process: in the process's own sworm
it follows it (restarts, moves, a new home); in another sworm it names this one incarnation and ends with it. A group
is joined by a pid, under one of its names in that sworm. Whoever writes a process writes its ties in the same change
set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.core.ids import Pid, is_pid, serial_of
from registry.core.names import GROUP, HANDING_OFF, MOVED, Further, Key, Registration

#: (sworm, name) or (sworm, group)
Slot = tuple[str, str]


@dataclass(slots=True)
class Ties:
    """The further names and groups of one process."""

    names: dict[Slot, Further] = field(default_factory=dict)
    groups: dict[Slot, str] = field(default_factory=dict)  #: (sworm, group) -> the name it is joined under

    def entries(self, sworm: str, name: str, pid: Pid, entry: Registration) -> dict[Key, Any]:
        """What a sworm's map says besides the entry of the process (`name` empty: it is of another sworm)."""
        if not name:  # a guest goes nowhere
            entry = entry._replace(to="", state=HANDING_OFF if entry.state == MOVED else entry.state)
        changes: dict[Key, Any] = {
            further: entry._replace(epoch=tie.epoch, claim=tie.claim, majority=tie.majority, spec=None, of=name)
            for (of, further), tie in self.names.items()
            if of == sworm
        }
        changes.update({(GROUP, group, pid): under for (of, group), under in self.groups.items() if of == sworm})
        return changes

    def group_keys(self, sworm: str, pid: Pid) -> dict[Key, Any]:
        """The change that takes a pid out of its groups of a sworm."""
        return {(GROUP, group, pid): None for of, group in self.groups if of == sworm}

    def names_in(self, sworm: str) -> list[str]:
        """The further names in a sworm."""
        return [name for of, name in self.names if of == sworm]

    def elsewhere(self, sworm: str) -> set[str]:
        """The other sworms that something stands in."""
        return {of for of, _ in (*self.names, *self.groups) if of != sworm}

    def forget(self, sworm: str) -> None:
        """Drop everything in a sworm."""
        for ties in (self.names, self.groups):
            for slot in [slot for slot in ties if slot[0] == sworm]:
                del ties[slot]

    def renewed(self, sworm: str, majority: int, epoch: Callable[[str], int]) -> Ties:
        """Those that go over to the next incarnation: what is of the process's own sworm, with new epochs, authorised
        as it is.
        """
        names = {
            slot: tie._replace(epoch=epoch(slot[1]), majority=majority)
            for slot, tie in self.names.items() if slot[0] == sworm
        }  # fmt: skip
        return Ties(names, {slot: name for slot, name in self.groups.items() if slot[0] == sworm})

    def travelling(self, sworm: str) -> tuple[tuple[Further, ...], tuple[str, ...]]:
        """Further names and groups as a handoff carries them."""
        further = tuple(tie for (of, _), tie in self.names.items() if of == sworm)
        return further, tuple(group for of, group in self.groups if of == sworm)


def arrived(sworm: str, name: str, further: Iterable[Further], groups: Iterable[str]) -> Ties | None:
    """The ties of a process that a handoff brought; None: it has none."""
    ties = Ties({(sworm, tie.name): tie for tie in further}, dict.fromkeys(((sworm, group) for group in groups), name))
    return ties if ties.names or ties.groups else None


def left_by(sworm: str, entries: Mapping[Key, Any]) -> dict[int, Ties]:
    """{serial: ties} of the processes in an origin's map of a sworm: what a departed node leaves with them."""
    found: dict[int, Ties] = {}
    for key, value in entries.items():
        if isinstance(key, str):
            if value.of:
                tie = Further(key, value.epoch, value.claim, value.majority)
                found.setdefault(value.serial, Ties()).names[sworm, key] = tie
        elif key[0] == GROUP and is_pid(key[2]):
            found.setdefault(serial_of(key[2]), Ties()).groups[sworm, key[1]] = value
    return found
