"""Which process the running code belongs to.

Law: every worker's code runs in a context of its own, not in that of whoever called it. `current()` reads it there, so
it is right in handlers, in tasks they start, and in threads started with `asyncio.to_thread`.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisor.workers.protocol import Executor
    from supervisor.workers.tasks import Message

_executor: contextvars.ContextVar[Executor] = contextvars.ContextVar("sworm_executor")


class Current:
    """The process that the running code belongs to: who it is. A coroutine function also gets its mailbox here."""

    __slots__ = ("epoch", "name", "pid", "restored_age_ms", "state", "sworm")

    def __init__(self, executor: Executor, state: Any = None) -> None:
        self.sworm = executor.sworm
        self.name = executor.name
        self.pid = executor.pid
        self.epoch = executor.epoch  #: grows with each incarnation of the name: a fencing token
        self.restored_age_ms = executor.restored_age_ms  #: of a state whose node died; None: nothing is missing from it
        self.state = state  #: what the last incarnation handed over; None: nothing

    async def receive(self) -> Message:
        """The next call or cast. Only a coroutine function has a mailbox; a `Worker` has its handlers."""
        raise RuntimeError("a Worker gets its messages in handle_call and handle_cast")


def scope_of(executor: Executor, empty: contextvars.Context) -> contextvars.Context:
    """A context of its own for one process's code."""
    context = empty.copy()
    context.run(_executor.set, executor)
    return context


def current_executor() -> Executor | None:
    """What runs the code that asks; None outside workers."""
    return _executor.get(None)


def current() -> Current:
    """The process that the running code belongs to. Raises `RuntimeError` outside a worker."""
    executor = _executor.get(None)
    if executor is None:
        raise RuntimeError("current() was called outside a worker")
    return executor.current()
