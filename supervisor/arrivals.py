"""What peers send to workers of this agent: calls, casts and marks, each given to the worker that it names.

Law: a worker is named by its serial, as the peer found it; nothing is looked up here and nothing sent on to another
node. Whatever is not handled goes back to the peer, who looks again. An idle worker answers in the frame's own turn.
"""

from __future__ import annotations

import asyncio
import logging

from registry.core.ids import Origin
from supervisor.deadlines import Deadlines
from supervisor.errors import BadValue, WorkerCrashed
from supervisor.lane import Call, Cast, Mark
from supervisor.letters import Incoming, IncomingCast, IncomingMark, Post, answer, failure
from supervisor.workers.executor import Workers
from supervisor.workers.protocol import LATER
from supervisor.workers.values import unpack

log = logging.getLogger("supervisor.calls")


class Arrivals:
    """The receiving end of the call lane."""

    __slots__ = ("_deadlines", "_post", "_workers")

    def __init__(self, post: Post, workers: Workers, deadlines: Deadlines) -> None:
        self._post = post
        self._workers = workers
        self._deadlines = deadlines

    def called(self, origin: Origin, call: Call) -> None:
        """A call: it ends in a reply, a failure, or `Bounced`, unless the caller's time passes first."""
        try:
            message = unpack(call.message)
            reply = self._workers.handle(call.serial, message)
        except (WorkerCrashed, BadValue) as error:
            self._post.send(origin, failure(call.id, error))
            return
        if reply is LATER:
            letter = Incoming(self._post, origin, call.id, message)
            self._deadlines.add(letter, call.timeout_ms / 1_000)
            self._workers.deliver(call.serial, letter)
        elif isinstance(reply, asyncio.Future):
            letter = Incoming(self._post, origin, call.id, None)
            reply.add_done_callback(lambda future: _pass_on(future, letter))
        else:
            self._post.send(origin, answer(call.id, reply))

    def was_cast(self, origin: Origin, cast: Cast) -> None:
        """A cast; it goes back whole when it cannot be handled here."""
        try:
            message = unpack(cast.message)
        except BadValue as error:
            log.warning("a cast from %s to %s/%s was dropped: %s", origin, cast.sworm, cast.name, error)
            return
        fields = (cast.sworm, cast.name, cast.serial, cast.message)
        self._workers.deliver(cast.serial, IncomingCast(self._post, origin, fields, message))

    def asked(self, origin: Origin, mark: Mark) -> None:
        """A mark: `Marked` follows once everything before it has passed or gone back."""
        self._workers.deliver(mark.serial, IncomingMark(self._post, origin, mark.id))


def _pass_on(future: asyncio.Future[object], letter: Incoming) -> None:
    if future.cancelled():
        return
    error = future.exception()
    if error is not None:
        letter.fail(error)
    else:
        letter.reply(future.result())
