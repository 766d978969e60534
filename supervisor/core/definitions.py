"""Which definition of each sworm this node obeys.

Law: the highest revision that any origin of the directory states wins; a deletion is a revision too. A definition that
came with a command is written into the own map, so that the others learn it, until another origin states it as well. So
is one that only departed origins state: they will be forgotten, and who joins later would never learn it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from registry.core.directory import AGREEING, DEFINITION, OBSERVING
from registry.core.events import Report
from registry.core.frozen import frozen
from registry.core.membership import record_of
from registry.core.messages import DIRECTORY
from registry.core.names import Key
from supervisor.core.context import Context
from supervisor.core.spec import Definition, check, definition_of
from supervisor.core.strategies import UNIFORM_QUORUM


def to_wire(definition: Definition) -> tuple[Any, ...]:
    """A definition as it stands in a map: plain values only."""
    return frozen(tuple(definition))  # type: ignore[no-any-return]


def from_wire(value: Any) -> Definition | None:
    """A definition from a map; None when this version cannot obey it."""
    try:
        definition = definition_of(value)
    except (TypeError, ValueError):
        return None
    return None if check(definition) else definition


class Definitions:
    """Keeps `context.definitions` at what the directory says."""

    def __init__(self, context: Context, changed: Callable[[], None] = lambda: None) -> None:
        self.context = context
        self._changed = changed
        self._seen: dict[str, Any] = {}
        self._refused: set[tuple[str, int]] = set()

    def define(self, definition: Definition, publish: bool) -> None:
        """A definition came with a command."""
        known = self._seen.get(definition.name)
        if publish and (known is None or known[1] < definition.revision) and not check(definition):
            self.context.member.write(DIRECTORY, {(DEFINITION, definition.name): to_wire(definition)})
            self.reload()

    def reload(self) -> bool:
        """Read the directory again; True when something changed."""
        best: dict[str, Any] = {}
        copies = self.context.member.directory
        for copy in copies.values():
            for key, value in copy.entries.items():
                if key[0] == DEFINITION and (key[1] not in best or value[1] > best[key[1]][1]):
                    best[key[1]] = value
        self._inherit(best)
        self._tidy(best)
        if best == self._seen:
            return False
        self._seen = best
        self._adopt(best)
        return True

    def _inherit(self, best: dict[str, Any]) -> None:
        """State what no living origin states any more."""
        member = self.context.member
        lost: dict[Key, Any] = {
            (DEFINITION, name): value
            for name, value in best.items()
            if all(
                origin in member.dead
                for origin, copy in member.directory.items()
                if copy.entries.get((DEFINITION, name)) == value
            )
        }
        if lost and member.record.status in AGREEING:
            member.write(DIRECTORY, lost)

    def _tidy(self, best: dict[str, Any]) -> None:
        """Take back what another states as well. Of several agents the first by name keeps it; otherwise two would take
        back at once what each saw at the other.
        """
        me = self.context.me
        spare: dict[Key, Any] = {
            key: None
            for key in self.context.member.directory[me].entries
            if key[0] == DEFINITION and self._kept_elsewhere(key, best[key[1]][1])
        }
        if spare:
            self.context.member.write(DIRECTORY, spare)

    def _kept_elsewhere(self, key: Key, revision: int) -> bool:
        member = self.context.member
        for origin, copy in member.directory.items():
            if origin == self.context.me or origin in member.dead or key not in copy.entries:
                continue
            record = record_of(member.directory, origin)
            keeps = origin < self.context.me or (record is not None and record.status == OBSERVING)
            if keeps and copy.entries[key][1] >= revision:
                return True
        return False

    def _adopt(self, best: dict[str, Any]) -> None:
        context = self.context
        adopted: dict[str, Definition] = {}
        for name, value in best.items():
            definition = from_wire(value)
            if definition is None:
                self._refuse(name, value)
                if name in context.definitions:
                    adopted[name] = context.definitions[name]
            elif not definition.deleted:
                adopted[name] = definition
        context.definitions.clear()
        context.definitions.update(adopted)
        quorum = [name for name, definition in adopted.items() if definition.distribution_strategy == UNIFORM_QUORUM]
        context.by_quorum = frozenset(quorum)
        member = context.member
        member.piece_sizes = {name: definition.max_sync_size for name, definition in adopted.items()}
        intervals = [definition.sync_interval_ms / 1000 for definition in adopted.values()]
        member.sync_interval = min([member.timing.heartbeat, *intervals])
        self._changed()

    def _refuse(self, name: str, value: Any) -> None:
        mark = (name, int(value[1]))
        if mark not in self._refused:
            self._refused.add(mark)
            detail = f"revision {value[1]} has something that this node cannot obey; it keeps the last one"
            self.context.out.append(
                Report("definition_refused", sworm=name, node=self.context.member.node, detail=detail)
            )
