"""The boundary between a node and what carries its frames: `Mesh` (we call it) and `Handler` (it calls us).

Law: a mesh moves messages between authenticated peers and understands none of them. Everything here happens on one
event loop, the one on which `listen` or the first `connect` was called: every method is called there and every callback
is made there. Nothing here blocks, waits or retries; whoever wants a second attempt asks for it. Implementations:
`websocket.WebSocketMesh` (sockets) and `memory.MemoryMesh` (one process, losses on demand); one contract test runs over
both. They are made as `WebSocketMesh(identity, cluster_key, codec, handler, options)` and
`MemoryMesh(hub, identity, cluster_key, codec, handler, options)`, the codec as `Codec(KINDS)`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from registry.core.ids import Origin

#: Version of frames and handshake. Two nodes talk only when they have the same.
PROTOCOL_VERSION = 1

CONTROL = "control"  #: lane of the registry's messages
CALLS = "calls"  #: lane of calls and casts; ends on the workers' loop
LANES = (CONTROL, CALLS)

AGENT = "agent"
OBSERVER = "observer"
ROLES = (AGENT, OBSERVER)

#: Any message: a named tuple of the table that the mesh was made with.
Message = tuple[Any, ...]

# First word of every reason that a handler is given; ": " and a sentence for people follow.
CLUSTER_KEY = "cluster_key"  #: the other side does not have our cluster key
VERSION = "version"  #: it speaks another version of the protocol
CLOCK_SKEW = "clock_skew"  #: its clock differs from ours by more than `max_clock_skew`
WRONG_LANE = "wrong_lane"  #: control dialled calls, or the reverse
SELF = "self"  #: we reached ourselves
ENDED = "ended"  #: a newer incarnation of that node is known; `last_incarnation` says which
REFUSED = "refused"  #: `admit` of one side said no
REPLACED = "replaced"  #: a newer link, or a newer incarnation of the node, took this link's place
DUPLICATE = "duplicate"  #: a link with that peer stands already
NOT_THERE = "not_there"  #: another origin answered at this URL
UNREACHABLE = "unreachable"  #: no connection: nobody listens, no route, a name that does not resolve, a bad certificate
TIMEOUT = "timeout"  #: connection or handshake took too long
BAD_FRAME = "bad_frame"  #: what came was not a well-formed frame of the table
TOO_LARGE = "too_large"  #: a frame beyond `max_frame`
OUTBOX_FULL = "outbox_full"  #: the peer does not take what we send: more than `max_outbox` bytes wait
SILENT = "silent"  #: not even a pong came for `idle_timeout`
LOST = "lost"  #: the connection ended without a word
CLOSED = "closed"  #: one side closed the link on purpose; the sentence is that side's

CODES = frozenset((
    CLUSTER_KEY, VERSION, CLOCK_SKEW, WRONG_LANE, SELF, ENDED, REFUSED, REPLACED, DUPLICATE, NOT_THERE, UNREACHABLE,
    TIMEOUT, BAD_FRAME, TOO_LARGE, OUTBOX_FULL, SILENT, LOST, CLOSED,
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hello:
    """What a peer says of itself before a link stands; covered by the proof of the cluster key."""

    version: int
    origin: Origin
    role: str  #: "agent" or "observer"
    lane: str  #: "control" or "calls"
    clock: int  #: its clock when it said hello, µs since 1970
    url: str  #: where it can be dialled on this lane; empty: nowhere


@dataclass(frozen=True, slots=True)
class Identity:
    """What a mesh says of its own node; `url` empty: the one that `listen` finds out."""

    origin: Origin
    role: str = AGENT
    lane: str = CONTROL
    url: str = ""


class Refusal(NamedTuple):
    """Why a peer is not admitted. `last_incarnation`: the newest known of that node, so that it can choose a higher
    one.
    """

    reason: str
    last_incarnation: int | None = None


class Answer(NamedTuple):
    """An HTTP answer to a GET on the mesh port."""

    status: int
    content_type: str
    body: bytes


def code_of(reason: str) -> str:
    """The first word of a reason, or empty when it is none of ours: peers may say anything."""
    code = reason.partition(":")[0]
    return code if code in CODES else ""


def _wall_clock() -> int:
    return time.time_ns() // 1_000


def _admit_all(hello: Hello) -> Refusal | None:
    return None


def _no_pages(path: str) -> Answer | None:
    return None


@dataclass(frozen=True, slots=True)
class Options:
    """Limits and hooks of a mesh. The callbacks run on its loop, must return at once and must not raise."""

    #: Largest frame in bytes, either way. A piece of a delta (5 000 entries) is 1 to 2 MB; a handed-off state may be
    #: larger.
    max_frame: int = 16 * 1024 * 1024
    #: Bytes that may wait for one peer. Beyond it the link is closed: repair after a new link costs less than this
    #: memory.
    max_outbox: int = 64 * 1024 * 1024
    #: Seconds from dial (or accept) to a link that stands, or to the end of an HTTP request.
    handshake_timeout: float = 5.0
    #: Connections that have not proved the key yet; more are closed at once, so that strangers cannot exhaust memory.
    max_strangers: int = 256
    #: Seconds without a byte from a peer until it is pinged. A safety net: the core's heartbeats are much quicker.
    ping_interval: float = 10.0
    #: Seconds without a byte, pongs included, until the link is given up: three pings.
    idle_timeout: float = 30.0
    #: Seconds that two clocks may differ. Epochs and deadlines compare clocks, so a wrong one is refused at the door.
    max_clock_skew: float = 5.0
    #: Asked once in each handshake, after the peer has proved the key: None admits it. A link need not follow.
    admit: Callable[[Hello], Refusal | None] = _admit_all
    #: Answers GET `path` (with its query) on the mesh port; None: 404.
    http: Callable[[str], Answer | None] = _no_pages
    #: The own clock, µs since 1970.
    clock: Callable[[], int] = _wall_clock
    #: TLS for those who dial us, and for whom we dial (`wss://`).
    server_ssl: ssl.SSLContext | None = None
    client_ssl: ssl.SSLContext | None = None


@dataclass(slots=True)
class Traffic:
    """Counters since the mesh was made, all lanes' peers together; for metrics."""

    messages_in: int = 0
    messages_out: int = 0
    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    lost: int = 0  #: messages sent to a peer without a link, or too large
    refused: int = 0  #: connections and handshakes turned away


