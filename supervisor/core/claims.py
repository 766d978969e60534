"""The arbiter's side of a claim: one at a time for each name.

Law: claims are served only while the member is `ready` (everybody in the view reported it, and what they reported is
held here); until then they wait, and they wait no longer than their deadline. A claim about a name that is busy queues
behind. Equal claim ids get equal answers. An entry left by a departed node is restored, or declared gone, before any
claim to its name is answered, unless no node may run it now: then it waits, is reported, and may be unregistered.

A process that goes to another node goes by an order, and the name stays busy until that node has answered, or departed:
so two nodes never start one name in one view.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from registry.core.ids import Origin, Pid, node_of, origin_of_pid
from registry.core.member import FOREVER
from registry.core.messages import Claim, Order, OrderDone, Verdict
from registry.core.names import STARTING, Located, Spec
from supervisor.core.choosing import Choice, Choosing
from supervisor.core.context import Context
from supervisor.core.estates import Estates
from supervisor.core.naming import is_guest
from supervisor.core.process import Process
from supervisor.core.restoring import Restoring
from supervisor.core.supervision import Supervision
from supervisor.core.tenure import NO_QUORUM, REFUSE, WAIT, Tenure

Slot = tuple[str, str]  # (sworm, name)

#: Orders that make a process: only an answer ends them, since a second one would make a second process.
MAKING = frozenset({"start", "restore"})

#: Answers remembered for claims that are asked again.
MAX_ANSWERS = 4_096


@dataclass(slots=True)
class Pending:
    """A claim and who asked."""

    sender: Origin
    claim: Claim


@dataclass(slots=True)
class Ordered:
    """An order that a host has not answered."""

    pending: Pending | None  #: None: nobody asked, a process is restored
    order: Order
    host: Origin
    resend_at: float
    coming: Origin = ""  #: the node that will have one process more


class Arbiter:
    """Decides about the names whose arbiter this node is."""

    def __init__(
        self, context: Context, supervision: Supervision, estates: Estates, choosing: Choosing, tenure: Tenure
    ) -> None:
        self.context = context
        self.supervision = supervision
        self.tenure = tenure
        self.estates = estates
        self.choosing = choosing
        self.busy: dict[Slot, deque[Pending]] = {}
        self.waiting: list[Pending] = []  #: until the view is agreed
        self.orders: dict[str, Ordered] = {}
        self.answers: dict[str, Verdict] = {}
        self.settling: list[tuple[Ordered, OrderDone]] = []  #: done, and not merged here yet
        self.check_at = FOREVER
        self._order_number = 0
        self.restoring = Restoring(context, supervision, estates, choosing, self)

    # --------------------------------------------------------------------------------------------------------- claims

    def receive(self, sender: Origin, claim: Claim) -> None:
        """A claim has come, perhaps again."""
        known = self.answers.get(claim.id)
        if known is not None:
            self.context.send(sender, known)
            return
        if claim.deadline <= self.context.now * 1000:
            return
        pending = Pending(sender, claim)
        if not self.context.member.ready:
            if all(other.claim.id != claim.id for other in self.waiting):
                self.waiting.append(pending)
            return
        slot = (claim.sworm, claim.name)
        queue = self.busy.get(slot)
        if queue is None:
            self._begin(slot, pending)
        elif all(other.claim.id != claim.id for other in queue):
            queue.append(pending)

    def _serves(self, slot: Slot, pending: Pending) -> bool:
        """Whether this claim is to be decided about here and now; if not, it has been answered, or waits."""
        context, claim = self.context, pending.claim
        if claim.id in self.answers:
            context.send(pending.sender, self.answers[claim.id])
            return False
        if claim.deadline <= context.now * 1000:
            return False
        if not context.member.ready:
            self.waiting.append(pending)
            return False
        definition = context.definitions.get(claim.sworm)
        if context.placement.arbiter(*slot) != context.me or definition is None or definition.revision < claim.revision:
            self._answer(pending, "retry")
            return False
        return self._has_quorum(pending)

    def _begin(self, slot: Slot, pending: Pending) -> None:
        context, claim = self.context, pending.claim
        if not self._serves(slot, pending):
            return
        best = context.best(*slot)
        if best is None and context.replica(claim.sworm).dead:
            if self.restoring.follows(*slot):
                self._answer(pending, "retry")
                return
            best = self.restoring.restore(slot)
            if slot in self.busy:  # it is being restored elsewhere
                self.busy[slot].append(pending)
                return
            if best is None and (self.estates.is_awaited(slot) or context.is_opening(slot)):
                self._answer(pending, "retry")  # it goes on here in a moment
                return
        if claim.kind == "register":
            self._register(slot, pending, best)
        elif best is None and claim.kind == "unregister" and self.restoring.waits(slot, claim.pid):
            self._answer(pending, "done", origin=context.me, version=self.restoring.give_up(slot))
        elif best is None:
            self._answer(
                pending, "not_registered", origin=context.me, version=context.replica(claim.sworm).version(context.me)
            )
        else:
            self._command(slot, pending, best)

    def _has_quorum(self, pending: Pending) -> bool:
        """Whether this claim may be served; if not, it waits or has been refused."""
        claim = pending.claim
        standing = self.tenure.standing(claim.sworm)
        if standing == WAIT and all(other.claim.id != claim.id for other in self.waiting):
            self.waiting.append(pending)
        elif standing == REFUSE:
            self._answer(pending, "refused", problem=NO_QUORUM, detail=self.tenure.refusal())
        return standing not in (WAIT, REFUSE)

    def _register(self, slot: Slot, pending: Pending, best: Located | None) -> None:
        context, claim = self.context, pending.claim
        if best is not None:
            mine = best.entry.claim == claim.id
            begun = best.entry.state == STARTING and best.entry.spec is not None
            if begun and (mine or not best.entry.restarts):
                self._answer(pending, "retry")  # begun under another arbiter, and not known yet to go well
                return
            result = "started" if mine else "already_started"
            version = context.replica(claim.sworm).version(best.origin)
            self._answer(pending, result, best.pid, best.entry.epoch, best.origin, version)
            return
        if claim.spec is None:
            self._name(slot, pending)
            return
        self.busy[slot] = deque()
        self.choosing.choose(*slot, claim.id, lambda choice: self._start(slot, pending, choice))

    def _start(self, slot: Slot, pending: Pending, choice: Choice) -> None:
        """The node for a new process is chosen: this one starts it, another one is ordered to."""
        context, claim = self.context, pending.claim
        spec = claim.spec
        assert spec is not None
        if choice.late and (not self._decides(slot) or context.best(*slot) is not None):
            self._answer(pending, "retry")
            self.release(slot)
            return
        if not choice.host:
            self._answer(pending, "refused", problem=choice.problem, detail=choice.detail)
            self.release(slot)
            return
        if choice.host != context.me:
            epoch = context.grant_epoch(*slot, claim.known)
            self._order(slot, pending, choice.host, "start", "", epoch, spec=spec, coming=choice.host)
            return

        def then(process: Process, ok: bool, code: str, detail: str) -> None:
            version = context.replica(claim.sworm).version(context.me)
            if ok:
                self._answer(pending, "started", process.pid, process.epoch, context.me, version)
            else:
                self._answer(pending, "refused", "", 0, context.me, version, code, detail)
            self.release(slot)

        epoch = context.new_epoch(*slot, claim.known)
        self.supervision.launch(claim.sworm, claim.name, spec, epoch, claim.id, context.majority(), then)

    def _decides(self, slot: Slot) -> bool:
        """Whether this node decides about a name now."""
        return self.context.member.ready and self.context.placement.arbiter(*slot) == self.context.me

    def _name(self, slot: Slot, pending: Pending) -> None:
        """A further name: the host of the pid writes it, by order."""
        context, claim = self.context, pending.claim
        host = origin_of_pid(claim.pid)
        if host not in context.member.directory or context.member.has_departed(host):
            self._answer(pending, "not_registered")
            return
        self._order(slot, pending, host, "name", claim.pid, context.grant_epoch(*slot, claim.known))

    def _answer(
        self, pending: Pending, result: str, pid: str = "", epoch: int = 0, origin: Origin = "", version: int = 0,
        problem: str = "", detail: str = "",
    ) -> None:  # fmt: skip
        verdict = Verdict(pending.claim.id, result, pid, epoch, origin, version, problem, detail)
        if result != "retry":
            if len(self.answers) >= MAX_ANSWERS:
                del self.answers[next(iter(self.answers))]
            self.answers[pending.claim.id] = verdict
        self.context.send(pending.sender, verdict)

    def release(self, slot: Slot) -> None:
        """A name is not busy any more: serve the next claim to it."""
        queue = self.busy.pop(slot, None)
        while queue and slot not in self.busy:
            self._begin(slot, queue.popleft())
        if queue:
            self.busy[slot].extend(queue)

    # --------------------------------------------------------------------------------------------------------- orders

    def _command(self, slot: Slot, pending: Pending, best: Located) -> None:
        """Unregister, restart, move: the host does it, by order."""
        context, claim = self.context, pending.claim
        if claim.pid and claim.pid != best.pid:
            version = context.replica(claim.sworm).version(best.origin)
            self._answer(pending, "not_registered", best.pid, best.entry.epoch, best.origin, version)
            return
        if claim.kind != "unregister" and best.entry.of:
            self._answer(pending, "retry")  # the caller's node asks by the own name once it has the entry
            return
        if claim.kind != "unregister" and is_guest(best.entry):
            detail = f"{claim.name!r} names a process of another sworm: it moves and restarts there, by its own name"
            self._answer(pending, "refused", best.pid, problem="refused", detail=detail)
            return
        if claim.kind == "move":
            self._move(slot, pending, best)
        else:
            self._order(slot, pending, best.origin, claim.kind, best.pid, 0)

    def _move(self, slot: Slot, pending: Pending, best: Located) -> None:
        claim = pending.claim
        if claim.to and claim.to == node_of(best.origin):  # perhaps by this very claim, before its arbiter departed
            version = self.context.replica(claim.sworm).version(best.origin)
            self._answer(pending, "done", best.pid, best.entry.epoch, best.origin, version)
            return
        self.busy[slot] = deque()
        if claim.to:
            self._move_to(slot, pending, best, self.choosing.at(claim.sworm, claim.to, best.origin))
        else:
            self.choosing.choose(
                *slot, best.entry.claim, lambda choice: self._move_to(slot, pending, best, choice), best.origin, True
            )

    def _move_to(self, slot: Slot, pending: Pending, best: Located, choice: Choice) -> None:
        now = self.context.best(*slot) if choice.late and self._decides(slot) else None
        if choice.late and (now is None or now.pid != best.pid):
            self._answer(pending, "retry")
            self.release(slot)
        elif choice.host:
            epoch = self.context.grant_epoch(*slot)
            self._order(slot, pending, best.origin, "move", best.pid, epoch, choice.host, coming=choice.host)
        else:
            self._answer(pending, "refused", best.pid, problem=choice.problem, detail=choice.detail)
            self.release(slot)

    def _order(
        self, slot: Slot, pending: Pending, host: Origin, kind: str, pid: Pid, epoch: int, target: Origin = "",
        spec: Spec | None = None, coming: Origin = "",
    ) -> None:  # fmt: skip
        context, claim = self.context, pending.claim
        definition = context.definitions.get(claim.sworm)
        order = Order(
            "", 0, kind, claim.sworm, claim.name, spec, epoch, pid, context.member.view.id, claim.deadline,
            context.majority(), target, claim.id, definition.revision if definition else 0,
        )  # fmt: skip
        self.give(slot, pending, host, order, coming)

    def give(self, slot: Slot, pending: Pending | None, host: Origin, order: Order, coming: Origin) -> None:
        """Give a host an order; the name is busy until it is answered."""
        context = self.context
        self._order_number += 1
        order = order._replace(id=f"{context.me}/{self._order_number}", number=self._order_number)
        self.busy.setdefault(slot, deque())
        resend_at = context.now + context.config.resend
        self.orders[order.id] = Ordered(pending, order, host, resend_at, coming)
        self.choosing.expect(coming, 1)
        self._check_by(resend_at)
        context.send(host, order)

    def _drop(self, order_id: str, done: bool = False) -> Ordered | None:
        """An order is over."""
        ordered = self.orders.pop(order_id, None)
        if ordered is not None:
            self.choosing.expect(ordered.coming, -1)
            self.restoring.over(ordered.order, done)
        return ordered

    def _not_now(self, ordered: Ordered) -> None:
        """An order came to nothing, for no fault of the process: whoever asked asks again."""
        if ordered.pending is not None:
            self._answer(ordered.pending, "retry")
        else:
            self._check_by(self.restoring.not_now())
        self.release((ordered.order.sworm, ordered.order.name))

    def on_order_done(self, done: OrderDone) -> None:
        """A host has answered an order."""
        ordered = self._drop(done.id, done.result != "retry")
        if ordered is None:
            return
        if done.result == "retry":
            self._not_now(ordered)
        else:
            self.choosing.expect(ordered.coming, 1)  # until its entry is counted here
            self.settling.append((ordered, done))
            self.settle()

    def settle(self) -> None:
        """Let the next claim to a name go on once the outcome of the last order stands in the copies here: one that met
        the old entry, or none, would be answered wrongly.
        """
        settling, self.settling = self.settling, []
        for ordered, done in settling:
            if not self._stands(ordered.order.sworm, done):
                self.settling.append((ordered, done))
                continue
            self.choosing.expect(ordered.coming, -1)
            if ordered.pending is not None:
                self._answer(
                    ordered.pending, done.result, done.pid, done.epoch, done.origin, done.version, done.problem,
                    done.detail,
                )  # fmt: skip
            self.release((ordered.order.sworm, ordered.order.name))

    def _stands(self, sworm: str, done: OrderDone) -> bool:
        member = self.context.member
        if not done.origin or member.has_departed(done.origin):
            return True
        return member.replica(sworm).version(done.origin) >= done.version

    # ----------------------------------------------------------------------------------------------------------- time

    def view_changed(self) -> None:
        """Orders of the old view are void; what waited for agreement is served when it is there."""
        self.restoring.view_changed()
        for order_id, ordered in list(self.orders.items()):
            if self.context.member.has_departed(ordered.host):
                self._drop(order_id)
                self._not_now(ordered)

    def serve(self) -> None:
        """To be called whenever the member is ready: serve what waited, restore what departed."""
        self.restoring.some()
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            for pending in waiting:
                self.receive(pending.sender, pending.claim)

    def _check_by(self, at: float) -> None:
        self.check_at = min(self.check_at, at)

    def tick(self) -> None:
        """Give orders again that were not answered; give up those that nobody waits for any more."""
        now = self.context.now
        if now < self.check_at:
            return
        self.check_at = FOREVER
        self.waiting = [pending for pending in self.waiting if pending.claim.deadline > now * 1000]
        self._check_by(self.restoring.tick())
        for order_id, ordered in list(self.orders.items()):
            if ordered.order.deadline <= now * 1000 and ordered.order.kind not in MAKING:
                self._drop(order_id)
                self.release((ordered.order.sworm, ordered.order.name))
                continue
            if now >= ordered.resend_at:
                ordered.resend_at = now + self.context.config.resend
                self.context.send(ordered.host, ordered.order)
            self._check_by(ordered.resend_at)
