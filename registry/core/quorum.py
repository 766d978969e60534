"""Which side of a split may answer: rosters, votes and leases.

Law: a *roster* is the set of hosts that were agreed last; it shrinks when a host leaves or an operator forgets it,
never because one is silent; one whose hosts are out to the last, some given up by an operator, does not count. Every
vote is by incarnation. A side may answer while it holds a majority of *every* roster that may be in force, as a lease:
hosts echo each other's heartbeats, and a heartbeat echoed by a majority at the time t of its sender is a lease until
t + `lease` by the sender's own clock. Echoes go only to those that reported the echoer's view, and a lease grows only
while its holder is `ready` in one. Whoever decides in a view that misses hosts which did not leave waits until their
leases, all granted before everybody reported that view, have ended even on clocks that drift by `DRIFT`.

A roster is changed as in joint consensus (Ongaro, "Consensus: Bridging Theory and Practice", 2014, section 4.3): the
new one is added beside those in force, and replaces them once everybody in the view has added it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from registry.core.directory import AGREEING, FORGOTTEN, LEFT, VIEW
from registry.core.ids import Origin, incarnation_of, node_of
from registry.core.membership import EMPTY_VIEW, Directory, Timing, View, record_of

#: Leases are waited out for this much longer than they last: one clock may run at nine tenths of real time and another
#: at eleven (`registry.steady`), which makes 22 %.
DRIFT = 0.25

FOREVER = float("inf")


class Roster(NamedTuple):
    """The hosts that count, and how many rosters came before it."""

    number: int
    hosts: tuple[Origin, ...]


class Lease:
    """A right to answer until some time of the own clock. It only grows, and once it has lapsed it is over for good.

    Gates read it on another thread than the one that extends it: one attribute, written whole.
    """

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until

    def holds(self, now: float) -> bool:
        """Whether it still stands at this time of the own clock."""
        return now < self.until

    def end(self) -> None:
        """Over, whatever the clock says."""
        self.until = -FOREVER


#: For what may not answer at all.
NO_LEASE = Lease(-FOREVER)


class Voter(Protocol):
    """What the quorum reads of its member, and the one thing that it writes."""

    origin: Origin
    timing: Timing
    left: dict[str, int]

    @property
    def view(self) -> View:
        """The members that agree on who is there."""
        ...

    @property
    def ready(self) -> bool:
        """Whether all in the view have reported it."""
        ...

    @property
    def directory(self) -> Directory:
        """The copies of the directory."""
        ...

    @property
    def directory_moves(self) -> int:
        """Another number whenever something of the directory, or `left`, is not what it was."""
        ...

    def write_rosters(self, rosters: tuple[Roster, ...]) -> None:
        """Report these rosters beside the view."""


class _Seen:
    """What follows from the directory, the view and the own rosters: worked out once for as long as they stay."""

    __slots__ = ("agreed", "all", "forgotten", "majority", "missing", "moves", "out", "own", "seats", "view")

    def __init__(self, moves: int, view: View, own: tuple[Roster, ...]) -> None:
        self.moves, self.view, self.own = moves, view, own
        self.all: frozenset[Roster] | None = None
        self.forgotten: dict[str, int] | None = None  #: node -> the incarnation up to which somebody gave it up
        self.majority: bool | None = None
        self.missing: frozenset[Origin] | None = None
        self.agreed = False  #: there is no other roster to report
        self.out: dict[Origin, bool] = {}
        self.seats: dict[Roster, list[Origin]] = {}


class Quorum:
    """One member's rosters, votes and lease."""

    def __init__(self, voter: Voter, least: int = 1) -> None:
        """`least`: how many hosts there are to be; half of them is never a majority, whatever rosters say."""
        self.voter = voter
        self.least = least
        self.rosters: tuple[Roster, ...] = ()  #: in force, as far as this member knows
        self.lease = NO_LEASE
        self.lapsed = False  #: a lease ended and nobody has looked yet
        self._votes: dict[Origin, float] = {}  #: own time of the last heartbeat that a host echoed
        self._cleared: frozenset[Origin] = frozenset()  #: missing hosts whose leases were waited out
        self._clearing: frozenset[Origin] = frozenset()
        self._clear_at = FOREVER
        self._last = _Seen(-1, EMPTY_VIEW, ())

    # ------------------------------------------------------------------------------------------------------- reading

    @property
    def _seen(self) -> _Seen:
        last, voter = self._last, self.voter
        moves, view, own = voter.directory_moves, voter.view, self.rosters
        if last.moves != moves or last.view is not view or last.own is not own:
            last = self._last = _Seen(moves, view, own)
        return last

    def all_rosters(self) -> frozenset[Roster]:
        """Every roster that somebody in the view reports; the own ones first of all."""
        seen = self._seen
        if seen.all is None:
            seen.all = self._reported_rosters()
        return seen.all

    def _reported_rosters(self) -> frozenset[Roster]:
        found = set(self.rosters)
        for origin in self.voter.view.agreeing:
            copy = self.voter.directory.get(origin)
            report = copy.entries.get(VIEW) if copy else None
            if report is not None:
                found.update(Roster(*roster) for roster in report.rosters)
        return frozenset(found)

    def has_majority(self) -> bool:
        """Whether the view holds a majority of every roster in force."""
        seen = self._seen
        if seen.majority is None:
            seen.majority = self._holds_majority()
        return seen.majority

    def _holds_majority(self) -> bool:
        view = self.voter.view.agreeing
        return (
            self.voter.origin in view
            and 2 * len(view) > self.least
            and all(2 * len(view.intersection(seats)) > len(seats) for seats in map(self.seats, self._in_force()))
        )

    def _in_force(self) -> list[Roster]:
        """All rosters but those whose hosts are out to the last one, of which an operator gave some up."""
        return [roster for roster in self.all_rosters() if self.seats(roster) or not self._was_given_up(roster)]

    def _was_given_up(self, roster: Roster) -> bool:
        forgotten = self._forgotten()
        return any(incarnation_of(origin) <= forgotten.get(node_of(origin), 0) for origin in roster.hosts)

    def seats(self, roster: Roster) -> list[Origin]:
        """The hosts of a roster that did not leave and were not forgotten. Not to be changed."""
        known = self._seen.seats
        if roster not in known:
            known[roster] = [origin for origin in roster.hosts if not self.is_out(origin)]
        return known[roster]

    def is_out(self, origin: Origin) -> bool:
        """Whether a host left by itself, or an operator said that it is gone for good."""
        out = self._seen.out
        if origin not in out:
            out[origin] = self._has_gone(origin)
        return out[origin]

    def _has_gone(self, origin: Origin) -> bool:
        record, node = record_of(self.voter.directory, origin), node_of(origin)
        if record is not None and record.status == LEFT:
            return True
        return incarnation_of(origin) <= max(self.voter.left.get(node, 0), self._forgotten().get(node, 0))

    def _forgotten(self) -> dict[str, int]:
        seen = self._seen
        if seen.forgotten is None:
            seen.forgotten = {}
            for copy in self.voter.directory.values():
                for key, number in copy.entries.items():
                    if key[0] == FORGOTTEN:
                        seen.forgotten[key[1]] = max(seen.forgotten.get(key[1], 0), int(number))
        return seen.forgotten

    def may_answer(self, now: float) -> bool:
        """Whether this member holds a lease."""
        return self.lease.holds(now)

    def may_decide(self, now: float) -> bool:
        """Whether names may be given out and brought back: a lease is held, and nobody outside the view holds one."""
        return self.voter.ready and self.lease.holds(now) and self._clear_at <= now

    def due(self) -> float:
        """When something changes by time alone."""
        lapses = FOREVER if self.lease is NO_LEASE else self.lease.until
        return min(lapses, self._clear_at) if self._clearing else lapses

    # -------------------------------------------------------------------------------------------------------- rosters

    def view_adopted(self) -> None:
        """Another view: whom it holds may have a lease again."""
        view = self.voter.view.agreeing
        self._cleared -= view
        self._votes = {origin: at for origin, at in self._votes.items() if origin in view}
        self._clearing, self._clear_at = frozenset(), FOREVER

    def settle(self, now: float) -> None:
        """To be called after each judgement: wait out leases, agree on the roster of this view."""
        if not self.voter.ready:
            self._clearing, self._clear_at = frozenset(), FOREVER
            return
        self._agree()
        self._clear(now)
        self.renew(now)

    def _agree(self) -> None:
        """Put the view's roster beside those in force; in their place once everybody has it."""
        seen = self._seen
        if seen.agreed:
            return
        seen.agreed = True
        known = self.all_rosters()
        if not self.has_majority():
            return
        view = self.voter.view.agreeing
        newest = max(known, default=Roster(0, ()))
        nodes = {node_of(origin) for origin in view}
        carried = [origin for origin in self.seats(newest) if origin not in view and node_of(origin) not in nodes]
        hosts = tuple(sorted({*view, *carried}))
        wanted = newest if newest.hosts == hosts else Roster(newest.number + 1, hosts)
        if wanted not in self.rosters:
            self._report(known | {wanted})
        elif self.rosters != (wanted,) and all(wanted in self._reported_by(origin) for origin in view):
            self._report({wanted})

    def _reported_by(self, origin: Origin) -> set[Roster]:
        if origin == self.voter.origin:
            return set(self.rosters)
        report = self.voter.directory[origin].entries.get(VIEW)
        return {Roster(*roster) for roster in report.rosters} if report is not None else set()

    def _report(self, rosters: Collection[Roster]) -> None:
        self.rosters = tuple(sorted(rosters))
        self.voter.write_rosters(self.rosters)

    # --------------------------------------------------------------------------------------------------------- leases

    def _missing(self) -> frozenset[Origin]:
        """Hosts outside the view that did not leave: they may hold a lease yet."""
        seen = self._seen
        if seen.missing is None:
            seen.missing = self._find_missing()
        return seen.missing

    def _find_missing(self) -> frozenset[Origin]:
        view, directory = self.voter.view.agreeing, self.voter.directory
        known = {origin for roster in self.all_rosters() for origin in roster.hosts}
        for origin in directory:
            record = record_of(directory, origin)
            if record is not None and record.status in AGREEING:
                known.add(origin)
        return frozenset(origin for origin in known - view if not self.is_out(origin))

    def _clear(self, now: float) -> None:
        missing = self._missing()
        if missing <= self._cleared:
            self._cleared, self._clearing = missing, frozenset()
            self._clear_at = min(self._clear_at, now)
        elif not missing - self._cleared <= self._clearing or self._clear_at == FOREVER:
            self._clearing = missing - self._cleared
            self._clear_at = now + self.voter.timing.lease * (1 + DRIFT)
        elif now >= self._clear_at:
            self._cleared = missing
            self._clearing = frozenset()

    def voted(self, peer: Origin, echo: int) -> None:
        """A host echoed a heartbeat that left here at `echo`, µs of the own clock."""
        self._votes[peer] = max(self._votes.get(peer, 0.0), echo / 1_000_000)

    def renew(self, now: float) -> None:
        """Let the lease grow as far as the votes carry it. One that ended is not taken up again: a new one begins."""
        self.check(now)
        if not self.voter.ready:
            return
        if not self.all_rosters() or not self.has_majority():
            return
        at = [self._majority_at(self.seats(roster), now) for roster in self._in_force()]
        at.append(self._majority_at(self.voter.view.agreeing, now, self.least // 2 + 1))
        until = min(at) + self.voter.timing.lease
        if self.lease.holds(now):
            self.lease.until = max(self.lease.until, until)
        elif until > now:
            self.lease = Lease(until)

    def _majority_at(self, seats: Collection[Origin], now: float, needed: int = 0) -> float:
        """When the newest heartbeat left here that a majority of these hosts, or `needed` of them, have echoed."""
        view = self.voter.view.agreeing
        needed = needed or len(seats) // 2 + 1
        votes = [
            now if origin == self.voter.origin else self._votes.get(origin, -FOREVER)
            for origin in seats if origin in view
        ]  # fmt: skip
        votes.sort(reverse=True)
        return votes[needed - 1] if len(votes) >= needed else -FOREVER

    def check(self, now: float) -> None:
        """Note what time alone has ended: the own lease, the wait for those of others."""
        if self._clearing and self._clear_at <= now and self.voter.ready:
            self._clear(now)
        if self.lease is not NO_LEASE and not self.lease.holds(now):
            self.give_up()

    def give_up(self) -> None:
        """The lease is over, whatever the clock says."""
        if self.lease is not NO_LEASE:
            self.lease.end()
            self.lease = NO_LEASE
            self.lapsed = True
