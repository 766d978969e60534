"""A second way to peers, beside a mesh's own loop, for what somebody waits for.

Law: a byway only ever saves time. What takes it could have gone over the mesh as well, and goes there whenever the
byway has no link, or its peer has not answered on it for a moment; the two ways keep no order between them, and no rule
of the registry depends on one. What nobody waits for keeps to the mesh.

A step that is made on another thread than the mesh's would else cost a thread switch here and another one at the peer
before a claim, its verdict or an acknowledgement has arrived: most of what a registration takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from registry.core.events import Send
from registry.core.ids import Origin
from registry.core.messages import DIRECTORY, Ack, Claim, Delta, Verdict
from registry.mesh.protocol import Message

#: Seconds that pushes which nobody waits for may wait for company, and when more of them came just before.
COMPANY = 0.001
CROWD = 0.003

#: Seconds that count as just before.
LATELY = 0.01

_AWAITED = frozenset({Claim, Verdict, Ack})


class Path(Protocol):
    """Links of another lane, which live on a loop of their own. Used on that loop's thread only."""

    loop: asyncio.AbstractEventLoop
    thread: int  #: identity of the loop's thread

    def send(self, origin: Origin, message: Message) -> bool:
        """Queue a message for a peer that will answer it; False when it is to go over the mesh instead."""

    def push(self, origin: Origin, message: Message) -> bool:
        """The same for one that nobody answers."""

    def flush(self) -> None:
        """Hand what is queued to the links now, not at the end of the turn."""


def is_awaited(message: Message) -> bool:
    """Whether somebody waits for this message: a claim, its verdict, or what must be merged or told before a reply."""
    if isinstance(message, Delta):
        return message.urgent and message.sworm != DIRECTORY
    return type(message) in _AWAITED


def is_push(effect: Any) -> bool:
    """Whether an effect sends a change of a sworm's map that nobody waits for."""
    return type(effect) is Send and type(effect.message) is Delta and effect.message.sworm != DIRECTORY


def push(effects: Iterable[Send], path: Path) -> list[Send]:
    """Send over the path what it takes; returns the rest, in order."""
    rest = [effect for effect in effects if not path.push(effect.to, effect.message)]
    path.flush()
    return rest


def take(effects: Iterable[Any], path: Path) -> list[Any]:
    """Send over the path what is awaited, with all that leaves together with it for the same peer, in order.

    Returns the rest, in order.
    """
    effects = list(effects)
    eager = {effect.to for effect in effects if type(effect) is Send and is_awaited(effect.message)}
    if not eager:
        return effects
    rest = []
    for effect in effects:
        if not (type(effect) is Send and effect.to in eager and path.send(effect.to, effect.message)):
            rest.append(effect)
    path.flush()
    return rest
