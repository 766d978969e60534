"""The base class of workers that are objects.

Law: a `Worker` knows nothing of the cluster but who it is. Its methods run one at a time, in the order of its messages;
each may be `def` or `async def`. While an `async def` waits, no other message of this worker is handled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Protocol

from supervisor.errors import NotHandled

log = logging.getLogger("supervisor.workers")

OWNER = "_owner"  #: the attribute in which a worker finds what runs it


class Owner(Protocol):
    """What runs a worker, as the worker sees it."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Run a coroutine that ends with the worker."""
        ...

    def finish(self) -> None:
        """End the worker after the message in hand."""
        ...


class Worker:
    """One process under one name. Override what you need; the rest has a sensible default.

    `name`, `sworm`, `pid` and `epoch` are set before `init`. The epoch grows with each incarnation of the name: hand it
    to whatever outside must refuse an older one (a fencing token).
    """

    name: str = ""
    sworm: str = ""
    pid: str = ""
    epoch: int = 0
    #: Milliseconds since the state was taken that `end_handoff` is given, when its node died meanwhile: what was
    #: acknowledged since then is missing from it. None: a living node handed it over, and nothing is.
    restored_age_ms: int | None = None
    _owner: Owner

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Start, with the arguments given to `register_name`. An exception here means: not started."""
        if args or kwargs:
            raise TypeError(f"{type(self).__name__} takes no arguments: it has no init")

    def handle_call(self, message: Any) -> Any:
        """Answer a message; what this returns is the reply.

        An exception reaches the caller as `WorkerCrashed` and ends this worker; the restart strategy decides what then.
        Raise `NotHandled` to refuse one message and go on.
        """
        raise NotHandled(f"{type(self).__name__} takes no calls")

    def handle_cast(self, message: Any) -> Any:
        """Take a message that nobody waits for. An exception ends this worker."""
        log.warning("%s/%s: %s takes no casts; one was dropped", self.sworm, self.name, type(self).__name__)

    def begin_handoff(self) -> Any:
        """The state that moves with the process, a MessagePack value. After this no further message is handled here."""
        return None

    def checkpoint(self) -> Any:
        """The state to be kept on other nodes while this worker goes on, a MessagePack value; asked for every
        `checkpoint_interval_ms`, between two messages. The default asks `begin_handoff`: override this when that one
        ends something, as closing a file.
        """
        return self.begin_handoff()

    def end_handoff(self, state: Any) -> Any:
        """Take over the state that `begin_handoff` or `checkpoint` gave on another node; called once, right after
        `init`. `restored_age_ms` tells whether its node died, and how old the state is.
        """
        log.warning(
            "%s/%s: a state was handed off, and %s has no end_handoff", self.sworm, self.name, type(self).__name__
        )

    def resolve_conflict(self, state: Any) -> Any:
        """Merge the state of a duplicate that lost after a network split. The default keeps the own state."""

    def terminate(self, reason: str) -> Any:
        """Clean up. `reason` is what stopped it: "shutdown", "crashed", "finished" … Not called when `init` failed."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Run a coroutine beside the messages. It is cancelled when the worker ends; an exception in it ends the
        worker.
        """
        return self._owner.spawn(coroutine)

    def finish(self) -> None:
        """End normally after the message in hand, as a game that is over does."""
        self._owner.finish()
