"""What a node says of itself every few seconds: processor, memory, how late its loops are, whom it reaches by a relay.

Law: measured on the node's loop by its own timer, so that a stalled loop shows as what it is; nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable

import psutil

from registry.core.events import Report
from registry.core.ids import node_of
from registry.core.membership import MemberInfo

#: Seconds between two looks.
EVERY = 5.0


class Vitals:
    """Measures one agent's process and reports it as `stats`. Made, started and stopped on the node's loop."""

    def __init__(
        self, node: str, report: Callable[[Report], None], members: Callable[[], Iterable[MemberInfo]]
    ) -> None:
        """`members`: everybody that the node knows."""
        self._node = node
        self._report = report
        self._members = members
        self._process = psutil.Process()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin; the first figures come after one interval, since load is measured between two looks."""
        self._process.cpu_percent()
        self._again()

    def stop(self) -> None:
        """No figures any more."""
        if self._timer:
            self._timer.cancel()

    def _again(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + EVERY
        self._timer = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        lag = asyncio.get_running_loop().time() - self._due
        stats = {
            "cpu": round(self._process.cpu_percent(), 1),  #: percent of one core
            "rss": self._process.memory_info().rss,  #: bytes
            "loop_lag_ms": round(max(0.0, lag) * 1000, 1),
            "reached_by_relay": by_relay(self._members()),
        }
        self._report(Report("stats", node=self._node, detail=json.dumps({"stats": stats})))
        self._again()


def by_relay(members: Iterable[MemberInfo]) -> str:
    """Whom a node reaches by a relay only, and by which: "n3 by n2, n5 by n2"; empty: it has a link to everybody."""
    return ", ".join(f"{member.node} by {node_of(member.relay)}" for member in members if member.relay)
