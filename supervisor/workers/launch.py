"""Starts the operating-system processes of an agent's workers.

Law: every child is forked by one thread that lives as long as the agent, because the kernel's parent-death signal fires
when the forking *thread* ends. A child gets the agent's import path and none of its secrets.
"""

# ruff: noqa: BLE001 - users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

#: Environment that users' code in a child has no need of: it asks its agent instead.
SECRETS = frozenset({
    "SWORM_CLUSTER_KEY", "SWORM_SECRET_KEY", "SWORM_TOKEN", "DATABASE_URL", "REDIS_URL",
})  # fmt: skip

_ROOT = str(Path(__file__).resolve().parent.parent.parent)


class Child(NamedTuple):
    """A child that runs."""

    process: subprocess.Popen[bytes]
    pidfd: int  #: readable exactly when it has ended
    output: int  #: read end of its stdout and stderr


def environment() -> dict[str, str]:
    """The environment of a child: the agent's without its secrets, and an import path that finds this package."""
    env = {name: value for name, value in os.environ.items() if name not in SECRETS}
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    env["PYTHONPATH"] = os.pathsep.join([*paths, *([] if _ROOT in paths else [_ROOT])])
    env["PYTHONUNBUFFERED"] = "1"
    return env


def launch(pipe: socket.socket) -> Child:
    """Start a child that speaks frames on `pipe`. Blocks for some milliseconds; raises `OSError`."""
    fd = pipe.fileno()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "supervisor.workers.child", str(fd), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(fd,),
        env=environment(),
        start_new_session=True,  # a Ctrl-C in the agent's terminal is the agent's business
    )
    assert process.stdout is not None
    output = os.dup(process.stdout.fileno())
    process.stdout.close()
    return Child(process, os.pidfd_open(process.pid), output)


def kill(child: Child, number: signal.Signals) -> None:
    """Signal a child and whatever it started; nothing happens when it has ended."""
    if child.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, number)


def ending(code: int) -> str:
    """An exit status for people."""
    if code < 0:
        return f"the process was killed by {signal.Signals(-code).name}"
    return f"the process ended with exit status {code}"


class _Wish(NamedTuple):
    pipe: socket.socket
    answer: asyncio.Future[Child]


class Launcher:
    """The thread that forks. One for each workers' loop; started at its first use."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.wishes: queue.SimpleQueue[_Wish] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None

    async def launch(self, pipe: socket.socket) -> Child:
        """Start a child in the thread. Raises `OSError`."""
        if self.thread is None:
            self.thread = threading.Thread(target=self._run, name="launcher", daemon=True)
            self.thread.start()
        answer: asyncio.Future[Child] = self.loop.create_future()
        self.wishes.put(_Wish(pipe, answer))
        return await answer

    def _run(self) -> None:
        while True:
            wish = self.wishes.get()
            try:
                child = launch(wish.pipe)
            except Exception as error:
                self._tell(wish.answer.set_exception, error)
            else:
                self._tell(wish.answer.set_result, child)

    def _tell(self, end: object, value: object) -> None:
        try:
            self.loop.call_soon_threadsafe(end, value)  # type: ignore[arg-type]
        except RuntimeError:
            return  # the loop has ended: the agent is leaving, and its end is the child's
