"""The verbs on groups: a part of `Sworm`, and its twin for callers without an event loop.

Law: a group is there as long as it has members, and needs no making. A member is a process with a name in the sworm:
joined by its pid, by a name, or (neither given) as the worker that asks. Joining and leaving may be repeated. Whoever
publishes or calls reaches the members that this process knows of; each answers for itself.
"""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

from typing import Any, ClassVar

from registry.core.ids import Pid, check_name, is_pid
from supervisor.backend import DEFAULT_TIMEOUT, current_backend
from supervisor.errors import NotRegistered
from supervisor.workers.scope import current


def own_pid() -> Pid:
    """The pid of the worker whose code runs. Raises `ValueError` outside a worker."""
    try:
        return current().pid
    except RuntimeError:
        raise ValueError("only a worker has a pid of its own: say which process is meant") from None


def check_pid(pid: object) -> Pid:
    """A pid unchanged. Raises `NotRegistered` for what cannot be one, `TypeError` for what is no text."""
    if not isinstance(pid, str):
        raise TypeError(f"a pid is a str, not {type(pid).__name__}")
    if not is_pid(pid):
        raise NotRegistered(f"no process has the pid {pid!r:.300}")
    return pid


class Grouped:
    """Groups of a sworm's processes."""

    name: ClassVar[str]

    @classmethod
    async def join(
        cls, group: str, pid: Pid | None = None, *, name: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """Put a process into a group: the one of this pid, of this name, or the worker that asks.

        It stays in when it restarts in place or moves, and is out when it ends. Raises `NotRegistered` when it has no
        name in this sworm, `NoAnswer`.
        """
        who = _member(pid, name)
        await current_backend().join(cls.name, check_name(group, "group"), *who, timeout)

    @classmethod
    async def leave(
        cls, group: str, pid: Pid | None = None, *, name: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """Take a process out of a group, as it was put in. Raises `NotRegistered`, `NoAnswer`."""
        who = _member(pid, name)
        await current_backend().leave(cls.name, check_name(group, "group"), *who, timeout)

    @classmethod
    def members(cls, group: str) -> list[Pid]:
        """The pids of a group's members, as known here, in the order of their names."""
        return [pid for _, pid in current_backend().members(cls.name, check_name(group, "group"))]

    @classmethod
    def publish(cls, group: str, message: Any) -> None:
        """Send a message to every member, at most once, and do not wait."""
        current_backend().publish(cls.name, check_name(group, "group"), message)

    @classmethod
    async def multi_call(cls, group: str, message: Any, *, timeout: float = DEFAULT_TIMEOUT) -> dict[str, Any]:
        """Call every member at once: {name: its reply, or the `SwormError` that it ended in}.

        Never raises for a single member; `timeout` in seconds holds for each.
        """
        return await current_backend().multi_call(cls.name, check_name(group, "group"), message, timeout)


class SyncGrouped:
    """The same, waited for."""

    __slots__ = ("_sworm",)

    _sworm: type[Grouped]

    def join(
        self, group: str, pid: Pid | None = None, *, name: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """`Sworm.join`, waited for."""
        current_backend().wait(self._sworm.join(group, pid or _own(name), name=name, timeout=timeout))

    def leave(
        self, group: str, pid: Pid | None = None, *, name: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """`Sworm.leave`, waited for."""
        current_backend().wait(self._sworm.leave(group, pid or _own(name), name=name, timeout=timeout))

    def members(self, group: str) -> list[Pid]:
        """`Sworm.members`."""
        return self._sworm.members(group)

    def publish(self, group: str, message: Any) -> None:
        """`Sworm.publish`."""
        self._sworm.publish(group, message)

    def multi_call(self, group: str, message: Any, *, timeout: float = DEFAULT_TIMEOUT) -> dict[str, Any]:
        """`Sworm.multi_call`, waited for."""
        return current_backend().wait(self._sworm.multi_call(group, message, timeout=timeout))


def _own(name: str | None) -> Pid | None:
    """Whoever waits may wait on another thread: the asking worker is found before that."""
    return own_pid() if name is None else None


def _member(pid: Pid | None, name: str | None) -> tuple[str, Pid]:
    """(name, pid) of the process meant; one of them is empty."""
    if name is not None:
        if pid is not None:
            raise ValueError("a process is meant by its pid or by a name, not by both")
        return check_name(name), ""
    return "", check_pid(pid) if pid is not None else own_pid()
