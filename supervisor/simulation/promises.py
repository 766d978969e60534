"""What operations promise: the oracles over the rows of a simulated control plane, and the faults between its deeds.

Law: an oracle reads what an observer stores before it is stored, and holds it to what the nodes did; it changes
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from registry.core.directory import LEFT
from registry.core.ids import node_of
from supervisor.core.emptying import LEFT_BEHIND
from supervisor.core.events import Effect, OpenGate
from supervisor.core.operation import ASKED, DONE, MOVE, OPEN, RESTART, End, Step
from supervisor.simulation.control import Control, Row
from supervisor.simulation.engine import Died
from supervisor.simulation.oracles import broken
from supervisor.simulation.world import Host, World


class Promises:
    """The oracles of one control plane. Its world calls `stepped`, its control `stored` before it stores."""

    def __init__(self, world: World, control: Control) -> None:
        self.world = world
        self.control = control
        self.opened: dict[str, dict[str, int]] = defaultdict(dict)  #: name -> {pid whose gate has opened: its epoch}
        self.alone = False  #: nobody but this control plane drains nodes
        control.stored = self.stored

    def stepped(self, host: Host, effects: list[Effect]) -> None:
        """Remember what opened where."""
        for effect in effects:
            if isinstance(effect, OpenGate) and effect.serial in host.workers.all:
                started = host.workers.all[effect.serial].effect
                self.opened[started.name][started.pid] = started.epoch

    def stored(self, row: Row, steps: Iterable[Step], end: End | None) -> None:
        """Judge what an observer stores before it is stored."""
        after = row.steps | {step.number: step for step in steps}
        for step in steps:
            before = row.steps[step.number]
            lost = row.kind == "drain" and step.code == LEFT_BEHIND  # what the node said itself is the last word
            if before.state not in OPEN and step != before and not lost:
                raise broken("operation-ends", f"step {step.number} of {row.kind} goes on after it was {before.state}")
            if step.attempts > before.attempts:
                self._begins(row, step)
            if step.state == DONE and row.kind != "drain":
                self._shows(row, step)
        under_way = sum(step.state == ASKED for step in after.values())
        if under_way > row.rules.width:
            raise broken("operation-keeps-pace", f"{under_way} steps of {row.kind} are under way")
        left = [step.name for step in after.values() if step.state in OPEN]
        if row.kind == "drain":
            self._drained(row, end)
            left = []  # what a drain that failed or was given up has not moved stays as it is
        if end is not None and (left or (end.state == "failed" and not (end.code and end.detail))):
            raise broken("operation-ends", f"{row.kind} ended as {end} with {left} open")

    def _drained(self, row: Row, end: End | None) -> None:
        """A drain that succeeded has left nothing running; one that was cancelled is none any more."""
        host = self.world.hosts[row.origin]
        if end is not None and end.state == "succeeded":
            running = [worker.effect.name for worker in host.workers.running()] if host.up else []
            lost = [step.name for step in row.steps.values() if step.code == LEFT_BEHIND]
            if running or lost or (host.up and host.node.member.record.status != LEFT):
                raise broken("operation-shows", f"the drain of {row.origin} succeeded; {running} run, {lost} are lost")
        drains = host.up and not host.paused and host.node.context.draining
        if end is not None and end.state == "cancelled" and drains and self.alone:
            raise broken("cancel-stops", f"the drain of {row.origin} was cancelled, and it drains")

    def _begins(self, row: Row, step: Step) -> None:
        now, per_minute = self.world.now, row.rules.per_minute
        if row.cancelled:
            raise broken("cancel-stops", f"step {step.number} of {row.kind} begins after it was cancelled")
        if per_minute and row.begun and now - row.begun[-1] < 60 / per_minute - 1e-6:
            raise broken("operation-keeps-pace", f"step {step.number} of {row.kind} begins too early")
        row.begun.append(now)

    def _shows(self, row: Row, step: Step) -> None:
        """What is done was: a process opened where it should, after the one that was asked to go."""
        opened = self.opened[step.name]
        if row.rules.goal == MOVE:
            there = [p for p in opened if (node_of(p) == step.to if step.to else node_of(p) != step.source)]
        else:
            there = [pid for pid, epoch in opened.items() if epoch > step.epoch]
        if not there:
            raise broken("operation-shows", f"{step.name} of {row.kind} is done, and {sorted(opened)} opened")

    def moved_once(self) -> None:
        """Nodes obey no command for a process that has reached the step's goal."""
        for claim, done in self.control.courier.done.items():
            row = self.control.rows[int(claim.partition("/")[0])]
            if row.rules.goal == RESTART and len({step.pid for step, _ in done}) > 1:
                raise broken(
                    "moved-once", f"{done[0][0].name} was restarted for one step as {[s.pid for s, _ in done]}"
                )
            for step, reply in done if row.rules.goal == MOVE else ():
                if reply.pid != step.pid and node_of(step.pid) == step.to:
                    raise broken("moved-once", f"{step.name} was moved away from {step.to}, where it should go")

    def _left(self) -> list[tuple[int, int]]:
        """Each open operation, and how many of its steps are open."""
        return [(row.number, sum(s.state in OPEN for s in row.steps.values())) for row in self.control.open()]

    def ended(self, within: float) -> None:
        """Let time pass until every operation has ended; within so many seconds something of them ends each time."""
        while left := self._left():
            if self.world.run_until(lambda before=left: self._left() != before, within):  # type: ignore[misc]
                continue
            row = self.control.open()[0]
            stuck = [f"{step.name} {step.state}" for step in row.steps.values() if step.state in OPEN]
            raise broken("operation-ends", f"{row.kind} {row.number} has not ended: {stuck}")
        self.moved_once()


def strike(world: World, control: Control, fault: str) -> None:
    """One fault between two deeds of an observer; may raise `Died`."""
    chance = control.random
    if fault == "die":
        world.at(chance.choice([0.0, 0.3, 3.0]), control.start)
        raise Died
    if fault == "replace":
        control.replace()
        return
    steps = [step for row in control.open() for step in row.steps.values() if step.state == ASKED]
    names = sorted(
        {node_of(row.origin) for row in control.open() if row.origin}
        | {node for step in steps for node in (step.source, step.to, node_of(step.pid)) if node}
    )
    host = world.host(chance.choice(names)) if names else None
    if host is None or host.paused or len(world.live()) < 2:
        return
    if fault == "crash":
        world.crash(host)
    elif fault == "pause":
        world.pause(host, chance.choice([0.1, 5.0]))
    else:
        others = {other.name for other in world.live()} - {host.name}
        world.partition({host.name}, others)
        world.at(chance.choice([0.3, 5.0]), world.heal)
