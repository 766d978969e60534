"""The letters of the call lane: a message of this node's own callers, or of a peer's, with its way back.

Law: a letter knows who waits for it and nothing about routes. Each ends once; what comes after its end is dropped.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from registry.core.ids import Origin, Pid
from supervisor.errors import BadValue, CallTimeout, NotRegistered, SwormError, WorkerCrashed
from supervisor.lane import Bounced, CastBounced, Failed, Marked, Replied
from supervisor.workers.protocol import Letter
from supervisor.workers.values import MAX_MESSAGE, pack


class Post(Protocol):
    """What letters need of the router."""

    def ended(self, letter: Own) -> None:
        """A letter of this node's own has its end."""
        ...

    def bounced(self, letter: Own, pid: Pid) -> None:
        """A letter of this node's own was not handled."""
        ...

    def settled(self, letter: Incoming) -> None:
        """A call of a peer has its end."""
        ...

    def send(self, origin: Origin, message: tuple[Any, ...]) -> bool:
        """Send a message of the lane to a peer."""
        ...


class Own(Letter):
    """A message of a caller on this node. `sent_to`: where it went last."""

    __slots__ = ("attempts", "due_slot", "id", "name", "post", "sent_to", "serial", "sworm")

    def __init__(self, post: Post, sworm: str, name: str, message: Any) -> None:
        self.message = message
        self.over = False
        self.place = None
        self.post = post
        self.sworm = sworm
        self.name = name
        self.id = 0
        self.due_slot = 0
        self.attempts = 0  #: how often it came back
        self.sent_to: Origin = ""
        self.serial = 0

    def bounce(self, pid: Pid) -> None:
        """See `Letter.bounce`."""
        if not self.over:
            self.post.bounced(self, pid)

    def expire(self) -> None:
        """Its time has passed."""
        if not self.over:
            self.abandon()
            self.fail(self.too_late())

    def too_late(self) -> SwormError:
        """The error for a letter whose time has passed."""
        if self.attempts and not self.sent_to:
            return NotRegistered(f"{self.name!r} was not found again in time")
        return CallTimeout()


class OwnCall(Own):
    """A call; its caller waits on `future`."""

    __slots__ = ("future",)

    def __init__(self, post: Post, sworm: str, name: str, message: Any, future: asyncio.Future[Any]) -> None:
        super().__init__(post, sworm, name, message)
        self.future = future

    def reply(self, value: Any) -> None:
        """See `Letter.reply`."""
        self.over = True
        self.post.ended(self)
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """See `Letter.fail`."""
        self.over = True
        self.post.ended(self)
        if not self.future.done():
            self.future.set_exception(error)


class OwnCast(Own):
    """A cast. `failed` tells why it was dropped, when it was."""

    __slots__ = ("failed",)

    wants_reply = False

    def __init__(self, post: Post, sworm: str, name: str, message: Any) -> None:
        super().__init__(post, sworm, name, message)
        self.failed: BaseException | None = None

    def reply(self, value: Any) -> None:
        """See `Letter.reply`."""
        self.over = True
        self.post.ended(self)

    def fail(self, error: BaseException) -> None:
        """See `Letter.fail`."""
        self.over = True
        self.failed = error
        self.post.ended(self)


class Incoming(Letter):
    """A call of a peer."""

    __slots__ = ("due_slot", "id", "origin", "post")

    def __init__(self, post: Post, origin: Origin, number: int, message: Any) -> None:
        super().__init__(message)
        self.post = post
        self.origin = origin
        self.id = number
        self.due_slot = 0

    def reply(self, value: Any) -> None:
        """See `Letter.reply`."""
        self.over = True
        self.post.settled(self)
        self.post.send(self.origin, answer(self.id, value))

    def fail(self, error: BaseException) -> None:
        """See `Letter.fail`."""
        self.over = True
        self.post.settled(self)
        self.post.send(self.origin, failure(self.id, error))

    def bounce(self, pid: Pid) -> None:
        """See `Letter.bounce`."""
        self.over = True
        self.post.settled(self)
        self.post.send(self.origin, Bounced(self.id, pid))

    def expire(self) -> None:
        """Its caller has given up."""
        if not self.over:
            self.abandon()


class IncomingCast(Letter):
    """A cast of a peer; goes back whole when it is not handled."""

    __slots__ = ("name", "origin", "packed", "post", "serial", "sworm")

    wants_reply = False

    def __init__(self, post: Post, origin: Origin, cast: tuple[str, str, int, bytes], message: Any) -> None:
        super().__init__(message)
        self.post = post
        self.origin = origin
        self.sworm, self.name, self.serial, self.packed = cast

    def bounce(self, pid: Pid) -> None:
        """See `Letter.bounce`."""
        self.post.send(self.origin, CastBounced(self.sworm, self.name, self.serial, pid, self.packed))


class IncomingMark(Letter):
    """A peer's mark: it asks when everything before it has passed."""

    __slots__ = ("id", "origin", "post")

    is_marker = True

    def __init__(self, post: Post, origin: Origin, number: int) -> None:
        super().__init__(None)
        self.post = post
        self.origin = origin
        self.id = number

    def reply(self, value: Any) -> None:
        """See `Letter.reply`."""
        self.post.send(self.origin, Marked(self.id))

    def bounce(self, pid: Pid) -> None:
        """See `Letter.bounce`."""
        self.post.send(self.origin, Marked(self.id))


def answer(number: int, value: Any) -> Replied | Failed:
    """The answer with a reply."""
    try:
        body = pack(value)
    except BadValue as error:
        return Failed(number, WorkerCrashed.code, f"the worker's reply is {error}")
    if len(body) > MAX_MESSAGE:
        return Failed(
            number, WorkerCrashed.code, f"the worker's reply has {len(body)} bytes; at most {MAX_MESSAGE} travel"
        )
    return Replied(number, body)


def failure(number: int, error: BaseException) -> Failed:
    """The answer without one."""
    if isinstance(error, SwormError):
        return Failed(number, error.code, error.detail)
    return Failed(number, WorkerCrashed.code, str(error))
