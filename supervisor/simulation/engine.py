"""One observer of a simulated control plane, at work at the operations.

Law: as `supervisor.engine` and its runners, `supervisor.driving` and `supervisor.draining`, with one deed after the
other; between any two of them the observer may die, or be replaced while it goes on. The machines are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from registry.core.ids import node_of, origin_of_pid
from supervisor.core import emptying
from supervisor.core.operation import RESTART, Answered, Ask, Cancelled, End, Looked, Store
from supervisor.core.operation import Work as Machine
from supervisor.simulation.courier import cancel_drain, drain_host
from supervisor.simulation.feature import SWORM

if TYPE_CHECKING:
    from supervisor.simulation.control import Control, Row

#: Virtual seconds between two turns.
TURN = 0.25


class Died(Exception):
    """The observer has ended in the middle of a deed."""


class Engine:
    """One observer's work at the operations."""

    def __init__(self, control: Control, term: int) -> None:
        self.control = control
        self.term = term
        self.runners: dict[int, Runner] = {}
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
        if row.number not in self.runners:
            if not self.control.take_up(self.term, row):
                return
            self.runners[row.number] = runner_of(self.control, row)
            self.point("taken up")
        runner = self.runners[row.number]
        now = self.control.world.now
        effects: list[Any] = []
        if row.cancelled and not runner.machine.cancelled:
            effects += runner.machine.step(Cancelled(), now)
        answers, runner.answers = runner.answers, []
        for answer in answers:
            effects += runner.machine.step(answer, now)
        effects += runner.machine.step(runner.look(), now)
        self.point("looked")
        self._carry_out(row, runner, effects)

    def _carry_out(self, row: Row, runner: Runner, effects: list[Any]) -> None:
        changed = {effect.step.number: effect.step for effect in effects if isinstance(effect, Store)}
        end = next((effect for effect in effects if isinstance(effect, End)), None)
        if (changed or end) and not self.control.store(self.term, row, changed.values(), end):
            del self.runners[row.number]
            return
        if changed or end:
            self.point("stored")
        for effect in effects:
            if isinstance(effect, Ask | emptying.Ask):
                runner.ask(effect, partial(self._answered, runner))
                self.point("asked")

    def _answered(self, runner: Runner, answer: Any) -> None:
        """A command has its end: of interest to nobody once this observer has ended."""
        if self.dead:
            return
        try:
            runner.answers.append(answer)
            self.point("answered")
        except Died:
            self.dead = True


class Runner(Protocol):
    """One operation under way at an engine."""

    answers: list[Any]

    @property
    def machine(self) -> Any:
        """The state machine."""

    def look(self) -> Any:
        """What the read model shows, as an event of the machine."""

    def ask(self, effect: Any, then: Callable[[Any], None]) -> None:
        """Send a command; `then` gets the answer, as an event of the machine."""


def runner_of(control: Control, row: Row) -> Runner:
    """What carries an operation out, or goes on with it."""
    return DrainRunner(control, row) if row.kind == "drain" else StepsRunner(control, row)


class StepsRunner:
    """An operation that goes process by process, as `supervisor.driving`."""

    def __init__(self, control: Control, row: Row) -> None:
        self.control, self.row = control, row
        self.machine = Machine(row.steps.values(), row.rules)
        self.answers: list[Any] = []

    def look(self) -> Looked:
        """See `Runner`."""
        facts, steps = self.control.facts, self.machine.steps
        return Looked({n: facts.get(steps[n].name) for n in self.machine.wanted()}, self.control.takers())

    def ask(self, effect: Ask, then: Callable[[Any], None]) -> None:
        """See `Runner`."""
        control, step = self.control, effect.step
        nodes = [(n, s.incarnation) for n, s in control.nodes.items() if s.status in ("alive", "draining", "suspect")]
        control.random.shuffle(nodes)
        nodes.sort(key=lambda node: node[0] != node_of(step.pid))
        claim = f"{self.row.number}/{step.number}/{step.attempts}"

        def told(code: str, detail: str) -> None:
            then(Answered(step.number, step.attempts, code, detail))

        control.courier.send("restart" if self.row.rules.goal == RESTART else "move", step, claim, nodes, told)


class DrainRunner:
    """A drain, as `supervisor.draining`."""

    def __init__(self, control: Control, row: Row) -> None:
        self.control, self.row = control, row
        self.machine = emptying.Emptying(node_of(row.origin), row.deadline, row.steps.values(), control.world.now)
        self.answers: list[Any] = []

    def look(self) -> emptying.Seen:
        """See `Runner`."""
        control, origin, steps = self.control, self.row.origin, self.machine.steps
        seen = control.nodes.get(node_of(origin))
        status = seen.status if seen and f"{node_of(origin)}.{seen.incarnation}" == origin else ""
        left = frozenset((SWORM, name) for name, fact in control.facts.items() if origin_of_pid(fact.pid) == origin)
        facts = {n: control.facts.get(steps[n].name) for n in self.machine.away(left)}
        said = [report for at, report in control.world.reports if report.pid == origin and at <= control.heard_until()]
        lost = frozenset((r.sworm, r.name) for r in said if r.kind == emptying.LEFT_BEHIND)
        return emptying.Seen(status, left, facts, any(report.kind == "drain_ended" for report in said), lost)

    def ask(self, effect: emptying.Ask, then: Callable[[Any], None]) -> None:
        """See `Runner`."""

        def told(code: str, detail: str) -> None:
            then(emptying.Answered(effect.what, code, detail))

        world = self.control.world
        drain, cancel = partial(drain_host, world, effect.seconds), partial(cancel_drain, world)
        obey = drain if effect.what == emptying.DRAIN else cancel
        self.control.courier.command(obey, self.row.origin, emptying.ON_ITS_WAY, told)
