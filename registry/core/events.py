"""What happens to a member of the mesh (events) and what it wants done (effects): the boundary of `Member.step`.

Law: frozen values. The shell turns real things into events and effects into real things, in the order given; it adds no
decision of its own. Ordering duty: effects of one step are carried out in order and before those of a later step;
`Send`s to one peer leave in order on one link.
"""

from __future__ import annotations

from dataclasses import dataclass

from registry.core.ids import Origin, Pid
from registry.core.messages import Message

# --------------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The registry link to a peer stands, both sides having proved the cluster key."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The registry link to a peer is gone: closed, reset or failed."""

    origin: Origin
    reason: str


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """A `Connect` came to nothing. `refused` is true when nobody listens there (as against a time-out)."""

    origin: Origin
    refused: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Each URL to join was tried at least once: a node with no peer by now is the first of its cluster."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message of a peer, well-formed."""

    origin: Origin
    message: Message


@dataclass(frozen=True, slots=True)
class Ticked:
    """A wake-up that was asked for (`Wake`), or a late one; harmless at any time."""


MemberEvent = LinkUp | LinkDown | LinkRefused | Joined | Received | Ticked

# -------------------------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message over the registry link to a peer; a missing link loses it silently."""

    to: Origin
    message: Message


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a registry link to this peer; answered by `LinkUp` or `LinkRefused`."""

    origin: Origin
    url: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the link to a peer whose incarnation is over, or which broke the rules."""

    origin: Origin
    reason: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Send `Ticked` at this time or soon after; the earliest of all wishes counts."""

    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """Something that people may want to know later; the shell sends it to the observer, which may be away for long.

    `kind` is one of `registry.kinds`.
    """

    kind: str
    sworm: str = ""
    name: str = ""
    pid: Pid = ""
    node: str = ""
    detail: str = ""
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class HoldCalls:
    """Park every message to the workers of this node (`on`), or let them through again, in order."""

    on: bool


@dataclass(frozen=True, slots=True)
class Detour:
    """A peer without a direct link is reached through this relay from now on; empty: it has a link again, or is out of
    reach. The registry's messages take the detour by themselves; other lanes may follow.
    """

    origin: Origin
    relay: Origin


MemberEffect = Send | HoldCalls | Connect | Disconnect | Wake | Report | Detour
