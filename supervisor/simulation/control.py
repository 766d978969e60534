"""The control plane over a simulated cluster: rows, a read model that lags, and the engine that carries operations out.

Law: the machine is the real one (`supervisor.core.operation`). What is played is what stands around it in
`supervisor.engine` and `supervisor.driving`: rows that are changed under the term of one observer, all or nothing; an
observer that may die, or be replaced while it goes on, between any two of its deeds; and whoever follows it knows the
rows alone. Commands go by `supervisor.simulation.courier`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from registry.core.directory import ALL_SWORMS, CORDONED, DRAINING, OBSERVING
from registry.core.ids import node_of
from registry.core.names import MOVED
from supervisor.core.constraints import eligible, of_definition
from supervisor.core.operation import Answered, Ask, Cancelled, Effect, End, Fact, Looked, Rules, Step, Store
from supervisor.core.operation import Work as Machine
from supervisor.simulation.courier import Courier
from supervisor.simulation.feature import SWORM
from supervisor.simulation.world import Host, World

#: Virtual seconds between two turns of an engine.
TURN = 0.25

#: Deeds between which an observer may end.
POINTS = ("taken up", "looked", "stored", "asked", "answered")


class Died(Exception):
    """The observer has ended in the middle of a deed."""


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
        definition = host.node.definitions.get(SWORM)
        demands = of_definition(definition.constraints) if definition else ()
        for info in host.node.members():
            record, known = info.record, self.nodes.get(info.node)
            if record.status == OBSERVING or (known and known.incarnation > info.incarnation):
                continue
            status = "draining" if info.state == "alive" and record.status == DRAINING else info.state
            hosts = SWORM in record.sworms or ALL_SWORMS in record.sworms
            takes = hosts and record.status != CORDONED and eligible(demands, record.labels)
            self.nodes[info.node] = Seen(info.incarnation, status, takes)
        replica = host.node.replicas.get(SWORM)
        self.facts = {
            name: Fact(found.pid, node_of(found.origin), found.entry.epoch, _shown(found.entry.state))
            for name, found in (replica.index.items() if replica else ())
            if found.entry.spec is not None
        }

    def takers(self) -> frozenset[str]:
        """The nodes that take processes."""
        return frozenset(n for n, seen in self.nodes.items() if seen.takes and seen.status in ("alive", "suspect"))

    # -------------------------------------------------------------------------------------------------------- writing

    def begin(self, kind: str, steps: Iterable[Step], rules: Rules) -> Row:
        """Store a new operation."""
        row = Row(len(self.rows), kind, rules, {step.number: step for step in steps})
        self.rows.append(row)
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


class Engine:
    """One observer's work at the operations."""

    def __init__(self, control: Control, term: int) -> None:
        self.control = control
        self.term = term
        self.machines: dict[int, Machine] = {}
        self.answers: dict[int, list[Answered]] = {}
        self.dead = False

    def run(self) -> None:
        """Turn after turn, until it ends."""
        if not self.dead:
            self.control.observe()
            self.turn()
            self.control.world.at(TURN * self.control.random.uniform(0.2, 1.5), self.run)

    def turn(self) -> None:
        """One round over all open operations."""
        try:
            if self.term != self.control.term:
                raise Died
            for row in self.control.open():
                self._turn_of(row)
        except Died:
            self.dead = True

    def point(self, name: str) -> None:
        """Between two deeds."""
        self.control.at_point(name, self)

    def _turn_of(self, row: Row) -> None:
        control = self.control
        if row.number not in self.machines:
            if not control.take_up(self.term, row):
                return
            self.machines[row.number] = Machine(row.steps.values(), row.rules)
            self.point("taken up")
        machine, now = self.machines[row.number], control.world.now
        effects: list[Effect] = []
        if row.cancelled and not machine.cancelled:
            effects += machine.step(Cancelled(), now)
        for answer in self.answers.pop(row.number, []):
            effects += machine.step(answer, now)
        facts: Mapping[int, Fact | None] = {n: control.facts.get(machine.steps[n].name) for n in machine.wanted()}
        effects += machine.step(Looked(facts, control.takers()), now)
        self.point("looked")
        self._carry_out(row, effects)

    def _carry_out(self, row: Row, effects: list[Effect]) -> None:
        changed = {effect.step.number: effect.step for effect in effects if isinstance(effect, Store)}
        end = next((effect for effect in effects if isinstance(effect, End)), None)
        if (changed or end) and not self.control.store(self.term, row, changed.values(), end):
            del self.machines[row.number]
            return
        if changed or end:
            self.point("stored")
        for effect in effects:
            if isinstance(effect, Ask):
                self._ask(row, effect.step)
                self.point("asked")

    def _ask(self, row: Row, step: Step) -> None:
        host = step.pid.partition(".")[0]
        askable = [
            (n, s.incarnation) for n, s in self.control.nodes.items() if s.status in ("alive", "draining", "suspect")
        ]
        self.control.random.shuffle(askable)
        askable.sort(key=lambda node: node[0] != host)

        def then(code: str, detail: str) -> None:
            if self.dead:
                return
            try:
                self.answers.setdefault(row.number, []).append(Answered(step.number, step.attempts, code, detail))
                self.point("answered")
            except Died:
                self.dead = True

        claim = f"{row.number}/{step.number}/{step.attempts}"
        self.control.courier.send("restart" if row.rules.goal == "restart" else "move", step, claim, askable, then)


def _shown(state: str) -> str:
    return "handing_off" if state == MOVED else state
