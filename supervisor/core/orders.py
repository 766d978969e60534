"""The host's side of an order: obeyed at most once, and only in the view that the host reported last.

Law: an order names one incarnation; another one is never touched. An order that comes again gets the same answer. What
cannot be done now (the view differs, a move is past its commit) is answered `retry`, with nothing changed. An order to
make a process that is answered `retry` is over for good, since the arbiter then looks for a node anew.
"""

from __future__ import annotations

from registry.core.events import Report
from registry.core.ids import Origin
from registry.core.messages import Order, OrderDone
from supervisor.core.claims import MAKING
from supervisor.core.context import Context
from supervisor.core.estates import Estates
from supervisor.core.handoff import Handoffs
from supervisor.core.naming import SETTLED, Naming
from supervisor.core.process import FREEZING, OFFERING, STARTING, Kept, Process
from supervisor.core.supervision import Supervision
from supervisor.core.ties import arrived
from supervisor.core.transfer import StateKey

#: Answers remembered for orders that are given again.
MAX_ANSWERS = 4_096


class Orders:
    """Carries out what arbiters tell this host."""

    def __init__(
        self, context: Context, supervision: Supervision, handoffs: Handoffs, naming: Naming, estates: Estates
    ) -> None:
        self.context = context
        self.estates = estates
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
        if order.id in self.underway:
            return
        making = order.kind in MAKING
        late = order.deadline <= context.now * 1000
        if late and not making:
            return
        slot = (order.sworm, order.name)
        process = context.hosted.get(slot) or context.further.get(slot)
        self.underway[order.id] = sender
        if order.view != context.member.view.id or late:
            self._retry(order)
        elif making:
            self._make(order, process)
        elif order.kind == "name":
            self._name(order)
        elif process is None or (order.pid and order.pid != process.pid):
            self._answer(order, "not_registered", process)
        elif context.further.get(slot) is process:
            self._unname(order, process)
        elif order.kind == "move":
            self._move(order, process)
        else:
            self._stop(order, process)

    def _make(self, order: Order, process: Process | None, kept: Kept | None = None) -> None:
        """Start a new process, or restore one, unless the name is taken or in doubt."""
        context = self.context
        slot = (order.sworm, order.name)
        best, replica = context.best(*slot), context.replica(order.sworm)
        if best is not None and best.entry.claim != order.claim:
            version = replica.version(best.origin)
            self._record(OrderDone(order.id, "already_started", best.pid, best.entry.epoch, best.origin, version))
        elif best is not None or process is not None or context.is_opening(slot) or self._in_doubt(order):
            self._retry(order)
        elif order.stateful and order.size and kept is None:
            self._fetch(order)
        else:
            self._launch(
                order, kept or (Kept(order.state, order.pid, order.taken_at, True) if order.stateful else None)
            )

    def _fetch(self, order: Order) -> None:
        """Pull a large state from the arbiter, and look again."""

        def then(state: bytes | None) -> None:
            if state is None:
                self._retry(order)
            else:
                slot = (order.sworm, order.name)
                process = self.context.hosted.get(slot) or self.context.further.get(slot)
                self._make(order, process, Kept(state, order.pid, order.taken_at, True))

        key = StateKey(order.sworm, order.name, order.pid, order.taken_at)
        self.estates.transfers.want(self.underway[order.id], key, order.size, then)

    def _in_doubt(self, order: Order) -> bool:
        """Whether this host may know less than the arbiter, or more."""
        context = self.context
        definition = context.definitions.get(order.sworm)
        knows = definition is not None and definition.revision >= order.revision
        newer = order.epoch > context.replica(order.sworm).highest_epoch(order.name)
        agreed = order.view == context.member.view.id and context.member.ready
        return not (knows and newer and agreed)

    def _launch(self, order: Order, kept: Kept | None) -> None:
        assert order.spec is not None
        slot = (order.sworm, order.name)

        def then(process: Process, ok: bool, code: str, detail: str) -> None:
            if ok:
                self._answer(order, "started", process)
            else:
                version = self.context.replica(order.sworm).version(self.context.me)
                self._record(OrderDone(order.id, "refused", "", 0, self.context.me, version, code, detail))

        ties = arrived(*slot, order.further, order.groups)
        restores = order.kind == "restore"
        process = self.supervision.launch(
            *slot, order.spec, order.epoch, order.claim, order.majority, None if restores else then, order.restarts,
            ties, kept,
        )  # fmt: skip
        if restores:
            told = self.estates.told(order.sworm, kept)
            self.context.report("rehomed", process, f"{order.pid} departed with its node" + told)
            self._answer(order, "done", process)

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
        detail = f"a further name of {process.sworm}/{process.name}, which goes on"
        node = self.context.member.node
        self.context.out.append(
            Report("unregistered", order.sworm, order.name, process.pid, node, detail, process.epoch)
        )
        self._answer(order, "done", process)

    def _stop(self, order: Order, process: Process) -> None:
        if process.phase in (FREEZING, OFFERING):
            self.handoffs.abort(process, "it is being stopped")
        if process.phase not in SETTLED:
            self._retry(order)
            return
        if order.kind == "restart":
            process.after_stop = "restart"
        self.supervision.stop(process, order.kind, lambda stopped: self._stopped(order, stopped))

    def _stopped(self, order: Order, stopped: Process) -> None:
        if order.kind == "unregister":
            self.context.report("unregistered", stopped)
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
        done = OrderDone(order.id, "retry", "", 0, "", 0)
        if order.kind in MAKING:
            self._record(done)
        else:
            self.context.send(self.underway.pop(order.id), done)

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
