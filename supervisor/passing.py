"""What a node does that relays calls: it hands them on, from one direct link to another.

Law: one hop. What came as `Pass` leaves as `Passed`, over a direct link, or is answered with the reason why not;
neither is ever put into another. Nothing waits here but a question for a way, while the link that it needs is dialled.
"""

from __future__ import annotations

import logging
from typing import Protocol

from registry.core.ids import Origin
from registry.mesh.protocol import Mesh, Message
from supervisor.lane import (
    Bounced,
    Call,
    Cast,
    CastBounced,
    Failed,
    Mark,
    Marked,
    NotPassed,
    Pass,
    Passed,
    Replied,
    Way,
    WayDone,
)

log = logging.getLogger("supervisor.ways")

#: What a relay hands on.
LETTERS = frozenset({Call, Cast, Mark, Replied, Failed, Bounced, CastBounced, Marked, Way, WayDone})


class Directory(Protocol):
    """What is read of the registry."""

    def call_url(self, origin: Origin) -> str:
        """Where a node takes calls; empty when it is not known."""
        ...


class Passing:
    """One node as a relay. Used on the workers' loop only."""

    mesh: Mesh

    def __init__(self, me: Origin, directory: Directory, linked: set[Origin]) -> None:
        """`linked`: to whom direct links stand; kept by the owner."""
        self._me = me
        self._directory = directory
        self._linked = linked
        self._waiting: dict[Origin, list[tuple[Origin, Message]]] = {}  #: to be handed on once that link stands
        self._served: dict[Origin, set[Origin]] = {}  #: far end -> for whom this node relays to it

    def hand_on(self, source: Origin, passed: Pass) -> None:
        """A peer has something for somebody to whom it has no direct link."""
        to, message = passed
        if type(message) not in LETTERS or to in (source, self._me):
            log.warning("refused to relay a %s of %s to %s", type(message).__name__, source, to)
            self._refuse(source, to, f"a {type(message).__name__} to {to} is not relayed")
        elif to in self._linked:
            self._served.setdefault(to, set()).add(source)
            if not self.mesh.send(to, Passed(source, message)):
                self._refuse(source, to, f"{self._me} could not send it to {to}")
        elif isinstance(message, Way) and message.opens and (url := self._directory.call_url(to)):
            self._waiting.setdefault(to, []).append((source, message))
            self.mesh.connect(url, to)
        else:
            self._refuse(source, to, f"{self._me} has no direct link to {to}")

    def _refuse(self, source: Origin, to: Origin, reason: str) -> None:
        self.mesh.send(source, NotPassed(to, reason))

    def link_up(self, origin: Origin) -> None:
        """A direct link stands: hand on what waited for it."""
        for source, message in self._waiting.pop(origin, ()):
            self.hand_on(source, Pass(origin, message))

    def link_down(self, origin: Origin, reason: str) -> None:
        """A direct link is gone: whoever used it by this node hears of it."""
        for source in sorted(self._served.pop(origin, ())):
            self._refuse(source, origin, reason)

    def connect_failed(self, origin: Origin, reason: str) -> None:
        """It will not stand."""
        for source, _ in self._waiting.pop(origin, ()):
            self._refuse(source, origin, reason)
