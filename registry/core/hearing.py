"""Whom one member hears, whom it calls silent, and whom dead.

Law: what is believed of another stands in the own directory map (`suspect`, `dead`), so that every belief replicates
like any other entry. Silence makes a node suspect here; only when nobody in reach reaches it, for the suspicion time,
or somebody in reach holds it dead, is it dead. A node that says a higher refutation number is alive after all. Nothing
is concluded from what a departed node believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Protocol

from registry.core.detours import Detours
from registry.core.directory import DEAD, LEFT, SUSPECT, NodeRecord
from registry.core.events import Connect, Disconnect, Report
from registry.core.ids import Origin, node_of
from registry.core.membership import Directory, Timing, has_ended, opinion, reachable, record_of, relays
from registry.core.messages import DIRECTORY
from registry.core.names import Key
from registry.core.repair import Replicator


class Listener(Protocol):
    """What hearing reads of its member, and what it tells it."""

    origin: Origin
    timing: Timing
    repair: Replicator
    detours: Detours
    out: list[Any]

    @property
    def directory(self) -> Directory:
        """The copies of the directory."""
        ...

    @property
    def record(self) -> NodeRecord:
        """What the member says of itself."""
        ...

    def write(self, sworm: str, changes: Mapping[Key, Any]) -> int:
        """Write into the own map."""
        ...


class Hearing:
    """One member's judgement of the others."""

    def __init__(self, member: Listener) -> None:
        self._member = member
        self.reached: set[Origin] = set()  #: heard, or heard by somebody who is
        self.outside: dict[Origin, float] = {}  #: since when nobody in reach reaches it
        self._refused: set[Origin] = set()
        self._dialled: dict[Origin, float] = {}
        self._learned: dict[Origin, float] = {}

    # ---------------------------------------------------------------------------------------------------- what happens

    def linked(self, origin: Origin) -> None:
        """A link stands."""
        self._refused.discard(origin)

    def refused(self, origin: Origin) -> None:
        """Nobody is there, or wants no link: no news can be waited for."""
        self._refused.add(origin)

    def met(self, origin: Origin, now: float) -> None:
        """There is a peer, by a link or by a relay."""
        self._learned.setdefault(origin, now)

    def forget(self, origin: Origin) -> None:
        """An incarnation is over for good."""
        for memory in (self.outside, self._learned, self._dialled):
            memory.pop(origin, None)
        self._refused.discard(origin)

    # --------------------------------------------------------------------------------------------------------- reading

    def is_heard(self, origin: Origin, now: float) -> bool:
        """Whether a peer is heard, or may be heard soon."""
        peer = self._member.repair.peers.get(origin)
        if peer is None:
            return origin not in self._refused and now - self._learned.setdefault(origin, now) < self._timing.connect
        return now - peer.heard < self._timing.timeout

    def hears(self, origin: Origin, now: float) -> bool:
        """The same, and it does not say that this node is out of its reach."""
        if not self.is_heard(origin, now):
            return False
        directory, own = self._member.directory, self._member.origin
        linked = origin in self._member.repair.peers
        return not (linked and (opinion(directory, origin, SUSPECT, own) or opinion(directory, origin, DEAD, own)))

    def holds_dead(self, origin: Origin) -> bool:
        """Whether this member holds it dead."""
        return opinion(self._member.directory, self._member.origin, DEAD, origin)

    def told_over(self, origin: Origin) -> bool:
        """Whether somebody in reach ended this incarnation: its last words may have reached only them."""
        return any(has_ended(self._member.directory, judge, origin) for judge in self.reached)

    def _told_dead(self, origin: Origin) -> bool:
        directory = self._member.directory
        judges = [judge for judge in self.reached if relays(directory, judge)]
        return self.told_over(origin) or any(opinion(directory, judge, DEAD, origin) for judge in judges)

    @property
    def _timing(self) -> Timing:
        return self._member.timing

    # --------------------------------------------------------------------------------------------------------- judging

    def look(self, there: set[Origin], now: float) -> None:
        """Find out anew who of these is in reach."""
        member = self._member
        self.reached = reachable(member.directory, member.origin, there, lambda origin: self.hears(origin, now))

    def judge(self, origin: Origin, now: float) -> float:
        """Dial one that is not linked, and write what is believed of it; returns when to judge it again at the latest.

        To be asked after `look`.
        """
        record = record_of(self._member.directory, origin)
        assert record is not None
        peer = self._member.repair.peers.get(origin)
        linked = peer is not None and not peer.relay
        if not linked:
            self._dial(origin, record, now)
        changes = self._member.detours.opinion(origin)
        changes.update(self._suspicion(origin, record, now))
        changes.update(self._verdict(origin, record, linked, now))
        if changes:
            self._member.write(DIRECTORY, changes)
        waits = origin in self.outside and not self.holds_dead(origin)
        return self.outside[origin] + self._timing.suspicion if waits else inf

    def _dial(self, origin: Origin, record: NodeRecord, now: float) -> None:
        if record.url and now - self._dialled.get(origin, -1e9) >= self._timing.redial:
            self._dialled[origin] = now
            self._member.out.append(Connect(origin, record.url))

    def _suspicion(self, origin: Origin, record: NodeRecord, now: float) -> dict[Key, Any]:
        own = self._member.directory[self._member.origin].entries
        if self.is_heard(origin, now):
            return {(SUSPECT, origin): None} if (SUSPECT, origin) in own else {}
        if own.get((SUSPECT, origin)) == record.refutation:
            return {}
        if self._member.record.status != LEFT:  # a node that left closes its own links; that is no news of the others
            self._tell("suspect", origin, f"{origin} is silent")
        return {(SUSPECT, origin): record.refutation}

    def _verdict(self, origin: Origin, record: NodeRecord, linked: bool, now: float) -> dict[Key, Any]:
        changes: dict[Key, Any] = {}
        own = self._member.directory[self._member.origin].entries
        if (DEAD, origin) in own and not self.holds_dead(origin):
            changes[(DEAD, origin)] = None  # refuted
            self._tell("refuted", origin, f"{origin} is alive after all")
        if origin in self.reached:
            self.outside.pop(origin, None)
        elif not self.holds_dead(origin):
            since = self.outside.setdefault(origin, now)
            if now >= since + self._timing.suspicion or self._told_dead(origin):
                changes[(DEAD, origin)] = record.refutation
                self._tell("dead", origin, f"nobody in reach reaches {origin}")
                if linked:
                    self._member.out.append(Disconnect(origin, "silent for too long"))
        return changes

    def _tell(self, kind: str, origin: Origin, detail: str) -> None:
        self._member.out.append(Report(kind, pid=origin, node=node_of(origin), detail=detail))
