"""What agents report, as rows: the bottom end of the dramatiq actor `report`.

Law: a batch is checked and made of plain values here, before it comes near a table; what is not a report is dropped
with one line in the log, since it would fail for ever. One kind is no event: `stats` carries what a node says of
itself, as {"stats": {…}, "definitions": {sworm: revision}} in JSON, and goes beside the node's row.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from registry.jsonable import jsonable
from registry.readmodel import EventRow, Stats

logger = logging.getLogger(__name__)

#: The kind that says what a node says of itself.
STATS = "stats"

#: Longest detail that is kept, in characters: a traceback's end is worth more than its beginning.
MAX_DETAIL = 8_000

#: Seconds that a report may come from the future: beyond it a clock is wrong, and its event would never be pruned.
AHEAD = 60.0


class Reported(NamedTuple):
    """One batch, as what is to be written."""

    events: list[EventRow]
    stats: list[Stats]


class _Report(msgspec.Struct):
    """One report as it comes. `at` in seconds since 1970."""

    kind: str
    at: float
    sworm: str = ""
    name: str = ""
    pid: str = ""
    node: str = ""
    detail: Any = ""
    epoch: int = 0


def read(batch: Mapping[str, Any]) -> Reported:
    """A batch as it came from the broker."""
    node = str(batch.get("node", ""))
    found = Reported([], [])
    reports = batch.get("reports", ())
    for item in reports if isinstance(reports, list | tuple) else ():
        try:
            _read_one(found, node, msgspec.convert(item, _Report, strict=False))
        except (msgspec.MsgspecError, ValueError) as error:
            logger.warning("a report of %s is dropped: %s", node, error)
    return found


def _read_one(found: Reported, sender: str, report: _Report) -> None:
    if report.kind == STATS:
        found.stats.append(_stats(sender, report.detail))
        return
    if not math.isfinite(report.at):
        raise ValueError("its time is no number")
    found.events.append(
        EventRow(
            at=max(0.0, min(report.at, time.time() + AHEAD)),
            kind=_text(report.kind),
            sworm=_text(report.sworm),
            name=_text(report.name),
            node=_text(report.node or sender),
            pid=_text(report.pid),
            epoch=max(-(2**63), min(report.epoch, 2**63 - 1)),
            detail=_text(str(report.detail))[-MAX_DETAIL:],
        )
    )


def _stats(sender: str, detail: Any) -> Stats:
    told = msgspec.json.decode(detail) if isinstance(detail, str | bytes) else detail
    if not isinstance(told, dict):
        raise ValueError("what a node says of itself must be an object")
    stats, definitions = told.get("stats"), told.get("definitions")
    return Stats(
        sender,
        jsonable(stats) if isinstance(stats, dict) else None,
        jsonable(definitions) if isinstance(definitions, dict) else None,
    )


def _text(value: str) -> str:
    """Text that PostgreSQL and UTF-8 can hold."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def newest(stats: Iterable[Stats]) -> list[Stats]:
    """The last word of each node."""
    return list({one.node: one for one in stats}.values())
