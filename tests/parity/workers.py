"""What runs inside the agents: the sworms, their processes, and the scribes that carry out verbs there.

Law: public API only, as in anybody's own module. A scribe does what it is asked on its own node and answers with the
result, or with the error's name, so that a test sees what a worker's code sees.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import threading
from typing import Any

from supervisor import AlreadyStarted, Sworm, SwormError, Worker, current

log = logging.getLogger(__name__)


class Rooms(Sworm):
    """Processes that move with their state."""

    handoff = True


class Stateless(Sworm):
    """Processes that move without it."""


class Passing(Sworm):
    """Processes that are never restarted."""

    restart = "temporary"


class Lasting(Sworm):
    """Processes that are always restarted."""

    restart = "permanent"


class Fragile(Sworm):
    """Processes that may crash once."""

    max_restarts = 1
    max_seconds = 60.0


class Scribes(Sworm):
    """Whoever carries out verbs for a test."""


class Boards(Sworm):
    """Where a function that takes no messages writes down what it saw."""


SWORMS: dict[str, type[Sworm]] = {
    sworm.name: sworm for sworm in (Rooms, Stateless, Passing, Lasting, Fragile, Scribes, Boards)
}


# -------------------------------------------------------------------------------------------------------------- scribes


async def carry_out(wish: dict[str, Any]) -> dict[str, Any]:
    """One verb: {"verb", "sworm", "args", "kwargs", "sync"} -> {"result"} or {"error", "detail", "pid"}."""
    if "together" in wish:
        return {"result": await asyncio.gather(*map(carry_out, wish["together"]))}
    try:
        if wish.get("sync"):
            return {"result": told(await asyncio.to_thread(carry_out_sync, wish))}
        outcome = getattr(SWORMS[wish["sworm"]], wish["verb"])(*wish["args"], **wish["kwargs"])
        return {"result": told(await outcome if inspect.isawaitable(outcome) else outcome)}
    except (SwormError, RuntimeError, ValueError) as error:
        return refused(error)


def carry_out_sync(wish: dict[str, Any]) -> Any:
    """The same through the synchronous twin; raises."""
    return getattr(SWORMS[wish["sworm"]].sync, wish["verb"])(*wish["args"], **wish["kwargs"])


def told(result: Any) -> Any:
    """A result as a message: the errors of a multi_call are named."""
    if isinstance(result, dict):
        return {name: refused(one) if isinstance(one, SwormError) else one for name, one in result.items()}
    return [list(one) if isinstance(one, tuple) else one for one in result] if isinstance(result, list) else result


def refused(error: Exception) -> dict[str, Any]:
    """An error as a message."""
    pid = error.pid if isinstance(error, AlreadyStarted) else ""
    return {"error": type(error).__name__, "detail": str(error), "pid": pid}


class Scribe(Worker):
    """A scribe as a class."""

    async def handle_call(self, message: Any) -> Any:
        """One wish."""
        return await carry_out(message)


async def scribe() -> None:
    """A scribe as a coroutine function."""
    async for message in current():  # type: ignore[attr-defined]
        message.reply(await carry_out(message.value))


def plain_scribe(wishes: list[dict[str, Any]]) -> None:
    """A scribe as a plain function: it carries out what it was started with, and leaves the outcome on its board."""
    outcomes: list[Any] = []
    for wish in wishes:
        try:
            outcomes.append({"result": told(carry_out_sync(wish))})
        except (SwormError, RuntimeError, ValueError) as error:
            outcomes.append(refused(error))
    Boards.sync.call(current().name, {"write": [current().pid, outcomes]})


class Board(Worker):
    """Keeps what was written on it."""

    def init(self) -> None:
        """It is empty."""
        self.written: Any = None

    def handle_call(self, message: Any) -> Any:
        """`{"write": value}` writes; anything reads."""
        if isinstance(message, dict) and "write" in message:
            self.written = message["write"]
        return self.written


# ------------------------------------------------------------------------------------------------------------ processes


class Keeper(Worker):
    """Keeps what it is told, and takes it along."""

    def init(self, *kept: Any) -> None:
        """What it keeps at first."""
        self.kept = list(kept)

    def handle_call(self, message: Any) -> Any:
        """`{"keep": value}`; `"kept"`; `"crash"`; `"finish"`; `"os_pid"`; `"names"`: who it is."""
        match message:
            case {"keep": value}:
                self.kept.append(value)
            case "crash":
                raise RuntimeError("as asked")
            case "finish":
                self.finish()
            case "os_pid":
                return os.getpid()
            case "who":
                return [self.sworm, self.name, self.pid, self.epoch]
        return self.kept

    def handle_cast(self, message: Any) -> None:
        """Kept."""
        self.kept.append(message)

    def begin_handoff(self) -> Any:
        """All of it."""
        return self.kept

    def end_handoff(self, state: Any) -> None:
        """All of it."""
        self.kept = state

    def resolve_conflict(self, state: Any) -> None:
        """What both sides kept."""
        self.kept += state

    def terminate(self, reason: str) -> None:
        """Says goodbye in the node's log."""
        log.warning("%s terminates: %s", self.name, reason)


async def keeper(*kept: Any) -> None:
    """The same as a coroutine function."""
    me: Any = current()
    held = me.state if me.state is not None else list(kept)
    me.on_handoff(lambda: held)
    me.on_conflict(held.extend)
    try:
        async for message in me:
            match message.value:
                case {"keep": value}:
                    held.append(value)
                case "crash":
                    raise RuntimeError("as asked")
                case "finish":
                    message.reply(held)
                    return
                case "os_pid":
                    message.reply(os.getpid())
                case "who":
                    message.reply([me.sworm, me.name, me.pid, me.epoch])
            message.reply(held)
    finally:
        log.warning("%s is over", me.name)


def idle() -> None:
    """A plain function that knows nothing of Sworm and never returns."""
    try:
        threading.Event().wait()
    finally:
        log.warning("%s is over", current().name)


def brief() -> None:
    """A plain function that is done at once."""


def faulty() -> None:
    """A plain function that raises at once."""
    raise ValueError("no seat for a function")


class Failing(Worker):
    """Cannot start."""

    def init(self) -> None:
        """Raises."""
        raise ValueError("no such seat")


async def failing(seat: int) -> None:
    """Cannot start without its argument."""


class Stubborn(Worker):
    """Ends for no word and no SIGTERM. Only ever isolated."""

    def init(self) -> None:
        """Ignores SIGTERM."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def handle_call(self, message: Any) -> Any:
        """Its process."""
        return os.getpid()

    def terminate(self, reason: str) -> None:
        """Never comes back."""
        threading.Event().wait()


class SlowStart(Worker):
    """Takes a moment to start."""

    async def init(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


class Sleeping(Worker):
    """Never answers."""

    async def handle_call(self, message: Any) -> Any:
        """Waits for good."""
        await asyncio.Event().wait()
