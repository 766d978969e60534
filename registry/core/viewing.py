"""The view that a member is in: adopted, reported, and agreed upon.

Law: a view is reported in the own directory map when it is adopted, together with what the copies held at that moment.
It is *ready* once everybody in it reported that same view and the own copies hold what they reported; until then
nothing is decided about names. What was reported of an incarnation that is over, here and for the reporter, need not be
reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from registry.core.directory import AGREEING, VIEW, NodeRecord, ViewRecord
from registry.core.ids import Origin
from registry.core.membership import EMPTY_VIEW, Directory, View, has_ended
from registry.core.messages import DIRECTORY
from registry.core.names import Key
from registry.core.quorum import Roster
from registry.core.repair import Replicator


class Viewer(Protocol):
    """What a view reads of its member, and what it tells it."""

    origin: Origin
    repair: Replicator

    @property
    def directory(self) -> Directory:
        """The copies of the directory."""
        ...

    @property
    def record(self) -> NodeRecord:
        """What the member says of itself."""
        ...

    def is_over(self, origin: Origin) -> bool:
        """Whether this incarnation was ended here for good."""
        ...

    def write(self, sworm: str, changes: Mapping[Key, Any]) -> int:
        """Write into the own map."""
        ...


class Viewing:
    """One member's view, and how far the others share it."""

    def __init__(self, member: Viewer) -> None:
        self._member = member
        self.view: View = EMPTY_VIEW
        self.ready = False  #: everybody in the view reported it, and the copies here hold what they reported
        self._held: dict[Origin, ViewRecord] = {}  #: reports whose versions were reached here: copies only grow

    def adopt(self, view: View) -> bool:
        """Go over to another view; False when it is the same. To be reported then."""
        if view.id == self.view.id:
            return False
        self.view, self.ready = view, False
        self._held.clear()
        return True

    def report(self, rosters: tuple[Roster, ...]) -> None:
        """Say which view this is, what is held now, and these rosters; a node that is in no view says nothing."""
        if self._member.record.status in AGREEING:
            report = ViewRecord(self.view.id, self._member.repair.vector(), plain(rosters))
            self._member.write(DIRECTORY, {VIEW: report})

    def report_rosters(self, rosters: tuple[Roster, ...]) -> None:
        """Say other rosters; what was held when the view was adopted stays as it was reported."""
        report = self._member.directory[self._member.origin].entries[VIEW]
        self._member.write(DIRECTORY, {VIEW: report._replace(rosters=plain(rosters))})

    def check(self) -> None:
        """See whether it is ready."""
        own, agreeing = self._member.origin, self.view.agreeing
        self.ready = own in agreeing and all(self._reported(origin) for origin in agreeing if origin != own)

    def _reported(self, origin: Origin) -> bool:
        report = self._report_of(origin)
        if report is None or report.view != self.view.id:
            return False
        if self._held.get(origin) is not report:
            if not self.holds(report.vector, origin):
                return False
            self._held[origin] = report
        return True

    def echoes(self, peer: Origin) -> bool:
        """Whether a peer's heartbeats are echoed, which is a vote for it: it is in the view, and reported that view."""
        report = self._report_of(peer)
        agrees = peer in self.view.agreeing and self._member.record.status in AGREEING
        return agrees and report is not None and report.view == self.view.id

    def _report_of(self, origin: Origin) -> ViewRecord | None:
        copy = self._member.directory.get(origin)
        return copy.entries.get(VIEW) if copy else None

    def holds(self, vector: Mapping[str, Mapping[Origin, int]], reporter: Origin) -> bool:
        """Whether the copies here are at least as far as somebody reported."""
        member = self._member
        return all(
            version <= member.repair.replica(sworm).version(origin)
            or origin == member.origin
            or self.spares(origin, reporter)
            for sworm, versions in vector.items()
            for origin, version in versions.items()
        )

    def spares(self, origin: Origin, reporter: Origin) -> bool:
        """Whether a reported version need not be reached: that incarnation is over.

        Either for good, or both here and for the reporter, which held that version, needed nothing of it any more when
        it ended it, and may have dropped it since.
        """
        member = self._member
        if member.is_over(origin):
            return True
        return has_ended(member.directory, member.origin, origin) and has_ended(member.directory, reporter, origin)


def plain(rosters: tuple[Roster, ...]) -> tuple[tuple[int, tuple[Origin, ...]], ...]:
    """Rosters as they stand in a map: entries of equal content must be equal, and look equal, on every node."""
    return tuple((roster.number, roster.hosts) for roster in rosters)
