"""One message to many: casts and calls to the members of a group.

Law: on the workers' loop. Each member is a letter of its own: one that is gone, or fails, costs the others nothing.
"""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from registry.core.ids import Pid
from supervisor.calls import Router
from supervisor.errors import BadValue, SwormError
from supervisor.workers.values import copied

Members = Iterable[tuple[str, Pid]]


def publish(router: Router, members: Members, sworm: str, message: Any) -> None:
    """Cast a message to every member; those that are gone meanwhile get none. Raises `BadValue`."""
    message = copied(message)
    for name, _ in members:
        try:
            router.cast(sworm, name, message)
        except BadValue:
            raise
        except SwormError:
            continue  # it ended, or has failed: a cast is at most once


async def multi_call(router: Router, members: Members, sworm: str, message: Any, timeout: float) -> dict[str, Any]:
    """Call every member at once: {name: reply, or the error instead of it}. Raises `BadValue`."""
    message = copied(message)
    names = [name for name, _ in members]
    replies = await asyncio.gather(*(_one(router, sworm, name, message, timeout) for name in names))
    return dict(zip(names, replies, strict=True))


async def _one(router: Router, sworm: str, name: str, message: Any, timeout: float) -> Any:
    try:
        return await router.call(sworm, name, message, timeout)
    except SwormError as error:
        return error
