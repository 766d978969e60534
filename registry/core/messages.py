"""Everything two nodes' registries say to each other.

Law: a message is an immutable tuple of plain values, so that it costs one array on the wire; its number in `KINDS`
never changes its meaning, a new meaning takes a new number. The mesh moves messages and understands none of them. A
message may be lost, repeated, delayed or overtaken, and no rule may depend on the contrary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from registry.core.ids import Origin
from registry.core.names import Further, Spec

#: The replica that every node holds besides those of the sworms: the cluster-wide directory.
DIRECTORY = ""

#: {origin: version}
Versions = dict[Origin, int]


class Delta(NamedTuple):
    """Every key of `origin`'s map that changed after `base`, up to `version` and from one snapshot at it.

    A change is [key, value] or [key] for a key that is gone. `base` 0 is the whole map: it replaces any older copy.
    Large deltas travel as `parts` pieces with `part` 0 … parts-1 and are applied only when all have come.
    """

    sworm: str
    origin: Origin
    base: int
    version: int
    changes: list[list[Any]]
    part: int = 0
    parts: int = 1
    urgent: bool = False  #: somebody waits for the acknowledgement


class Ack(NamedTuple):
    """The sender's copies have reached these versions, {sworm: {origin: version}}."""

    versions: dict[str, Versions]


class Summary(NamedTuple):
    """What the sender holds: for each sworm its {origin: version} and a digest for each origin (empty: not told)."""

    versions: dict[str, Versions]
    digests: dict[str, dict[Origin, bytes]]


class SummaryHash(NamedTuple):
    """The same, as one hash: equal hashes need no `Summary`. Doubles as the heartbeat."""

    hash: bytes
    sent_at: int  #: sender's clock, µs since 1970
    echo: int  #: `sent_at` of the receiver's last heartbeat, as a vote for it; 0: none yet, or no vote


class Want(NamedTuple):
    """Send me `origin`'s map of `sworm` from `base` on (0: whole)."""

    sworm: str
    origin: Origin
    base: int


class Claim(NamedTuple):
    """A caller's node asks the name's arbiter. `kind` is one of register, unregister, restart, move.

    Registering with a pid and no spec gives that process a further name. Kinds join and leave go to the host of the
    pid, or of the name, which alone writes its groups.
    """

    id: str
    kind: str
    sworm: str
    name: str
    spec: Spec | None
    known: int  #: highest epoch of the name that the sender knows
    pid: str  #: the incarnation meant (move: the source's); empty: whichever runs
    to: str  #: move: the wanted node's name, or empty
    revision: int  #: of the sworm's definition at the sender
    deadline: int  #: ms since 1970
    group: str = ""  #: join, leave


class Verdict(NamedTuple):
    """The arbiter's answer. `result` is one of started, already_started, done, not_registered, granted, refused, retry.

    The answer holds once the receiver's copy of `origin` has reached `version`: it merges first, then answers its
    caller.
    """

    id: str
    result: str
    pid: str
    epoch: int
    origin: Origin
    version: int
    problem: str = ""
    detail: str = ""


class Order(NamedTuple):
    """The arbiter tells a host to unregister, restart, move or (further) name a process, to start one, or to restore
    one that a departed node ran.

    Obeyed at most once, and only in the view that it names.
    """

    id: str
    number: int  #: grows with each order of this arbiter incarnation
    kind: str
    sworm: str
    name: str
    spec: Spec | None
    epoch: int
    pid: str
    view: bytes
    deadline: int
    majority: int
    to: Origin = ""  #: move: the target
    claim: str = ""  #: name, start, restore: id of the claim that gives the name
    revision: int = 0  #: start, restore: of the sworm's definition at the arbiter
    restarts: int = 0  #: restore
    further: tuple[Further, ...] = ()  #: restore: its further names in this sworm
    groups: tuple[str, ...] = ()  #: restore
    state: bytes = b""  #: restore: MessagePack; meaningless without `stateful`
    stateful: bool = False  #: restore
    taken_at: int = 0  #: restore: as in `Prepare`
    size: int = 0  #: restore: as in `Prepare`


class OrderDone(NamedTuple):
    """The host's answer to an order: as `Verdict`."""

    id: str
    result: str
    pid: str
    epoch: int
    origin: Origin
    version: int
    problem: str = ""
    detail: str = ""


class Prepare(NamedTuple):
    """Handoff, source to target: start the worker closed, with this state. `epoch` is the attempt."""

    sworm: str
    name: str
    epoch: int
    pid: str  #: the source's
    spec: Spec
    state: bytes  #: MessagePack; meaningless without `stateful`
    stateful: bool
    restarts: int
    majority: int
    revision: int
    claim: str  #: of the registration: whoever repeats it finds the process wherever it went
    further: tuple[Further, ...] = ()  #: its further names in this sworm
    groups: tuple[str, ...] = ()
    taken_at: int = 0  #: ms since 1970 by the source's clock: when the state was taken
    size: int = 0  #: bytes of a state that is too large to stand here; it is pulled with `Fetch`. 0: it stands here
    restored: bool = False  #: a node that had this state may have gone on from it and died: its age counts


