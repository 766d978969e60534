"""Emptying a node: the operation. Its preview is `supervisor.drain_plan`.

Law: the node itself does the work, and `supervisor.core.emptying` watches it; here is what happens in between: rows are
read and written under the observer's term, and commands wait for their answers in threads of a pool. A node that came
back under a new incarnation has nothing to do with it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection
from django.db.models import QuerySet

from registry.core.ids import origin_of
from registry.models import Event, Node, Process
from registry.problems import problem_of
from supervisor import commands, operations
from supervisor.client import Asked
from supervisor.core.emptying import DRAIN, LEFT_BEHIND, ON_ITS_WAY, Answered, Ask, Effect, Emptying, Remark, Seen
from supervisor.core.operation import Cancelled, End, Rules, Store
from supervisor.driving import facts_of
from supervisor.models import Operation
from supervisor.operations import Move, Term

KIND = "drain"
#: Seconds between two looks at what the node still runs: it may run thousands.
LOOK = 0.25


def begin(name: str, deadline_s: float, requested_by: str, reason: str) -> Operation:
    """Ask for a node to hand everything over and leave."""
    node = commands.node_named(name)
    held = _of(name, node.incarnation).order_by("sworm", "name").values_list("sworm", "name")
    why = f"{name} is being drained"
    params = {"incarnation": node.incarnation, "deadline_s": deadline_s, "deadline": time.time() + deadline_s}
    return operations.begin(
        KIND, [Move(sworm, process, name, "", why) for sworm, process in held], Rules(), requested_by, reason,
        params=params, only=f"{name} is being drained already", node=name,
    )  # fmt: skip


class Drain:
    """One drain that this process watches."""

    def __init__(self, operation: Operation, term: Term, pool: ThreadPoolExecutor, wake: Callable[[], None]) -> None:
        self.operation = operation
        self._term = term
        self._pool = pool
        self._wake = wake
        self._node, self._incarnation = operation.node, int(operation.params["incarnation"])
        deadline = float(operation.params["deadline"])
        self._machine = Emptying(self._node, deadline, operations.stored_steps(operation), time.time())
        self._answers: deque[Answered] = deque()
        self._look_at = 0.0
        self.ended: End | None = None

    def turn(self, row: Operation) -> bool:
        """Ask the node if it must be asked, and look how far it is. False: the operation is not ours any more."""
        now = time.time()
        effects: list[Effect] = []
        if row.cancelled_by and not self._machine.cancelled:
            effects += self._machine.step(Cancelled(), now)
            self._look_at = now
        while self._answers:
            effects += self._machine.step(self._answers.popleft(), now)
            self._look_at = now
        if now >= self._look_at:
            effects += self._machine.step(self._look(now), now)
        return self._carry_out(effects)

    def _look(self, now: float) -> Seen:
        node = Node.objects.filter(name=self._node, incarnation=self._incarnation).first()
        status = "" if node is None else node.status
        self._look_at = now if status == "left" else now + LOOK
        left = frozenset(_of(self._node, self._incarnation).values_list("sworm", "name"))
        away = [self._machine.steps[number] for number in self._machine.away(left)]
        facts = facts_of(away)
        lost = frozenset(self._said(LEFT_BEHIND).values_list("sworm", "name"))
        found = {step.number: facts.get((step.sworm, step.name)) for step in away}
        return Seen(status, left, found, self._said("drain_ended").exists(), lost)

    def _said(self, kind: str) -> QuerySet[Event]:
        """What the draining incarnation said of itself."""
        return Event.objects.filter(node=self._node, kind=kind, pid=origin_of(self._node, self._incarnation))

    def _carry_out(self, effects: list[Effect]) -> bool:
        changed = {effect.step.number: effect.step for effect in effects if isinstance(effect, Store)}
        self.ended = self._machine.ended
        if (changed or self.ended is not None) and not operations.store(
            self.operation, self._term, changed.values(), self._machine.done, self.ended
        ):
            return False
        for effect in effects:
            if isinstance(effect, Ask):
                self._pool.submit(self._send, effect)
            elif isinstance(effect, Remark):
                operations.remark(self.operation, self._term, effect.text)
        return True

    def _send(self, wanted: Ask) -> None:
        fields = {"deadline_s": wanted.seconds, "leave": True} if wanted.what == DRAIN else {}
        verb = "drain" if wanted.what == DRAIN else "cancel_drain"
        try:
            asked = Asked(self._node, self._incarnation)
            answer = commands.ask([asked], verb, None, deadline=time.time() + ON_ITS_WAY, **fields)
            commands.certain(answer)
            self._answers.append(Answered(wanted.what))
        except Exception as error:  # noqa: BLE001 - a thread of ours must say what happened where people look
            problem = problem_of(error)
            self._answers.append(Answered(wanted.what, problem.code, problem.detail))
        finally:
            self._wake()
            connection.close()


def _of(node: str, incarnation: int) -> QuerySet[Process]:
    return Process.objects.filter(node=node, pid__startswith=origin_of(node, incarnation) + ".")
