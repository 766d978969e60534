"""What two nodes say to each other on the call lane.

Law: a message is an immutable tuple of plain values; its number in `KINDS` never changes its meaning. Values of users
travel encoded and are looked into by nobody but the two workers' sides. `id` is the sender's own count; an answer
carries the id of what it answers. The registry's messages may come this way too (`registry.byway`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from registry.core import messages as registry
from registry.core.ids import Origin
from registry.mesh.codec import ENVELOPES


class Call(NamedTuple):
    """Have the process with this serial, at the receiver's incarnation, handle a message; ends in one answer."""

    id: int
    sworm: str
    name: str
    serial: int
    timeout_ms: int  #: that the caller still waits
    message: bytes


class Cast(NamedTuple):
    """The same without a reply: answered only when it was not handled (`CastBounced`)."""

    id: int
    sworm: str
    name: str
    serial: int
    message: bytes


class Mark(NamedTuple):
    """Answered with `Marked` once everything sent before it to this serial was let through or bounced."""

    id: int
    serial: int


class Replied(NamedTuple):
    """The reply to a call."""

    id: int
    reply: bytes


class Failed(NamedTuple):
    """The call brought no reply: a code and a sentence of `supervisor.errors`."""

    id: int
    code: str
    detail: str


class Bounced(NamedTuple):
    """The call was not handled: try this pid, or (empty) look the name up again."""

    id: int
    pid: str


class CastBounced(NamedTuple):
    """The cast was not handled; it comes back whole, since its sender does not keep it."""

    sworm: str
    name: str
    serial: int
    pid: str
    message: bytes


class Marked(NamedTuple):
    """The answer to a `Mark`."""

    id: int


class Pass(NamedTuple):
    """To a node with links to both: hand this on to `to`, which has no direct link to the sender."""

    to: Origin
    message: Any  #: one of those above, or `Way`, `WayDone`: nothing is relayed twice


class Passed(NamedTuple):
    """From that node: `source` sent this over its direct link."""

    source: Origin
    message: Any


class NotPassed(NamedTuple):
    """From that node: what was to be handed on to `to` is lost, and why."""

    to: Origin
    reason: str


class Way(NamedTuple):
    """Answered with `WayDone` once everything that was sent this way before has arrived."""

    id: int
    opens: bool  #: the sender has no direct link to the receiver: one that stands there carries nothing


class WayDone(NamedTuple):
    """The answer to a `Way`."""

    id: int


#: Messages that hold an origin and another message.
LANE_ENVELOPES = ENVELOPES | {Pass, Passed}

#: What is added to the numbers of the registry's messages on this lane.
REGISTRY = 64

#: Number on the wire -> kind of message.
KINDS: dict[int, type[Any]] = {
    1: Call, 2: Cast, 3: Mark, 4: Replied, 5: Failed, 6: Bounced, 7: CastBounced, 8: Marked,
    9: Pass, 10: Passed, 11: NotPassed, 12: Way, 13: WayDone,
    **{REGISTRY + number: kind for number, kind in registry.KINDS.items()},
}  # fmt: skip
