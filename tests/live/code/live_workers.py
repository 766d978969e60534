"""Workers that behave as badly as people's own may; a live cluster runs them.

Law: nothing here is imported by a test. Agents find this module through PYTHONPATH, as they would find anybody's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from os import system
from typing import Any

from supervisor import NotRegistered, Sworm, SwormError, Worker

__all__ = [
    "Blocking",
    "Collapsing",
    "Crashing",
    "Dying",
    "Exiting",
    "Failing",
    "Heavy",
    "Leaving",
    "Sender",
    "Vanishing",
    "system",
]


class Blocking(Worker):
    """Holds on to its event loop, which it should not."""

    def handle_call(self, message: Any) -> Any:
        """`{"block_s": 3}` blocks; anything comes back as it is."""
        if isinstance(message, dict) and "block_s" in message:
            time.sleep(message["block_s"])
        return message


class Failing(Worker):
    """Cannot start."""

    def init(self) -> None:
        """Fails."""
        raise ValueError("no such seat")


class Leaving(Worker):
    """Ends at once, in order."""

    def init(self) -> None:
        """Ends after itself."""
        self.finish()


class Exiting(Worker):
    """Wants to take the whole process with it."""

    def init(self) -> None:
        """Tries."""
        sys.exit(3)


class Vanishing(Worker):
    """Takes the whole process with it. Only ever isolated."""

    def init(self) -> None:
        """Does."""
        os._exit(3)


class Crashing(Worker):
    """Crashes when it is told to."""

    def handle_call(self, message: Any) -> Any:
        """`"crash"` crashes; anything else comes back as it is."""
        if message == "crash":
            raise RuntimeError("as asked")
        return message


class Collapsing(Worker):
    """Starts, and crashes by itself."""

    def init(self) -> None:
        """Starts what will crash."""
        self.spawn(self.collapse())

    async def collapse(self) -> None:
        """Crashes."""
        raise RuntimeError("by itself")


class Dying(Worker):
    """Starts, and takes its process with it. Only ever isolated."""

    def init(self) -> None:
        """Starts what will end everything."""
        self.spawn(self.die())

    async def die(self) -> None:
        """Ends everything."""
        os._exit(4)


async def brief_coroutine() -> None:
    """A coroutine that is over at once."""


def brief() -> None:
    """A plain function that is over at once."""


class Heavy(Worker):
    """Counts, with a state of a given size; remembers the order of what it was told."""

    def init(self, size: int = 0, gives_after_s: float = 0.0) -> None:
        """Start at 0; the state takes so long to give."""
        self.gives_after_s = gives_after_s
        self.ballast = b"x" * size
        self.count = self.given = 0
        self.told: list[Any] = []

    def handle_call(self, message: Any) -> Any:
        """ "increment" counts; "get" tells count, size of the state and its age; a pair is remembered; "told" tells;
        "given" tells how often the state was asked for.
        """
        if message == "increment":
            self.count += 1
            return self.count
        if message in ("told", "given"):
            return getattr(self, message)
        if isinstance(message, list):
            self.told.append(message)
            return len(self.told)
        return {"count": self.count, "size": len(self.ballast), "age_ms": self.restored_age_ms}

    def handle_cast(self, message: Any) -> None:
        """A pair is remembered."""
        self.told.append(message)

    async def begin_handoff(self) -> Any:
        """All of it."""
        self.given += 1
        await asyncio.sleep(self.gives_after_s)
        return [self.count, self.ballast, self.told]

    def end_handoff(self, state: Any) -> None:
        """All of it."""
        self.count, self.ballast, self.told = state


class Sender(Worker):
    """Sends numbered messages to one process until it is told to stop, by casts and calls in turn."""

    def init(self, sworm: str, to: str) -> None:
        """To whom."""
        self.pool = type("Pool", (Sworm,), {"name": sworm})
        self.to = to
        self.sent: list[list[Any]] = []
        self.stopping = False
        self.over = asyncio.Event()

    async def handle_call(self, message: Any) -> Any:
        """ "start" begins; "stop" ends, and returns [number, "cast" or "call", reply, or error; "" for a cast sent]."""
        if message == "start":
            self.spawn(self.send())
            return None
        self.stopping = True
        await self.over.wait()
        return self.sent

    async def send(self) -> None:
        """One after the other; what is not known at the moment is not sent."""
        number = 0
        while not self.stopping:
            number += 1
            if number % 2:
                self.sent.append([number, "cast", await self.cast(number)])
            else:
                self.sent.append([number, "call", await self.call(number)])
        self.over.set()

    async def cast(self, number: int) -> str:
        """Empty, or why it was not sent."""
        await asyncio.sleep(0)
        try:
            self.pool.cast(self.to, [self.name, number])
        except NotRegistered as error:
            return error.code
        return ""

    async def call(self, number: int) -> Any:
        """The reply, or the error's code."""
        try:
            return await self.pool.call(self.to, [self.name, number], timeout=10.0)
        except SwormError as error:
            return error.code
