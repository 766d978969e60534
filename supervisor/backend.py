"""Who carries out the verbs of `Sworm`: the boundary between the public API and what is behind it.

Law: one backend for each operating-system process, set once when it starts. In an agent it is the agent itself (local
reads, calls on the workers' loop); in a child that runs one worker it asks its agent; in any other Django process it
sends commands through the broker and reads the read model. The verbs mean the same everywhere. This module imports
nothing that does anything, so that a worker's module may import `Sworm` anywhere.
"""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol, TypeVar

from registry.core.ids import Pid
from registry.core.names import Spec
from supervisor.core.spec import Definition
from supervisor.errors import SwormError

Result = TypeVar("Result")

#: Seconds that a verb waits when it is not told otherwise.
DEFAULT_TIMEOUT = 5.0


class Registered(NamedTuple):
    """What `register` found or made."""

    pid: Pid
    already: bool = False  #: it was running before


class Backend(Protocol):
    """The verbs. Every waiting one ends within its time-out (seconds) in a result or an error of `supervisor.errors`.

    Guarantees: `whereis`, `registered`, `members`, `cast` and `publish` return at once, without another node. `call`
    and `cast` keep the order of one caller's messages to one name. Errors are raised, never returned. Duties of a
    caller: values are MessagePack values; they are copied before they reach a worker.
    """

    async def register(self, definition: Definition, name: str, spec: Spec, timeout: float) -> Registered:
        """Start a process under a name unless one runs. `spec.isolation` empty: the definition's.

        The definition serves where the sworm has no row yet. Raises `StartError` and its kin, `Refused`, `NoAnswer`.
        """
        ...

    async def give_name(self, definition: Definition, name: str, pid: Pid, timeout: float) -> bool:
        """Give a running process a further name; False: it is taken. Raises `NotRegistered`, `Refused`, `NoAnswer`."""
        ...

    async def unregister(self, sworm: str, name: str, timeout: float) -> None:
        """Stop the process of a name and end the name. Raises `NotRegistered`, `NoAnswer`."""
        ...

    def whereis(self, sworm: str, name: str) -> Pid | None:
        """The pid that runs under a name, as known here."""
        ...

    def registered(self, sworm: str) -> list[tuple[str, Pid]]:
        """Every name and its pid, as known here, in no order."""
        ...

    def call(self, sworm: str, name: str, message: Any, timeout: float) -> Coroutine[Any, Any, Any]:
        """Send a message and wait for the reply. Raises `NotRegistered` or a `CallError`."""
        ...

    def cast(self, sworm: str, name: str, message: Any) -> None:
        """Send a message at most once and do not wait. Raises `NotRegistered` when the name is unknown here."""
        ...

    async def join(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """Put the process of a name, or of a pid (the other is empty), into a group. Raises `NotRegistered`,
        `NoAnswer`.
        """
        ...

    async def leave(self, sworm: str, group: str, name: str, pid: Pid, timeout: float) -> None:
        """Take it out again. Raises as `join`."""
        ...

    def members(self, sworm: str, group: str) -> list[tuple[str, Pid]]:
        """Name and pid of each member, as known here, by name."""
        ...

    def publish(self, sworm: str, group: str, message: Any) -> None:
        """Send a message to each member known here, at most once, and do not wait."""
        ...

    async def multi_call(self, sworm: str, group: str, message: Any, timeout: float) -> dict[str, Any]:
        """Call each member known here: {name: reply, or the `SwormError` instead of it}."""
        ...

    async def restart(self, sworm: str, name: str, timeout: float) -> None:
        """Restart a running or failed process. Raises `NotRegistered`, `NoAnswer`."""
        ...

    async def handoff(self, sworm: str, name: str, to: str | None, timeout: float) -> None:
        """Move a process with its state to a node (None: wherever it belongs). Raises `NotRegistered`, `Refused`."""
        ...

    def wait(self, verb: Coroutine[Any, Any, Result]) -> Result:
        """Run one of the verbs above to its end for a caller without an event loop.

        Raises `RuntimeError` when called where waiting would block an event loop.
        """
        ...


class NoBackend(SwormError):
    """This process is not connected to a cluster: it is no agent, and no Django process with a broker."""

    code = "no_backend"


_backend: Backend | None = None  # a plain global, because `whereis_name` reads it a million times a second
_fallbacks: list[Callable[[], Backend]] = []


def use_backend(backend: Backend | None) -> Backend | None:
    """Make this the backend of the whole process; returns the one before it. None: back to the fallback."""
    global _backend
    before, _backend = _backend, backend
    return before


def use_fallback(factory: Callable[[], Backend] | None) -> None:
    """What makes the backend at its first use where none was set: the broker's client, in a Django process."""
    _fallbacks[:] = [factory] if factory is not None else []


def current_backend() -> Backend:
    """The backend of this process. Raises `NoBackend` when there is none."""
    if _backend is None:
        if not _fallbacks:
            raise NoBackend
        use_backend(_fallbacks[0]())
    assert _backend is not None
    return _backend
