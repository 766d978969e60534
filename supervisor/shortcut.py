"""The call lane as a way for the registry's messages that somebody waits for.

Law: used on the workers' loop only. A peer whose workers' loop answers nothing for `PATIENCE` gets its messages over
the control lane, whose loop no worker can hold up, until it has been heard again or `AGAIN` has passed. Whether it is
dialled is decided here; whether a message arrives is nobody's promise.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol

from registry.core.ids import Origin
from registry.mesh.protocol import Mesh, Message
from supervisor.linger import Linger

#: Seconds that a peer may leave unanswered what is sent this way.
PATIENCE = 0.05

#: Seconds after which a peer that left something unanswered is tried again, and one without a link dialled again.
AGAIN = 1.0


class Directory(Protocol):
    """What is read of the registry."""

    def call_url(self, origin: Origin) -> str:
        """Where a node takes calls; empty when it is not known."""


class Shortcut:
    """A `registry.byway.Path` over the mesh of lane "calls"."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        mesh: Mesh,
        directory: Directory,
        deliver: Callable[[Origin, Any], None],
        linger: Linger,
    ) -> None:
        """Made on the workers' loop. `deliver` takes what peers send this way; `linger` is the loop's."""
        self.loop = loop
        self.thread = threading.get_ident()
        self._mesh = mesh
        self._directory = directory
        self._deliver = deliver
        self._linger = linger
        self._unanswered: dict[Origin, float] = {}  #: peer -> since when, by the loop's clock
        self._dialled: dict[Origin, float] = {}

    def send(self, origin: Origin, message: Message) -> bool:
        """See `Path.send`."""
        now = self.loop.time()
        if self._is_silent(origin, now):
            return False
        if not self._mesh.send(origin, message):
            self._dial(origin, now)
            return False
        since = self._unanswered.get(origin)
        if since is None or now - since >= AGAIN:
            self._unanswered[origin] = now
        self._linger.sent()
        return True

    def _is_silent(self, origin: Origin, now: float) -> bool:
        since = self._unanswered.get(origin)
        return since is not None and PATIENCE < now - since < AGAIN

    def push(self, origin: Origin, message: Message) -> bool:
        """See `Path.push`."""
        return not self._is_silent(origin, self.loop.time()) and self._mesh.send(origin, message)

    def flush(self) -> None:
        """See `Path.flush`."""
        self._mesh.flush()

    def received(self, origin: Origin, message: Any) -> None:
        """A peer used this way, so its workers' loop turns."""
        self._unanswered.pop(origin, None)
        self._deliver(origin, message)

    def _dial(self, origin: Origin, now: float) -> None:
        if now - self._dialled.get(origin, -AGAIN) < AGAIN:
            return
        for since in (self._dialled, self._unanswered):  # what is older says nothing, and its peer may be gone
            for peer in [peer for peer, at in since.items() if now - at >= AGAIN]:
                del since[peer]
        self._dialled[origin] = now
        self._unanswered.pop(origin, None)
        url = self._directory.call_url(origin)
        if url:
            self._mesh.connect(url, origin)
