"""Who is there: the arithmetic of failure detection and of views, as pure functions over the directory.

Law: a node's own opinions are written in its directory map, and everything here is computed from directory copies and
from what this node hears itself. Suspicion is personal; death needs that nobody whom this node can reach, through
however many others, reaches the suspect either. After SWIM (Das and others, 2002): suspicion, refutation by a higher
number, indirect reach.

    beat every `heartbeat`; silence longer than `timeout` (>= 4 beats) or a closed link makes a suspect; outside
    everybody's reach for `suspicion` makes it dead. A closed link is certain news, silence is not: hence two times.
    Death after kill -9 is known after about `suspicion`, after a cut cable after `timeout + suspicion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from registry.core.directory import (
    AGREEING,
    ALL_SWORMS,
    DEAD,
    ENDED,
    ENDED_KEPT,
    JOINING,
    LEFT,
    NODE,
    SUSPECT,
    UP,
    NodeRecord,
)
from registry.core.ids import Origin, incarnation_of, node_of
from registry.core.origin import VersionedMap


@dataclass(frozen=True, slots=True)
class Timing:
    """One preset; all in seconds."""

    heartbeat: float
    timeout: float
    suspicion: float
    connect: float  #: how long a first dial may take before a node counts as unreached
    hold: float  #: how long a gap may last before the missing delta is asked for
    redial: float  #: between two dials to one node

    @property
    def lease(self) -> float:
        """How long a majority's word lasts: as long as silence is forgiven."""
        return self.timeout


PRESETS: dict[str, Timing] = {
    # one machine: links close at once, but a busy machine may pause a process for most of a second
    "local": Timing(heartbeat=0.2, timeout=1.5, suspicion=0.1, connect=1.0, hold=0.01, redial=0.25),
    # one data centre: round trips below a millisecond, seconds of silence are a fault
    "lan": Timing(heartbeat=0.5, timeout=2.5, suspicion=0.3, connect=2.0, hold=0.02, redial=0.5),
    # between sites: round trips of 100 ms and retransmissions
    "wan": Timing(heartbeat=1.0, timeout=8.0, suspicion=3.0, connect=5.0, hold=0.2, redial=2.0),
}

Directory = Mapping[Origin, VersionedMap]


class MemberInfo(NamedTuple):
    """One incarnation as this node sees it."""

    origin: Origin
    node: str
    incarnation: int
    record: NodeRecord
    state: str  #: alive, suspect, dead, left
    heard_at: float  #: seconds since 1970; 0: never
    relay: Origin = ""  #: through whom this node reaches it, having no direct link


class View(NamedTuple):
    """The nodes that agree on who decides about which name."""

    id: bytes
    agreeing: frozenset[Origin]
    hosts: tuple[tuple[Origin, tuple[str, ...]], ...]  #: those that take processes, with the sworms they host


def record_of(directory: Directory, origin: Origin) -> NodeRecord | None:
    """What a node says of itself; None while its record is not here yet."""
    copy = directory.get(origin)
    return copy.entries.get(NODE) if copy else None


def superseded(directory: Directory, me: Origin) -> set[Origin]:
    """Incarnations of which a higher one of the same node has spoken, or is over here."""
    newest: dict[str, int] = {}
    for origin, copy in directory.items():
        node = node_of(origin)
        if node not in newest:
            newest[node] = highest_ended(directory, me, node)
        if NODE in copy.entries:
            newest[node] = max(newest[node], incarnation_of(origin))
    return {origin for origin in directory if incarnation_of(origin) < newest[node_of(origin)]}


def opinion(directory: Directory, judge: Origin, kind: str, subject: Origin) -> bool:
    """Whether a node holds an opinion that the subject has not refuted."""
    copy = directory.get(judge)
    number = copy.entries.get((kind, subject)) if copy else None
    if number is None:
        return False
    record = record_of(directory, subject)
    return record is None or number >= record.refutation


def trusts(directory: Directory, one: Origin, other: Origin) -> bool:
    """Whether two nodes reach each other, by what both have written.

    Of an incarnation that is over, or superseded by one that is over, a node writes nothing any more.
    """
    if highest_ended(directory, one, node_of(other)) >= incarnation_of(other):
        return False
    return not any(
        opinion(directory, judge, kind, subject)
        for judge, subject in ((one, other), (other, one))
        for kind in (SUSPECT, DEAD)
    )


def has_ended(directory: Directory, judge: Origin, subject: Origin) -> bool:
    """Whether a node has ended an incarnation for good: it names it, or its full mark has none as low."""
    mark, incarnation = ended_of(directory, judge, node_of(subject)), incarnation_of(subject)
    return incarnation in mark or (len(mark) == ENDED_KEPT and incarnation < mark[0])


def ended_of(directory: Directory, judge: Origin, node: str) -> tuple[int, ...]:
    """The incarnations of a node name that a node has ended, ascending, the newest `ENDED_KEPT` of them."""
    copy = directory.get(judge)
    return copy.entries.get((ENDED, node), ()) if copy else ()


def highest_ended(directory: Directory, judge: Origin, node: str) -> int:
    """The highest incarnation of a node name that a node has ended; 0: none."""
    return max(ended_of(directory, judge, node), default=0)


def with_ended(mark: tuple[int, ...], incarnation: int) -> tuple[int, ...]:
    """A mark that names this incarnation as well; the lowest gives way when it was full."""
    return tuple(sorted({*mark, incarnation})[-ENDED_KEPT:])


def reachable(
    directory: Directory, me: Origin, candidates: Iterable[Origin], hears: Callable[[Origin], bool]
) -> set[Origin]:
    """Those whom this node reaches, directly or through others: the closure over mutual trust, from `me`."""
    left = set(candidates) - {me}
    found = {origin for origin in left if hears(origin)}
    edge = set(found)
    left -= found
    while edge and left:
        edge = {far for far in left if any(trusts(directory, near, far) for near in edge if relays(directory, near))}
        found |= edge
        left -= edge
    return found


def relays(directory: Directory, origin: Origin) -> bool:
    """Whether a node's word about others counts: observers see both sides of a split that agents cannot cross."""
    record = record_of(directory, origin)
    return record is not None and (record.status in AGREEING or record.status == JOINING)


def view_of(directory: Directory, alive: Iterable[Origin]) -> View:
    """The view over the nodes that are not dead, left or superseded.

    The turn of each is in its id: a node that drains and thinks again brings back the same nodes, but not the same
    view, or what was reported before would count as reported now.
    """
    records = sorted((origin, record_of(directory, origin)) for origin in alive)
    agreeing = [(origin, record) for origin, record in records if record and record.status in AGREEING]
    hosts = tuple((origin, tuple(record.sworms)) for origin, record in agreeing if record.status == UP)
    text = repr((hosts, [(origin, record.turn) for origin, record in agreeing]))
    return View(blake2b(text.encode(), digest_size=8).digest(), frozenset(o for o, _ in agreeing), hosts)


EMPTY_VIEW = View(b"", frozenset(), ())


def hosts_of(view: View, sworm: str) -> list[Origin]:
    """The origins of a view that take processes of one sworm."""
    return [origin for origin, sworms in view.hosts if sworm in sworms or ALL_SWORMS in sworms]


def state_of(record: NodeRecord, dead: bool, heard: bool) -> str:
    """A node's state in one word."""
    if record.status == LEFT:
        return "left"
    return "dead" if dead else "alive" if heard else "suspect"
