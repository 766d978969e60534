"""Operating-system processes: started in sessions of their own, known again later, ended for certain.

Law: a process is known by its id *and* the time it started, since ids are used again; a zombie does not run. A part
holds nothing of the launcher's terminal: its input is empty and its output goes to a file.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

#: A log beyond this size is set aside (one older one is kept) when its part starts again, in bytes.
LOG_LIMIT = 20 * 1024 * 1024

#: After SIGKILL only the kernel's own work remains, in seconds.
_KILL_PATIENCE = 10.0

#: From linux/prctl.h.
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Running:
    """One process: its id, and when it started by the kernel's clock (seconds since 1970)."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Running:
        """The process that has this id now; one that has ended already is remembered as started never."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(pid, 0.0)

    def process(self) -> psutil.Process | None:
        """The living process, or None."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created) < 0.5
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        found = self.process()
        if found is not None:
            try:
                found.send_signal(number)
            except psutil.NoSuchProcess:
                return

    def family(self) -> list[Running]:
        """It and everything it started that still runs."""
        found = self.process()
        if found is None:
            return []
        try:
            children = found.children(recursive=True)
            return [self, *(Running(child.pid, child.create_time()) for child in children)]
        except psutil.NoSuchProcess:
            return [self]


class Child(Protocol):
    """A process that the launcher started and has to reap, as `subprocess.Popen` is one."""

    pid: int
    returncode: int | Any

    def poll(self) -> int | None:
        """How it ended; None while it runs."""


class Adopted:
    """A child that somebody else forked for us."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # its first parent still lives, or somebody has waited for it
                return None if Running.of(self.pid).alive else -1
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def adopt_orphans() -> None:
    """From now on this process is the parent of those descendants whose own parent ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def rotate(log: Path) -> None:
    """Set a log aside that has grown too large; one older one is kept."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))


def spawn(command: Sequence[str], environ: Mapping[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a part: own session, no input, output appended to `log`."""
    rotate(log)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def wait_ended(processes: Iterable[Running], patience: float) -> bool:
    """Wait until none of them runs; False when one still does after `patience` seconds."""
    deadline = time.monotonic() + patience
    return all(_wait_one(process, deadline) for process in list(processes))


def _wait_one(process: Running, deadline: float) -> bool:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if not process.alive:  # the id belongs to something else by now, or waits for its parent
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(descriptor)


def end(processes: Iterable[Running], number: int, patience: float) -> list[Running]:
    """Ask with a signal, wait, then kill whatever is left with all it started; returns those that had to be killed."""
    asked = [process for process in processes if process.alive]
    families = [member for process in asked for member in process.family()]
    for process in asked:
        process.signal(number)
    wait_ended(asked, patience)
    late = [process for process in asked if process.alive]
    left = [member for member in families if member.alive]
    for member in left:
        member.signal(signal.SIGKILL)
    wait_ended(left, _KILL_PATIENCE)
    return late
