"""One operation over many processes, carried out: the shell of `supervisor.core.operation`.

Law: a step is stored before its command leaves, and a command carries the pid that it is for and the claim of its
attempt, so that nothing happens twice however often it is sent, by whomever. Commands wait for their answers in threads
of a pool; everything else happens on the caller's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from registry.core.ids import node_of, origin_of_pid
from registry.models import Process, Sworm
from registry.problems import Problem, problem_of
from supervisor import commands, operations
from supervisor.client import Asked
from supervisor.core.operation import RESTART, Answered, Ask, Cancelled, Effect, End, Fact, Looked, Rules, Step, Store
from supervisor.core.operation import Work as Machine
from supervisor.fitness import takers
from supervisor.models import Operation
from supervisor.operations import Term

#: Seconds that an agent has for a command beyond the state's own time-out.
COMMAND = 10.0


class Drive:
    """One operation under way in this process."""

    def __init__(self, operation: Operation, term: Term, pool: ThreadPoolExecutor, wake: Callable[[], None]) -> None:
        self.operation = operation
        self._term = term
        self._pool = pool
        self._wake = wake
        self._machine = Machine(operations.stored_steps(operation), Rules(**operation.params["rules"]))
        self._answers: deque[Answered] = deque()
        self.ended: End | None = None

    def turn(self, row: Operation) -> bool:
        """Look, and do what is to be done. `row`: the operation as it is stored now. False: it is not ours any more."""
        now = time.time()
        effects: list[Effect] = []
        if row.cancelled_by and not self._machine.cancelled:
            effects += self._machine.step(Cancelled(), now)
        while self._answers:
            effects += self._machine.step(self._answers.popleft(), now)
        effects += self._machine.step(self._look(), now)
        return self._carry_out(effects)

    def _look(self) -> Looked:
        wanted = {number: self._machine.steps[number] for number in self._machine.wanted()}
        facts = facts_of(wanted.values())
        sworm = self.operation.sworm
        fit = takers(sworm, ("alive", "suspect"))
        return Looked({n: facts.get((step.sworm, step.name)) for n, step in wanted.items()}, fit)

    def _carry_out(self, effects: list[Effect]) -> bool:
        changed = {effect.step.number: effect.step for effect in effects if isinstance(effect, Store)}
        self.ended = next((effect for effect in effects if isinstance(effect, End)), None)
        stored = changed or self.ended is not None
        if stored and not operations.store(
            self.operation, self._term, changed.values(), self._machine.done, self.ended
        ):
            return False
        asks = [effect.step for effect in effects if isinstance(effect, Ask)]
        if asks:
            self._ask(asks)
        return True

    # --------------------------------------------------------------------------------------------------------- commands

    def _ask(self, steps: list[Step]) -> None:
        sworm = self.operation.sworm
        row = Sworm.objects.filter(name=sworm, deleted=False).first()
        try:
            nodes = commands.nodes_for(sworm)
        except Problem as problem:
            for step in steps:
                self._answered(step, problem)
            return
        for step in steps:
            self._pool.submit(self._send, step, row, _first(node_of(origin_of_pid(step.pid)), nodes))

    def _send(self, step: Step, row: Sworm | None, nodes: list[Asked]) -> None:
        restart = self._machine.rules.goal == RESTART
        seconds = COMMAND + (0 if restart or row is None else row.handoff_timeout_ms / 1000)
        wish = {} if restart else {"to": step.to or None}
        claim = f"{self.operation.id.hex}/{step.number}/{step.attempts}"
        try:
            answer = commands.ask(
                nodes, "restart" if restart else "handoff", row, deadline=time.time() + seconds,
                sworm=step.sworm, name=step.name, pid=step.pid, claim=claim, **wish,
            )  # fmt: skip
            commands.certain(answer)
            self._answered(step, None)
        except Exception as error:  # noqa: BLE001 - a thread of ours must say what happened where people look
            self._answered(step, problem_of(error))
        finally:
            connection.close()

    def _answered(self, step: Step, problem: Problem | None) -> None:
        code, detail = ("", "") if problem is None else (problem.code, problem.detail)
        self._answers.append(Answered(step.number, step.attempts, code, detail))
        self._wake()


def _first(host: str, nodes: list[Asked]) -> list[Asked]:
    return sorted(nodes, key=lambda asked: asked.node != host)


def facts_of(steps: Iterable[Step]) -> dict[tuple[str, str], Fact]:
    """What the read model says of the names of these steps."""
    names: dict[str, list[str]] = {}
    for step in steps:
        names.setdefault(step.sworm, []).append(step.name)
    columns = ("sworm", "name", "pid", "node", "epoch", "state")
    return {
        (row[0], row[1]): Fact(*row[2:])
        for sworm, wanted in names.items()
        for row in Process.objects.filter(sworm=sworm, name__in=wanted).values_list(*columns)
    }
