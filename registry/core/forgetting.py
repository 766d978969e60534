"""When a departed incarnation is over for good.

Law: it left, or was followed by a newer one, or its time to refute has passed, or somebody in reach ended it; and
nothing that only it says counts any more (`ending`). Then this member marks it as ended in its own map; once all in the
view, and those that are joining, have marked it, nobody can bring it back and every copy of it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from registry.core.directory import ENDED, JOINING, LEFT
from registry.core.ending import is_needed
from registry.core.hearing import Hearing
from registry.core.ids import Origin, incarnation_of, node_of
from registry.core.membership import Directory, View, ended_of, has_ended, record_of, with_ended
from registry.core.messages import DIRECTORY
from registry.core.names import Key
from registry.core.repair import Replicator
from registry.core.replica import Replica


class Rememberer(Protocol):
    """What forgetting reads of its member, and what it tells it."""

    origin: Origin
    dead: set[Origin]
    replicas: dict[str, Replica]
    repair: Replicator
    hearing: Hearing

    @property
    def directory(self) -> Directory:
        """The copies of the directory."""
        ...

    @property
    def view(self) -> View:
        """The members that agree on who is there."""
        ...

    @property
    def hears_enough(self) -> bool:
        """Whether this member has heard the others, and can know what nobody needs any more."""
        ...

    def write(self, sworm: str, changes: Mapping[Key, Any]) -> int:
        """Write into the own map."""
        ...


class Forgetting:
    """One member's end of departed incarnations."""

    def __init__(self, member: Rememberer, time_to_refute: float) -> None:
        """`time_to_refute`: seconds until one that is dead is over."""
        self._member = member
        self._time_to_refute = time_to_refute

    def look(self, superseded: set[Origin], now: float) -> Iterator[Origin]:
        """Mark what has ended; each that everybody has marked is to be dropped before the next is asked for."""
        member = self._member
        if not member.hears_enough:
            return
        for origin in sorted(member.dead - {member.origin}):
            if not self._may_end(origin, superseded, now):
                continue
            if is_needed(member.replicas, origin) or not member.repair.is_newest(origin):
                continue
            if not has_ended(member.directory, member.origin, origin):
                self._mark(origin)
            if all(has_ended(member.directory, judge, origin) for judge in member.view.agreeing | self._joining()):
                yield origin

    def _may_end(self, origin: Origin, superseded: set[Origin], now: float) -> bool:
        member = self._member
        record = record_of(member.directory, origin)
        expired = now - member.hearing.outside.get(origin, now) > self._time_to_refute
        left = record is not None and record.status == LEFT
        return origin in superseded or expired or left or member.hearing.told_over(origin)

    def _mark(self, origin: Origin) -> None:
        member, node = self._member, node_of(origin)
        mark = with_ended(ended_of(member.directory, member.origin, node), incarnation_of(origin))
        member.write(DIRECTORY, {(ENDED, node): mark})

    def _joining(self) -> set[Origin]:
        """Those that may hold, or yet get, what nobody in the view has: they have a say in what is over."""
        directory = self._member.directory
        records = {origin: record_of(directory, origin) for origin in directory.keys() - self._member.dead}
        return {origin for origin, record in records.items() if record and record.status == JOINING}
