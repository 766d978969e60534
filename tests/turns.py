"""Waiting on an event loop: for a condition, a turn at a time.

Law: nobody waits for a time. A condition that never comes to be ends the test after a generous limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

#: Seconds after which a condition counts as never met; the machine may be busy.
LIMIT = 30.0

#: Turns after which it may depend on another thread or process, which gets the processor meanwhile.
QUICK = 50


async def until(condition: Callable[[], Any]) -> Any:
    """Let the loop turn until something is so, and return it. Raises `TimeoutError`."""
    turns = 0
    async with asyncio.timeout(LIMIT):
        while not (met := condition()):
            turns += 1
            await asyncio.sleep(0 if turns < QUICK else 0.001)
    return met