class Prepared(NamedTuple):
    """Target to source: it stands ready and closed (`problem` empty), or why it does not."""

    sworm: str
    name: str
    epoch: int
    pid: str  #: the target's own, closed
    problem: str = ""


class Commit(NamedTuple):
    """Source to target: the move is written; open."""

    sworm: str
    name: str
    epoch: int


class Opened(NamedTuple):
    """Target to source: it accepts messages under its own entry, which stands in its map at `version`."""

    sworm: str
    name: str
    epoch: int
    pid: str
    version: int


class Abort(NamedTuple):
    """Source to target: this attempt is over; drop what was prepared."""

    sworm: str
    name: str
    epoch: int


class Resolve(NamedTuple):
    """Loser of a conflict to the winner: my state, under my pid; applied at most once."""

    sworm: str
    name: str
    winner: str
    loser: str
    state: bytes
    stateful: bool
    taken_at: int = 0  #: ms since 1970, by the loser's host
    size: int = 0  #: as in `Prepare`


class Resolved(NamedTuple):
    """Winner to loser: taken (or there is nobody left to take it); you may stop."""

    sworm: str
    name: str
    loser: str


class Seek(NamedTuple):
    """Arbiter to every node: which states of processes of this departed origin do you hold?"""

    sworm: str
    origin: Origin
    view: bytes  #: names the question, so that an answer under another view does not count


class Holding(NamedTuple):
    """One state that a node holds for a process elsewhere: of a handoff not opened, or a checkpoint."""

    name: str
    pid: str  #: of the process that gave it
    taken_at: int  #: ms since 1970, by that process's host; of two states of one pid the later one is newer
    size: int


class Held(NamedTuple):
    """The answer to `Seek`: all of them."""

    sworm: str
    origin: Origin
    view: bytes
    holdings: tuple[Holding, ...]


class Fetch(NamedTuple):
    """Send me the piece of a state that begins at `offset`. A state is named by its process and when it was taken."""

    sworm: str
    name: str
    pid: str
    taken_at: int
    offset: int


class Piece(NamedTuple):
    """A piece of a state. `size` is that of the whole; -1: it is not held here."""

    sworm: str
    name: str
    pid: str
    taken_at: int
    offset: int
    size: int
    data: bytes


class Keep(NamedTuple):
    """Host to another node: keep this checkpoint of a running process, instead of any older one."""

    sworm: str
    name: str
    pid: str
    epoch: int
    taken_at: int
    size: int  #: 0: the state stands here; else it is pulled with `Fetch`
    state: bytes  #: MessagePack


class Round(NamedTuple):
    """A node that was away asks every peer for what happened; answered at once, after all that was sent before."""

    number: int


class RoundDone(NamedTuple):
    """The answer to a `Round`: what the sender holds. Whoever holds that much has missed nothing that it knew."""

    number: int
    versions: dict[str, Versions]


class Relay(NamedTuple):
    """To a peer with links to both: pass this on to `to`, which has no direct link to the sender."""

    to: Origin
    message: Message  #: any but these three: nothing is relayed twice


class Relayed(NamedTuple):
    """From a relay: `source`, which sent it over its direct link to the relay, has this to say."""

    source: Origin
    message: Message


class NotRelayed(NamedTuple):
    """From a relay: what was to be passed on to `to` is lost, and why."""

    to: Origin
    reason: str


Message = (
    Delta | Ack | Summary | SummaryHash | Want | Claim | Verdict | Order | OrderDone
    | Prepare | Prepared | Commit | Opened | Abort | Resolve | Resolved
    | Round | RoundDone | Seek | Held | Fetch | Piece | Keep | Relay | Relayed | NotRelayed
)  # fmt: skip

#: Number on the wire -> kind of message.
KINDS: dict[int, type[Message]] = {
    1: Delta, 2: Ack, 3: Summary, 4: SummaryHash, 5: Want, 6: Claim, 7: Verdict, 8: Order, 9: OrderDone,
    10: Prepare, 11: Prepared, 12: Commit, 13: Opened, 14: Abort, 15: Resolve, 16: Resolved,
    25: Relay, 26: Relayed, 27: Round, 28: RoundDone, 29: NotRelayed,
    30: Seek, 31: Held, 32: Fetch, 33: Piece, 34: Keep,
}  # fmt: skip

NUMBERS: dict[type[Message], int] = {kind: number for number, kind in KINDS.items()}
