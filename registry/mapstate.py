"""The live map as one web process holds it: all rows, and in which order they changed.

Law: pure values, no I/O. For each key the log keeps the newest change only, in the order of revisions, so that what
lies after any revision is read off its end, in time proportional to what changed. What was removed is remembered up to
a bound; whoever asks for more gets everything. A viewer is a revision and a filter, nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from registry.projection import FORGOTTEN, STREAM_COLUMNS

#: Names that went away and are remembered for those who come back.
MAX_REMOVED = 50_000

#: (sworm, name) of a process, or a node's name.
Key = tuple[str, str] | str

#: Sworms that somebody may see and wants to; None: all.
Filter = frozenset[str] | None

_REVISION = STREAM_COLUMNS.index("revision")


class Change(NamedTuple):
    """What became of some rows up to `rev_to`; the same as in a frame."""

    rev_to: int
    nodes: Sequence[dict[str, Any]]
    rows: Sequence[Sequence[Any]]  #: of `STREAM_COLUMNS`
    removed: Iterable[tuple[int, str, str]]  #: (revision, sworm, name)


class MapState:
    """Nodes and processes at one revision."""

    def __init__(self, max_removed: int = MAX_REMOVED) -> None:
        self._max_removed = max_removed
        self.revision = 0
        self.floor = 0  #: from here on nothing that was removed is forgotten
        self.processes: dict[tuple[str, str], Sequence[Any]] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self._log: dict[Key, int] = {}
        self._removed = 0

    def load(self, whole: Change, floor: int) -> None:
        """Take everything anew."""
        self.__init__(self._max_removed)  # type: ignore[misc]  # it begins as if it had just been made
        self.floor = floor
        self.merge(whole)

    def merge(self, change: Change) -> None:
        """Take over what changed, oldest first; what is known newer already stays."""
        news: list[tuple[int, Key, Any]] = [(row[_REVISION], (row[0], row[1]), row) for row in change.rows]
        news += [(node["revision"], node["name"], node) for node in change.nodes]
        news += [(revision, (sworm, name), None) for revision, sworm, name in change.removed]
        news.sort(key=lambda item: item[0])
        for revision, key, value in news:
            if revision >= self._log.get(key, 0):
                self._put(revision, key, value)
        self.revision = max(self.revision, change.rev_to)
        if self._removed > self._max_removed:
            self._forget_removed()

    def _put(self, revision: int, key: Key, value: Any) -> None:
        known = self._log.pop(key, None) is not None
        self._log[key] = revision
        if isinstance(key, str):
            before = self.nodes.pop(key, {})
            if value["status"] != FORGOTTEN:
                self.nodes[key] = {**before, **value}
            return
        was_removed = known and key not in self.processes
        self._removed += (value is None) - was_removed
        if value is None:
            self.processes.pop(key, None)
        else:
            self.processes[key] = value

    def _forget_removed(self) -> None:
        spare = self._removed - self._max_removed // 2
        gone = [key for key in self._log if not isinstance(key, str) and key not in self.processes][:spare]
        for key in gone:
            self.floor = max(self.floor, self._log.pop(key))
        self._removed -= len(gone)

    # -------------------------------------------------------------------------------------------------------- reading

    def knows(self, since: int) -> bool:
        """Whether what lies after this revision can be told as a diff."""
        return self.floor <= since <= self.revision

    def snapshot(self, wanted: Filter) -> dict[str, Any]:
        """Everything, as a message of the contract."""
        rows = self.processes.values()
        return {
            "type": "snapshot",
            "revision": self.revision,
            "nodes": list(self.nodes.values()),
            "processes": _table(rows if wanted is None else [row for row in rows if row[0] in wanted]),
        }

    def diff(self, sent: int, scanned: int, wanted: Filter) -> dict[str, Any] | None:
        """What lies after `scanned` as a message from `sent` on; None when nothing wanted does."""
        nodes, rows, removed = [], [], []
        for key in self._after(scanned):
            if isinstance(key, str):
                nodes.append(self.nodes.get(key) or {"name": key, "status": FORGOTTEN, "revision": self._log[key]})
            elif wanted is not None and key[0] not in wanted:
                continue
            elif key in self.processes:
                rows.append(self.processes[key])
            else:
                removed.append(key)
        if not (nodes or rows or removed):
            return None
        return _diff(sent, self.revision, nodes, rows, removed)

    def nothing(self, sent: int) -> dict[str, Any]:
        """A diff without a change: the answer to somebody who asks and has all."""
        return _diff(sent, self.revision, [], [], [])

    def _after(self, revision: int) -> Iterator[Key]:
        for key in reversed(self._log):
            if self._log[key] <= revision:
                return
            yield key


def _diff(rev_from: int, rev_to: int, nodes: list[Any], rows: list[Any], removed: list[Any]) -> dict[str, Any]:
    return {
        "type": "diff",
        "rev_from": rev_from,
        "rev_to": rev_to,
        "nodes": nodes,
        "upserts": _table(rows),
        "removed": removed,
    }


def _table(rows: Iterable[Any]) -> dict[str, Any]:
    return {"columns": STREAM_COLUMNS, "rows": list(rows)}
