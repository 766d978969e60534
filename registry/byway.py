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

#: Seconds that sends which nobody waits for may wait for company before the mesh's loop is woken for them.
COMPANY = 0.001

_AWAITED = frozenset({Claim, Verdict, Ack})


class Path(Protocol):
    """Links of another lane, which live on a loop of their own. Used on that loop's thread only."""

    loop: asyncio.AbstractEventLoop
    thread: int  #: identity of the loop's thread

    def send(self, origin: Origin, message: Message) -> bool:
        """Queue a message for a peer; False when it is to go over the mesh instead."""

    def flush(self) -> None:
        """Hand what is queued to the links now, not at the end of the turn."""


def is_awaited(message: Message) -> bool:
    """Whether somebody waits for this message: a claim, its verdict, or what must be merged or told before a reply."""
    if isinstance(message, Delta):
        return message.urgent and message.sworm != DIRECTORY
    return type(message) in _AWAITED


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
