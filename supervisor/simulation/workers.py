"""Workers of a simulated host: counters with real gates.

Law: a worker answers every effect that asks for an answer, late or with a failure if the plan says so, never not at
all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from registry.core.ids import Origin, Pid
from supervisor.core.events import (
    BounceGate,
    CheckpointTaken,
    Effect,
    FreezeGate,
    GiveState,
    LeaseGate,
    OpenGate,
    StartWorker,
    StateGiven,
    StateTaken,
    StopWorker,
    TakeCheckpoint,
    TakeState,
    WorkerExited,
    WorkerFailed,
    WorkerStarted,
)
from supervisor.core.gate import BOUNCED, Gate
from supervisor.simulation.states import decode, encode

if TYPE_CHECKING:
    from supervisor.simulation.world import World


class Plan(Protocol):
    """How workers behave."""

    def fails_to_start(self, name: str) -> bool:
        """Whether this start goes wrong."""

    def fails_to_give(self, name: str) -> bool:
        """Whether `begin_handoff` raises."""

    def start_time(self) -> float:
        """Seconds that `init` takes."""

    def stop_time(self) -> float:
        """Seconds that `terminate` takes."""

    def state_time(self) -> float:
        """Seconds that `begin_handoff` takes."""


@dataclass(slots=True)
class Worker:
    """A counter: its state is the set of increments that it has accepted."""

    effect: StartWorker
    state: set[str] = field(default_factory=set)
    gate: Gate[str] = field(default_factory=Gate)
    started: bool = False
    source: Pid = ""  #: target of a handoff: the pid that it shall follow
    opened: bool = False  #: its gate has been open
    ended: bool = False


class Workers:
    """All workers of one simulated host."""

    def __init__(self, world: World, origin: Origin) -> None:
        self.world = world
        self.origin = origin
        self.all: dict[int, Worker] = {}
        self.held = False  #: nobody is answered: the host was away

    def running(self) -> list[Worker]:
        """Those that have not ended."""
        return [worker for worker in self.all.values() if not worker.ended]

    def carry_out(self, effect: Effect) -> None:
        """One effect that concerns a worker."""
        match effect:
            case StartWorker():
                self._start(effect)
            case StopWorker(serial, reason):
                self._later(self.world.plan.stop_time(), lambda: self.end(serial, True, reason))
            case OpenGate(serial):
                worker = self.all[serial]
                worker.opened = True
                for token in worker.gate.open():
                    worker.state.add(token)
            case LeaseGate(serial, lease):
                host, worker = self.world.hosts[self.origin], self.all[serial]
                worker.gate = worker.gate.under(lease, host.clock.peek)
            case FreezeGate(serial):
                self.all[serial].gate.freeze()
            case BounceGate(serial, pid):
                if serial in self.all and self.all[serial].gate.state != BOUNCED:
                    self.all[serial].gate.bounce(pid)
            case TakeState(serial):
                self._later(self.world.plan.state_time(), lambda: self._take(serial))
            case TakeCheckpoint(serial):
                self._later(self.world.plan.state_time(), lambda: self._keep(serial))
            case GiveState():
                self._give(effect)
            case _:
                raise AssertionError(f"no such effect: {effect!r}")

    def end(self, serial: int, normal: bool, detail: str = "") -> None:
        """A worker ends; it says so once. `detail`: why."""
        worker = self.all.get(serial)
        if worker is None or worker.ended:
            return
        worker.ended = True
        self.world.ledger.worker_ended(worker, detail)
        self._tell(WorkerExited(serial, normal, detail))
        self.all.pop(serial, None)

    def _start(self, effect: StartWorker) -> None:
        worker = self.all[effect.serial] = Worker(effect)
        process = self.world.hosts[self.origin].node.context.processes[effect.serial]
        worker.source = process.prepare.pid if process.prepare else ""
        if effect.stateful:
            worker.state = decode(effect.state)
        self._later(self.world.plan.start_time(), lambda: self._started(worker))

    def _started(self, worker: Worker) -> None:
        serial = worker.effect.serial
        if worker.ended:
            return
        if self.world.plan.fails_to_start(worker.effect.name):
            worker.ended = True
            self.all.pop(serial, None)
            self._tell(WorkerFailed(serial, "start_failed", "planned"))
        else:
            worker.started = True
            self._tell(WorkerStarted(serial))

    def _take(self, serial: int) -> None:
        worker = self.all.get(serial)
        if worker is None:
            return
        problem = "planned" if self.world.plan.fails_to_give(worker.effect.name) else ""
        self._tell(StateTaken(serial, b"" if problem else encode(worker.state), True, problem))

    def _give(self, effect: GiveState) -> None:
        worker = self.all.get(effect.serial)
        problem = "" if worker else "the process has ended"  # and its node has not heard of it yet
        if worker is not None:
            worker.state |= decode(effect.state)
        self._later(0.001, lambda: self._tell(StateGiven(effect.serial, effect.loser, problem)))

    def _keep(self, serial: int) -> None:
        worker = self.all.get(serial)
        if worker is not None:
            self._tell(CheckpointTaken(serial, encode(worker.state), True))

    def _later(self, delay: float, action: object) -> None:
        self.world.at(delay, action)  # type: ignore[arg-type]

    def _tell(self, event: object) -> None:
        self.world.step(self.world.hosts[self.origin], event)
