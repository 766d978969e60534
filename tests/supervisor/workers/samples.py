"""Workers that misbehave, or behave, for the tests; importable by agents' children too."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import weakref
from functools import wraps
from os import system  # noqa: F401 - must not be reachable as a target of this module
from pathlib import Path
from typing import Any

from supervisor import AlreadyStarted, NotHandled, Sworm, SwormError, Worker, WorkerCrashed, current
from supervisor.backend import current_backend


class Large(Worker):
    """Answers with so many bytes, or with the number of what it gets."""

    def handle_call(self, message: Any) -> Any:
        return b"x" * message if isinstance(message, int) else len(message)


class Echo(Worker):
    """Answers with what it is told; does what it is told."""

    def init(self, **kept: Any) -> None:
        self.kept = kept
        self.casts: list[Any] = []
        self.terminated = ""

    def handle_call(self, message: Any) -> Any:
        match message:
            case {"raise": text}:
                raise ValueError(text)
            case {"exit": code}:
                sys.exit(code)
            case {"refuse": text}:
                raise NotHandled(text)
            case "who":
                return [self.sworm, self.name, self.pid, self.epoch]
            case "current":
                return [current().sworm, current().name, current().pid, current().epoch]
            case "casts":
                return self.casts
            case "kept":
                return self.kept
            case "object":
                return object()
            case "finish":
                self.finish()
                return "bye"
            case "os_pid":
                return os.getpid()
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        return message

    def handle_cast(self, message: Any) -> None:
        if message == "raise":
            raise ValueError("cast")
        self.casts.append(message)

    def begin_handoff(self) -> Any:
        return self.casts

    def end_handoff(self, state: Any) -> None:
        self.casts = state

    def resolve_conflict(self, state: Any) -> None:
        self.casts += state


class Slow(Worker):
    """Waits for the test: its handlers are `async def`, and each ends when the test says so."""

    gates: dict[str, asyncio.Event] = {}
    log: list[str] = []
    hook: Any = None  # awaited within each call

    @classmethod
    def fresh(cls) -> None:
        cls.gates, cls.log, cls.hook = {}, [], None

    @classmethod
    def gate(cls, key: str) -> asyncio.Event:
        return cls.gates.setdefault(key, asyncio.Event())

    async def handle_call(self, message: Any) -> Any:
        self.log.append(f"begin {message}")
        if Slow.hook is not None:
            await Slow.hook()
        await self.gate(message).wait()
        if message.startswith("raise"):
            raise ValueError(message)
        self.log.append(f"end {message}")
        return message

    async def handle_cast(self, message: Any) -> None:
        await self.handle_call(message)

    async def begin_handoff(self) -> Any:
        await self.gate("handoff").wait()
        return self.log

    async def terminate(self, reason: str) -> None:
        self.log.append(f"terminate {reason}")


class SlowStart(Worker):
    async def init(self) -> None:
        await Slow.gate("init").wait()

    async def end_handoff(self, state: Any) -> None:
        Slow.log.append(f"state {state}")


class Plain(Worker):
    """Nothing but the defaults."""


class BadInit(Worker):
    def init(self, *args: Any) -> None:
        raise ValueError("no seat")


class ExitInit(Worker):
    async def init(self) -> None:
        sys.exit(3)


class BadState(Worker):
    def begin_handoff(self) -> Any:
        return object()


class BigState(Worker):
    def begin_handoff(self) -> Any:
        return b"x" * (5 * 1024 * 1024)


class Mailbox(Worker):
    """Remembers every message in the order in which it came."""

    def init(self) -> None:
        self.letters: list[Any] = []

    def handle_call(self, message: Any) -> Any:
        if message == "all":
            return self.letters
        self.letters.append(message)
        return message

    def handle_cast(self, message: Any) -> None:
        self.letters.append(message)

    def begin_handoff(self) -> Any:
        return self.letters

    def end_handoff(self, state: Any) -> None:
        self.letters = state


class Keeping(Echo):
    """Has a checkpoint of its own, since its handoff ends something."""

    def begin_handoff(self) -> Any:
        raise AssertionError("this one moves only")

    async def checkpoint(self) -> Any:
        return {"casts": self.casts, "age": self.restored_age_ms}


class RaisingState(Worker):
    def begin_handoff(self) -> Any:
        raise ValueError("no state")

    def resolve_conflict(self, state: Any) -> None:
        raise ValueError("no merge")


class Poller(Worker):
    """Does something beside its messages."""

    def init(self, fail: bool) -> None:
        self.spawn(self.poll(fail))

    async def poll(self, fail: bool) -> None:
        try:
            await Slow.gate("poll").wait()
            if fail:
                raise ValueError("poll")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            Slow.log.append("poll cancelled")
            raise


def through(function: Any) -> Any:
    @wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    wrapper.__wrapped__ = None  # type: ignore[attr-defined]
    return wrapper


class Hidden(Worker):
    """Its `def` handler returns an awaitable."""

    @through
    async def handle_call(self, message: Any) -> Any:
        await Slow.gate("hidden").wait()
        if message == "raise":
            raise ValueError("hidden")
        return message


class Stubborn(Worker):
    async def handle_call(self, message: Any) -> Any:
        for _ in range({"once": 1, "always": 4}[message]):
            try:
                await Slow.gate("free").wait()
            except asyncio.CancelledError:
                Slow.log.append("cancelled")
                if message == "once":
                    raise


async def forgetful() -> None:
    """Its hook waits for something that nobody but the hook holds."""

    async def resolve(state: Any) -> None:
        waits = asyncio.get_running_loop().create_future()
        Slow.hook = weakref.ref(waits)
        await waits

    current().on_conflict(resolve)  # type: ignore[attr-defined]
    await Slow.gate("never").wait()


async def room(topic: str) -> None:
    """A chat room: keeps what it is told."""
    me = current()
    lines: list[Any] = me.state or []
    me.on_handoff(lambda: lines)  # type: ignore[attr-defined]
    me.on_conflict(lines.extend)  # type: ignore[attr-defined]
    while True:
        message = await me.receive()
        match message.value:
            case "all":
                message.reply([topic, *lines])
            case "who":
                message.reply([me.sworm, me.name, me.pid, me.epoch])
            case "raise":
                raise ValueError("room")
            case "return":
                return
            case "exit":
                sys.exit(0)
            case "no":
                message.refuse("not here")
            case "hold":
                await Slow.gate("hold").wait()
                message.reply("held")
            case line:
                lines.append(line)


async def sleeper() -> None:
    await asyncio.Event().wait()


async def deaf() -> None:
    for _ in range(4):
        try:
            await Slow.gate("free").wait()
        except asyncio.CancelledError:
            Slow.log.append("ignored")


def job(path: str, text: str) -> None:
    """A plain function that knows nothing of Sworm."""
    sys.stdout.write("working\n")
    Path(path).write_text(text)


def endless(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    try:
        while True:
            time.sleep(0.05)
    finally:
        Path(path).write_text("cleaned")


def failing() -> None:
    raise ValueError("job")


def leaving(code: int) -> None:
    sys.exit(code)


number = 7


class Asked(Sworm):
    """The sworm that workers here ask about."""


class Asker(Worker):
    """Uses the public verbs, and answers with what came of it."""

    def init(self, **kept: Any) -> None:
        self.kept = kept

    async def handle_call(self, message: Any) -> Any:
        try:
            return await self.ask(message)
        except AlreadyStarted as error:
            return f"already {error.pid}"
        except WorkerCrashed as error:
            return f"WorkerCrashed: {error}"
        except (SwormError, RuntimeError) as error:
            return type(error).__name__

    async def ask(self, message: str) -> Any:
        match message:
            case "register" | "again":
                return await Asked.register_name("other", "chat:Room")
            case "whereis":
                return await asyncio.to_thread(Asked.whereis_name, "other")
            case "registered":
                return await asyncio.to_thread(Asked.registered)
            case "reads":
                return [Asked.whereis_name("other"), Asked.registered(), Asked.members("all")]
            case "groups":
                return await self.groups()
            case "call":
                return await Asked.call("other", {"a": 1}, timeout=2.0)
            case "crash":
                return await Asked.call("other", "crash")
            case "cast":
                return Asked.cast("other", 7)
            case "unregister":
                return await Asked.unregister_name("other")
            case "itself":
                return await current_backend().call("chat", self.name, 1, 1.0)
            case "sync":
                return Asked.sync.call("other", 1)

    async def groups(self) -> Any:
        given = await Asked.register_name("further", pid="n1.1.1")
        await Asked.join("all", name="further")
        await Asked.join("all", name="other")
        await Asked.leave("all", name="other")
        Asked.publish("all", 3)
        return [given, await Asked.multi_call("all", 7)]


def plain_asker() -> None:
    Asked.cast("other", Asked.sync.call("plain", 1, timeout=2.0))
    Asked.sync.registered()
