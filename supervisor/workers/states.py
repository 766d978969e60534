"""The state of one `Worker` object: asked for when it moves, at intervals, and when a duplicate of it lost.

Law: a method that gives or takes state is a turn of its own, between two messages, and what it returned is packed
before the next one begins. Each question has one end: the state, no state, or why there is none. A worker that
defines no such method is not asked and costs no turn.
"""

# ruff: noqa: ASYNC109, BLE001 - a time-out is part of the contract; users' code raises anything, and costs only itself

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from registry.core.ids import Pid
from supervisor.errors import described
from supervisor.workers.base import Worker
from supervisor.workers.protocol import Executor, kept
from supervisor.workers.turns import Turns
from supervisor.workers.values import is_pending, pack_state, unpack

#: A method of the host that is told the state, whether there is one, and what went wrong.
Tell = Callable[[Executor, bytes, bool, str], None]


def take(one: Turns, timeout: float) -> None:
    """See `Executor.take_state`."""
    worker, tell = one.worker, one.host.state_taken
    if worker is None or one.ending:
        tell(one, b"", False, "the worker is not running")
    elif type(worker).begin_handoff is Worker.begin_handoff:
        tell(one, b"", False, "")
    elif one.busy or inspect.iscoroutinefunction(worker.begin_handoff):
        state = one.in_turn(partial(_packed, worker.begin_handoff))
        kept(one.begin(_answer(one, timeout, state, tell, "state")))
    else:
        _take_at_once(one, worker, timeout)


def _take_at_once(one: Turns, worker: Worker, timeout: float) -> None:
    """An idle worker's `def begin_handoff` runs in the caller's turn."""
    one.busy = True
    try:
        state = one.context.run(worker.begin_handoff)
        packed = b"" if is_pending(state) else pack_state(state)
    except BaseException as error:
        one.host.state_taken(one, b"", False, described(error))
    else:
        if is_pending(state):
            kept(one.begin(_take_on(one, timeout, state)))
            return
        one.host.state_taken(one, packed, True, "")
    one.idle()


async def _take_on(one: Turns, timeout: float, pending: Any) -> None:
    try:
        await _answer(one, timeout, _packed(lambda: pending), one.host.state_taken, "state")
    finally:
        one.idle()


def checkpoint(one: Turns, timeout: float) -> None:
    """See `Executor.take_checkpoint`."""
    worker, tell = one.worker, one.host.checkpoint_taken
    if worker is None or one.ending:
        tell(one, b"", False, "the worker is not running")
    elif type(worker).begin_handoff is Worker.begin_handoff and type(worker).checkpoint is Worker.checkpoint:
        tell(one, b"", False, "")
    else:
        state = one.in_turn(partial(_packed, worker.checkpoint))
        kept(one.begin(_answer(one, timeout, state, tell, "checkpoint")))


def give(one: Turns, loser: Pid, state: bytes) -> None:
    """See `Executor.give_state`."""
    kept(one.begin(_give(one, loser, state)))


async def _packed(method: Callable[[], Any]) -> bytes:
    """What a method returns, packed within its turn: the next message may change what was returned."""
    outcome = method()
    return pack_state(await outcome if is_pending(outcome) else outcome)


async def _answer(one: Turns, timeout: float, state: Awaitable[bytes], tell: Tell, what: str) -> None:
    try:
        async with asyncio.timeout(timeout):
            packed = await state
    except TimeoutError:
        tell(one, b"", False, f"no {what} within {timeout:g} s")
    except BaseException as error:
        tell(one, b"", False, described(error))
    else:
        tell(one, packed, True, "")


async def _give(one: Turns, loser: Pid, state: bytes) -> None:
    assert one.worker is not None
    resolve = one.worker.resolve_conflict
    problem = ""
    try:
        value = unpack(state)
        await one.in_turn(lambda: resolve(value))
    except BaseException as error:
        problem = described(error)
    one.host.state_given(one, loser, problem)
