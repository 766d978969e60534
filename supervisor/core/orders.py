"""The host's side of an order: obeyed at most once, and only in the view that the host reported last.

Law: an order names one incarnation; another one is never touched. An order that comes again gets the same answer. What
cannot be done now (the view differs, a move is past its commit) is answered `retry`, with nothing changed.
"""

from __future__ import annotations

from registry.core.ids import Origin
from registry.core.messages import Order, OrderDone
from supervisor.core.context import Context
from supervisor.core.handoff import Handoffs
from supervisor.core.naming import SETTLED, Naming
from supervisor.core.process import FREEZING, OFFERING, STARTING, Process
from supervisor.core.supervision import Supervision

#: Answers remembered for orders that are given again.
MAX_ANSWERS = 4_096


class Orders:
    """Carries out what arbiters tell this host."""

    def __init__(self, context: Context, supervision: Supervision, handoffs: Handoffs, naming: Naming) -> None:
        self.context = context
        self.naming = naming
        self.supervision = supervision
        self.handoffs = handoffs
        self.underway: dict[str, Origin] = {}
        self.answers: dict[str, OrderDone] = {}
        handoffs.ended = self.move_ended

    def receive(self, sender: Origin, order: Order) -> None:
        """An order has come, perhaps again."""
        context = self.context
        if order.id in self.answers:
            context.send(sender, self.answers[order.id])
            return
        if order.id in self.underway or order.deadline <= context.now * 1000:
            return
        slot = (order.sworm, order.name)
        process = context.hosted.get(slot) or context.further.get(slot)
        if order.view != context.member.view.id:
            context.send(sender, OrderDone(order.id, "retry", "", 0, "", 0))
            return
        self.underway[order.id] = sender
        if order.kind == "name":
            self._name(order)
        elif process is None or (order.pid and order.pid != process.pid):
            self._answer(order, "not_registered", process)
        elif context.further.get(slot) is process:
            self._unname(order, process)
        elif order.kind == "move":
            self._move(order, process)
        else:
            self._stop(order, process)

    def _name(self, order: Order) -> None:
        result = self.naming.name(order)
        if result == "retry":
            self._retry(order)
        else:
            slot = (order.sworm, order.name)
            self._answer(order, result, self.context.further.get(slot) or self.context.hosted.get(slot))

    def _unname(self, order: Order, process: Process) -> None:
        """Take a further name away; whatever else is asked of one is asked of the process by its own name."""
        if process.phase not in SETTLED or order.kind != "unregister":
            self._retry(order)
            return
        self.context.erase_further(process, order.sworm, order.name)
        self._answer(order, "done", process)

    def _stop(self, order: Order, process: Process) -> None:
        if process.phase in (FREEZING, OFFERING):
            self.handoffs.abort(process, "it is being stopped")
        if process.phase not in SETTLED:
            self._retry(order)
            return
        if order.kind == "restart":
            process.after_stop = "restart"
        self.supervision.stop(process, order.kind, lambda stopped: self._stopped(order))

    def _stopped(self, order: Order) -> None:
        fresh = self.context.hosted.get((order.sworm, order.name))
        self._answer(order, "done", fresh)

    def _move(self, order: Order, process: Process) -> None:
        if process.phase not in SETTLED or process.phase == STARTING:
            self._retry(order)
        else:
            self.handoffs.begin(process, order)

    def move_ended(
        self, order: Order, result: str, pid: str, epoch: int, origin: Origin, version: int, problem: str
    ) -> None:
        """A handoff is over, one way or the other."""
        self._record(OrderDone(order.id, result, pid, epoch, origin, version, problem and "handoff_failed", problem))

    def _retry(self, order: Order) -> None:
        sender = self.underway.pop(order.id)
        self.context.send(sender, OrderDone(order.id, "retry", "", 0, "", 0))

    def _answer(self, order: Order, result: str, process: Process | None) -> None:
        version = self.context.replica(order.sworm).version(self.context.me)
        pid, epoch = (process.pid, process.epoch) if process else ("", 0)
        self._record(OrderDone(order.id, result, pid, epoch, self.context.me, version))

    def _record(self, done: OrderDone) -> None:
        if len(self.answers) >= MAX_ANSWERS:
            del self.answers[next(iter(self.answers))]
        self.answers[done.id] = done
        sender = self.underway.pop(done.id, "")
        if sender:
            self.context.send(sender, done)
