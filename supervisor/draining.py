"""Emptying a node: the operation. Its preview is `supervisor.drain_plan`.

Law: the node itself does the work; here it is asked once for each taking up, and watched. A drain has succeeded when
its node said itself that everything was handed over, left, and nothing of that incarnation is registered any more;
otherwise it failed, and names what went on without its state. Who wants no more of it is obeyed as long as the node
has not begun to leave. A node that came back under a new incarnation has nothing to do with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from django.db import connection
from django.db.models import QuerySet

from registry.core.ids import origin_of
from registry.models import Event, Node, Process
from registry.problems import Problem, problem_of
from supervisor import commands, operations
from supervisor.client import Asked
from supervisor.core.operation import AGAIN, DONE, GONE, OPEN, End, Fact, Rules, Step
from supervisor.core.operation import FAILED as STEP_FAILED
from supervisor.driving import facts_of
from supervisor.models import CANCELLED, FAILED, SUCCEEDED, Operation
from supervisor.operations import Move, Term

KIND = "drain"
#: What a node says of each process that it could not hand over.
LEFT_BEHIND = "left_behind"
#: Seconds beyond the drain's own deadline until its node must have left.
PATIENCE = 20.0
#: Seconds between two looks at what the node still runs: it may run thousands.
LOOK = 0.25
#: Seconds from the leave of a node until its last word must be there: it comes another way than the rows.
SAY_WITHIN = 10.0
#: Seconds until a node that did not answer is asked again.
ASK_AGAIN = 1.0


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
        self._open = {(s.sworm, s.name): s for s in operations.stored_steps(operation) if s.state in OPEN}
        self._ask_at = 0.0
        self._asked = False
        self._refusal: Problem | None = None
        self._look_at = 0.0
        self._left_at = 0.0
        self._cancelling = False
        self._cancelled: bool | None = None  #: what the node said about it
        self.ended: End | None = None

    def turn(self, row: Operation) -> bool:
        """Ask the node if it must be asked, and look how far it is. False: the operation is not ours any more."""
        now = time.time()
        node = Node.objects.filter(name=self._node).first()
        there = node if node is not None and node.incarnation == self._incarnation else None
        if there is not None and there.status in ("alive", "suspect") and not self._asked and now >= self._ask_at:
            self._ask(now)
        if row.cancelled_by and not self._cancelling and self._asked and there is not None:
            self._cancelling = True
            self._pool.submit(self._send_cancel)
        if now < self._look_at and self._cancelled is None and there is not None and there.status != "left":
            return True
        self._look_at = now + LOOK
        left = list(_of(self._node, self._incarnation).values_list("sworm", "name"))
        changed = {step.number: step for step in self._gone_from({*left})}
        self.ended = self._end(there, left, now)
        if self.ended is not None and self.ended.code == LEFT_BEHIND:
            changed |= {step.number: step for step in self._without_state(now)}
        done = self.operation.total - len(self._open)
        return (not changed and self.ended is None) or operations.store(
            self.operation, self._term, changed.values(), done, self.ended
        )

    def _gone_from(self, left: set[tuple[str, str]]) -> list[Step]:
        """The steps of what the node does not run any more, with where it runs now."""
        away = [self._open.pop(key) for key in [key for key in self._open if key not in left]]
        facts = facts_of(away)
        return [_ended(step, facts.get((step.sworm, step.name)), time.time()) for step in away]

    def _without_state(self, now: float) -> list[Step]:
        """The steps of what the node itself named as not handed over, whatever they looked like before."""
        lost = self._left_behind()
        steps = [step for step in operations.stored_steps(self.operation) if (step.sworm, step.name) in lost]
        detail = "it could not be handed over and went on without its state"
        return [replace(step, state=STEP_FAILED, ended_at=now, code=LEFT_BEHIND, detail=detail) for step in steps]

    def _said(self, kind: str) -> QuerySet[Event]:
        """What the draining incarnation said of itself."""
        return Event.objects.filter(node=self._node, kind=kind, pid=origin_of(self._node, self._incarnation))

    def _left_behind(self) -> set[tuple[str, str]]:
        return {*self._said(LEFT_BEHIND).values_list("sworm", "name")}

    def _end(self, node: Node | None, left: list[tuple[str, str]], now: float) -> End | None:
        if self._cancelled:
            return End(CANCELLED, "", f"{self._node} takes processes again; what it still ran stays there")
        over = node is None or node.status == "left"
        if over and not left:
            return self._last_word(now)
        if not over and node is not None and node.status == "dead":
            return End(FAILED, "refused", f"{self._node} died while it drained; {len(left)} processes had not moved")
        if self._refusal is not None:
            return End(FAILED, self._refusal.code, self._refusal.detail)
        if now > float(self.operation.params["deadline"]) + PATIENCE:
            return End(FAILED, "no_answer", f"{self._node} has not left in time; {len(left)} processes had not moved")
        return None

    def _last_word(self, now: float) -> End | None:
        """The node is gone and nothing of it is registered: how that came about, it said itself."""
        self._left_at = self._left_at or now
        self._look_at = 0.0
        if self._said("drain_ended").exists():
            lost = len(self._left_behind())
            if not lost:
                return End(SUCCEEDED, "", f"{self._node} left without a process")
            return End(
                FAILED, "left_behind", f"{lost} processes could not be handed over and start without their state"
            )
        if now > self._left_at + SAY_WITHIN:
            return End(FAILED, "no_answer", f"{self._node} is gone and did not say that everything was handed over")
        return None

    def _ask(self, now: float) -> None:
        self._asked = True
        seconds = max(1.0, float(self.operation.params["deadline"]) - now)
        self._pool.submit(self._send, seconds)

    def _send(self, seconds: float) -> None:
        try:
            asked = Asked(self._node, self._incarnation)
            deadline = time.time() + commands.SHORT
            answer = commands.ask([asked], "drain", None, deadline=deadline, deadline_s=seconds, leave=True)
            commands.certain(answer)
        except Exception as error:  # noqa: BLE001 - a thread of ours must say what happened where people look
            problem = problem_of(error)
            if problem.code in AGAIN:
                self._ask_at, self._asked = time.time() + ASK_AGAIN, False
            else:
                self._refusal = problem
        finally:
            self._wake()
            connection.close()

    def _send_cancel(self) -> None:
        try:
            asked = Asked(self._node, self._incarnation)
            answer = commands.ask([asked], "cancel_drain", None, deadline=time.time() + commands.SHORT)
            commands.certain(answer)
        except Exception as error:  # noqa: BLE001 - as above
            problem = problem_of(error)
            self._cancelled = False
            self._cancelling = problem.code not in AGAIN
            if self._cancelling:
                operations.remark(self.operation, self._term, f"it goes on: {problem.detail}")
        else:
            self._cancelled = True
        finally:
            self._wake()
            connection.close()


def _ended(step: Step, fact: Fact | None, now: float) -> Step:
    if fact is None:
        return replace(step, state=GONE, ended_at=now, code="unknown_process", detail="it is registered no more")
    return replace(step, state=DONE, ended_at=now, detail=f"runs on {fact.node} as {fact.pid}")


def _of(node: str, incarnation: int) -> QuerySet[Process]:
    return Process.objects.filter(node=node, pid__startswith=origin_of(node, incarnation) + ".")
