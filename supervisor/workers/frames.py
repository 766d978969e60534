"""What an agent and the child that runs one of its workers say to each other, and how it is framed.

Law: a frame is four bytes of length and a MessagePack list that starts with its kind. Both ends are of one version: the
agent starts the child from its own files. Frames of one direction arrive in order; nothing else is promised.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from supervisor.errors import BadValue
from supervisor.workers.values import pack, unpack

# Agent to child.
START = 1  #: serial, sworm, name, pid, epoch, target, arguments, restored_age_ms or None, state or None
CALL = 2  #: id, message
CAST = 3  #: id, message
FREEZE = 4  #: answered by what was not begun (`BOUNCED`), then `FROZEN`
THAW = 5
TAKE_STATE = 6  #: timeout in seconds
GIVE_STATE = 7  #: loser, state
STOP = 8  #: reason
ANSWER = 9  #: id, result
REFUSAL = 10  #: id, code, detail, pid
TAKE_CHECKPOINT = 11  #: timeout in seconds

# Child to agent.
STARTED = 20  #: what kind of worker it is: one of `KINDS`
FAILED = 21  #: code, detail
EXITED = 22  #: normal, detail, id of the last message that was read
REPLY = 23  #: id, value
FAILURE = 24  #: id, code, detail
BOUNCED = 25  #: id
FROZEN = 26
STATE_TAKEN = 27  #: state, stateful, problem
STATE_GIVEN = 28  #: loser, problem
CHECKPOINT_TAKEN = 30  #: state, stateful, problem
ASK = 29  #: id, verb, arguments: a verb of the public API

OBJECT = "object"
COROUTINE = "coroutine"
FUNCTION = "function"
KINDS = (OBJECT, COROUTINE, FUNCTION)

#: Bytes of one frame: a state of the largest size, and then some.
MAX_FRAME = 16 * 1024 * 1024

_LENGTH = 4
_READ = 65_536  #: bytes taken at once


class BrokenFrame(Exception):
    """The other end does not speak frames."""


def framed(*fields: Any) -> bytes:
    """One frame. Raises `BadValue` for what is no MessagePack value, or too large."""
    body = pack(fields)
    if len(body) > MAX_FRAME:
        raise BadValue(f"too large: {len(body)} bytes; at most {MAX_FRAME} travel")
    return len(body).to_bytes(_LENGTH, "big") + body


class Frames(asyncio.Protocol):
    """One end of the pipe: whole frames go to `receive`, in order; `closed` is called once, at its end."""

    def __init__(self, receive: Callable[[list[Any]], None], closed: Callable[[], None]) -> None:
        self.receive = receive
        self.closed = closed
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.waiting: deque[list[Any]] = deque()  #: whole frames that `receive` has not had

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol.connection_made`."""
        # uvloop has classes of its own for transports, with the same methods.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`."""
        self._take(data)
        self.drain()

    def _take(self, data: bytes) -> None:
        self.buffer += data
        start = 0
        while len(self.buffer) - start >= _LENGTH:
            length = int.from_bytes(self.buffer[start : start + _LENGTH], "big")
            if length > MAX_FRAME:
                self.close()
                raise BrokenFrame(f"a frame of {length} bytes")
            end = start + _LENGTH + length
            if len(self.buffer) < end:
                break
            self.waiting.append(unpack(bytes(self.buffer[start + _LENGTH : end])))
            start = end
        del self.buffer[:start]

    def drain(self) -> None:
        """Hand on what has come."""
        while self.waiting:
            self.receive(self.waiting.popleft())

    def wait_for(self, is_meant: Callable[[list[Any]], bool], timeout: float) -> list[Any]:
        """Block the loop's own thread until one frame has come; those before it wait for `drain`, in order.

        Raises `TimeoutError` after `timeout` seconds, or when the other end takes nothing of what was sent.
        """
        end = time.monotonic() + timeout
        if self.transport is None or self.transport.get_write_buffer_size():
            raise TimeoutError
        fd = self.transport.get_extra_info("socket").fileno()
        seen = 0
        while True:
            for index in range(seen, len(self.waiting)):
                if is_meant(self.waiting[index]):
                    frame = self.waiting[index]
                    del self.waiting[index]
                    return frame
            seen = len(self.waiting)
            if not select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            data = os.read(fd, _READ)
            if not data:
                self.closed()
                raise TimeoutError
            self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol.connection_lost`."""
        self.transport = None
        self.closed()

    def send(self, *fields: Any) -> None:
        """Queue a frame; one for a closed pipe is lost. Raises `BadValue`."""
        data = framed(*fields)
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        """Close after what was sent so far."""
        if self.transport is not None:
            self.transport.close()
