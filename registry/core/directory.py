"""What nodes say of themselves and of each other: the entries of the cluster-wide directory.

Law: a node writes about itself under ("node",), what it holds and believes under ("view",), and its opinion of another
incarnation under ("suspect", origin) or ("dead", origin), and whom it reaches by a relay only under
("relayed", origin). An opinion is void against a higher refutation number of the
one it is about. Definitions stand under ("definition", sworm); the highest revision known wins, a deletion is a
revision too.
"""

from __future__ import annotations

from typing import NamedTuple

from registry.core.ids import Origin

NODE = ("node",)
VIEW = ("view",)
SUSPECT = "suspect"
DEAD = "dead"
RELAYED = "relayed"  #: ("relayed", origin) -> through whom this node reaches it, having no direct link
ENDED = "ended"  #: ("ended", node) -> its newest ended incarnations, ascending; below the first of a full tuple all are
ENDED_KEPT = 64  #: incarnations that a full tuple names
DEFINITION = "definition"
FORGOTTEN = "forgotten"  #: ("forgotten", node) -> the incarnation up to which an operator gave a node up

#: What is read here of a definition: the places of its revision, and of whether it is deleted. More may follow them.
DEFINED_REVISION, DEFINED_DELETED = 1, 13

# What a node says of its own status.
JOINING = "joining"
UP = "up"
CORDONED = "cordoned"
DRAINING = "draining"
LEFT = "left"
OBSERVING = "observing"
STATUSES = (JOINING, UP, CORDONED, DRAINING, LEFT, OBSERVING)

#: Statuses whose nodes must agree on a view: they run processes, or may.
AGREEING = frozenset({UP, CORDONED, DRAINING})

#: A node that hosts every sworm.
ALL_SWORMS = "*"


class NodeRecord(NamedTuple):
    """A node's own record, written by itself alone."""

    url: str  #: mesh URL of its registry link, ws://host:port
    call_url: str  #: mesh URL of its call link; ends on the workers' loop
    status: str
    sworms: list[str]  #: names of the sworms it hosts, or ["*"]
    labels: dict[str, str]
    capacity: float
    refutation: int  #: raised whenever it sees itself suspected dead
    started_at: int  #: ms since 1970
    os_pid: int
    turn: int = 0  #: raised at each change of `status`


class ViewRecord(NamedTuple):
    """The view that a node reported last, and what its copies held at that moment.

    `vector` is {sworm: {origin: version}}. An arbiter serves once its copies dominate the vectors of all who report its
    view.
    """

    view: bytes
    vector: dict[str, dict[Origin, int]]
    rosters: tuple[tuple[int, tuple[Origin, ...]], ...] = ()  #: in force, as `registry.core.quorum.Roster`