class Handler(Protocol):
    """The owner of a mesh, as the mesh sees it.

    Guarantees: callbacks never overlap, and none is made from within a call of `connect`, `disconnect`, `send` or
    `links`. For one origin they alternate: `link_up`, any number of `received`, one `link_down`, and so on; every link
    that came up goes down once, whoever ended it. Messages of one link arrive in the order sent, without gaps up to its
    end; what was sent but not received when a link ends is lost. Each `connect` that is not a repetition ends in a
    standing link to the wanted origin (`link_up`, unless the peer's own dial brought it first) or in one
    `connect_failed`; one without an origin that finds a peer already linked ends in `connect_failed` with the reason
    "duplicate".

    Duties: a callback must not block or await (hand longer work to a task) and must not raise; what it raises is logged
    and the mesh goes on. It may call any method of the mesh.
    """

    def link_up(self, origin: Origin, hello: Hello) -> None:
        """A link stands: both sides have proved the cluster key, and messages may be sent from within this call on."""

    def link_down(self, origin: Origin, reason: str) -> None:
        """The link is gone. `send` to this origin has lost its messages since before this call."""

    def connect_failed(
        self, url: str, origin: Origin | None, refused: bool, reason: str, last_incarnation: int | None
    ) -> None:
        """A `connect(url, origin)` came to nothing.

        `refused`: the wanted node's process is not there: nobody listens at the URL, or another origin answered (a link
        to that one may well stand now). False says nothing about it: a time-out, or a peer that listens and does not
        want us. `last_incarnation`: when our own incarnation was refused as ended, the newest known of our node's name.
        """

    def received(self, origin: Origin, message: Message) -> None:
        """One message, its fields of the types that its class declares."""

    def message_refused(self, origin: Origin, reason: str) -> None:
        """A message to or from a peer broke the rules and was dropped. One that came from it costs the link:
        `link_down` follows.
        """

    def peer_refused(self, address: str, origin: Origin | None, reason: str) -> None:
        """Somebody who dialled us was turned away. `origin` is what it called itself, proved or not. At most one call a
        second for each first word of a reason; the sentence of the next then tells how many were passed over.
        """


class Mesh(Protocol):
    """Links of one lane to all peers, at most one to each.

    Two nodes that dial each other at once end with one link: the smaller of the two origins, as strings, judges. Its
    word makes a link stand, and it keeps the first unless the other side tells that it has lost that one. A newer
    incarnation of a node replaces the link to an older; an older one is refused.
    """

    @property
    def identity(self) -> Identity:
        """The own node, `url` filled in once `listen` returned."""

    @property
    def traffic(self) -> Traffic:
        """Counters; read them, do not write."""

    async def listen(self, host: str, port: int) -> str:
        """Accept links (and HTTP GETs) at this address, port 0 for a free one; returns the URL under which peers reach
        it.

        Raises `OSError` when the address cannot be bound, `ValueError` for a wildcard address without a URL in the
        identity.
        """

    def connect(self, url: str, origin: Origin | None = None) -> None:
        """Dial a peer; `origin` when it is known who should be there. Does nothing when its link stands or the same
        dial is under way.
        """

    def disconnect(self, origin: Origin, reason: str) -> None:
        """Close the link to a peer after what was sent so far. `link_down` follows here and there, with "closed: " and
        this reason.
        """

    def send(self, origin: Origin, message: Message) -> bool:
        """Queue a message for a peer; whether there is a link to take it. True promises nothing about arrival.

        All messages for one peer within a turn of the loop leave as one frame, in order. A missing link loses the
        message silently; one beyond `max_frame` is dropped (False) and told to `message_refused`. Raises `TypeError`
        for what is no message of the table.
        """

    def flush(self) -> None:
        """Let what is queued leave now instead of at the end of the turn."""

    def links(self) -> set[Origin]:
        """The peers with a standing link, those whose `link_down` is still on its way excepted."""

    async def close(self) -> None:
        """Stop listening and dialling, close every link (each gets its `link_down`); returns when the sockets are gone.
        Repeatable.
        """


#: Number on the wire (0 to 127) -> class of a message, a `typing.NamedTuple`.
Kinds = Mapping[int, type[Any]]
