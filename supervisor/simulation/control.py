"""The control plane over a simulated cluster: rows, a read model that lags, and the engine that carries operations out.

Law: the machines are the real ones (`supervisor.core.operation`, `supervisor.core.emptying`). What is played is what
stands around them in `supervisor.engine`, `supervisor.driving` and `supervisor.draining`: rows that are changed under
the term of one observer, all or nothing; an observer that may die, or be replaced while it goes on, between any two of
its deeds; and whoever follows it knows the rows alone. Commands go by `supervisor.simulation.courier`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from registry.core.directory import ALL_SWORMS, CORDONED, DRAINING, OBSERVING
from registry.core.ids import Origin, node_of
from registry.core.names import MOVED
from supervisor.core.constraints import eligible, of_definition
from supervisor.core.operation import End, Fact, Rules, Step
from supervisor.simulation.courier import Courier
from supervisor.simulation.engine import Engine
from supervisor.simulation.feature import SWORM
from supervisor.simulation.world import Host, World

#: Deeds between which an observer may end.
POINTS = ("taken up", "looked", "stored", "asked", "answered")


class Seen(NamedTuple):
    """A node as the read model shows it."""

    incarnation: int
    status: str  #: alive, suspect, draining, left, dead
    takes: bool  #: not cordoned, hosts the sworm, and meets its constraints


@dataclass(slots=True)
class Row:
    """An operation as it is stored."""

    number: int
    kind: str
    rules: Rules
    steps: dict[int, Step]
    state: str = "pending"
    cancelled: bool = False
    end: End | None = None
    begun: list[float] = field(default_factory=list)  #: when each attempt was stored
    origin: Origin = ""  #: drain: which incarnation
    deadline: float = 0.0  #: drain: until when it shall have handed everything over


class Control:
    """What outlives observers: the rows, the read model, the term."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.random = chance
        self.rows: list[Row] = []
        self.facts: dict[str, Fact] = {}
        self.nodes: dict[str, Seen] = {}
        self.courier = Courier(world, chance)
        self.term = 0
        self.engine: Engine | None = None
        self.vantage: Host | None = None
        self.report_lag = 0.05  #: virtual seconds
        #: Called between any two deeds of an engine; may raise `Died`.
        self.at_point: Callable[[str, Engine], None] = lambda point, engine: None
        self.stored: Callable[[Row, Iterable[Step], End | None], None] = lambda row, steps, end: None

    # -------------------------------------------------------------------------------------------------------- reading

    def open(self) -> list[Row]:
        """The operations that have not ended."""
        return [row for row in self.rows if row.end is None]

    def observe(self) -> None:
        """Commit what the observer's replica shows now; that of a living host stands for it."""
        host = self.vantage
        if host is None or not host.up:
            live = self.world.live()
            host = self.vantage = self.random.choice(live) if live else None
        if host is None or host.paused:
            return
        self._observe_nodes(host)
        replica = host.node.replicas.get(SWORM)
        self.facts = {
            name: Fact(found.pid, node_of(found.origin), found.entry.epoch, _shown(found.entry.state))
            for name, found in (replica.index.items() if replica else ())
            if found.entry.spec is not None
        }

    def _observe_nodes(self, host: Host) -> None:
        definition = host.node.definitions.get(SWORM)
        demands = of_definition(definition.constraints) if definition else ()
        infos = host.node.members()
        for info in infos:
            record, known = info.record, self.nodes.get(info.node)
            if record.status == OBSERVING or (known and known.incarnation > info.incarnation):
                continue
            status = "draining" if info.state == "alive" and record.status == DRAINING else info.state
            hosts = SWORM in record.sworms or ALL_SWORMS in record.sworms
            takes = hosts and record.status != CORDONED and eligible(demands, record.labels)
            self.nodes[info.node] = Seen(info.incarnation, status, takes)
        for name in self.nodes.keys() - {info.node for info in infos}:  # remembered by nobody, but here
            seen = self.nodes[name]
            if seen.status not in ("left", "dead"):
                left = host.node.member.left.get(name) == seen.incarnation
                self.nodes[name] = seen._replace(status="left" if left else "dead")

    def takers(self) -> frozenset[str]:
        """The nodes that take processes."""
        return frozenset(n for n, seen in self.nodes.items() if seen.takes and seen.status in ("alive", "suspect"))

    def heard_until(self) -> float:
        """Until when what nodes say of themselves has come in: reports wait in the broker."""
        return self.world.now - self.report_lag

    # -------------------------------------------------------------------------------------------------------- writing

    def begin(self, kind: str, steps: Iterable[Step], rules: Rules) -> Row:
        """Store a new operation."""
        row = Row(len(self.rows), kind, rules, {step.number: step for step in steps})
        self.rows.append(row)
        return row

    def begin_drain(self, node: str, seconds: float) -> Row:
        """Store that a node shall hand everything over, and leave."""
        names = sorted(name for name, fact in self.facts.items() if fact.node == node)
        row = self.begin("drain", [Step(n, SWORM, name, node) for n, name in enumerate(names)], Rules())
        row.origin, row.deadline = f"{node}.{self.nodes[node].incarnation}", self.world.now + seconds
        return row

    def cancel(self, row: Row) -> None:
        """Somebody wants no more of it."""
        if row.state == "pending":
            row.state, row.end = "cancelled", End("cancelled", "", "cancelled before it began")
        elif row.end is None:
            row.cancelled = True

    def take_up(self, term: int, row: Row) -> bool:
        """Begin, or go on; False under an old term or when it has ended."""
        if term != self.term or row.end is not None:
            return False
        row.state = "running"
        return True

    def store(self, term: int, row: Row, steps: Iterable[Step], end: End | None) -> bool:
        """Store what changed, all or nothing; False under an old term or when it has ended."""
        if term != self.term or row.end is not None:
            return False
        steps = list(steps)
        self.stored(row, steps, end)
        row.steps.update((step.number, step) for step in steps)
        if end is not None:
            row.end, row.state = end, end.state
        return True

    # ------------------------------------------------------------------------------------------------------ observers

    def start(self) -> None:
        """An observer takes the term; whoever had it may not have noticed."""
        self.term += 1
        self.vantage = None
        self.engine = Engine(self, self.term)
        self.world.at(0.0, self.engine.run)

    def stop(self) -> None:
        """The observer ends, and nobody follows it."""
        if self.engine is not None:
            self.engine.dead = True

    def replace(self) -> None:
        """Another observer takes over and does a turn, while the one before it still is in the middle of one."""
        self.start()
        if self.engine is not None:
            self.engine.turn()


def _shown(state: str) -> str:
    return "handing_off" if state == MOVED else state
