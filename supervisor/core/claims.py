"""The arbiter's side of a claim: one at a time for each name.

Law: claims are served only while the member is `ready` (everybody in the view reported it, and what they reported is
held here); until then they wait, and they wait no longer than their deadline. A claim about a name that is busy queues
behind. Equal claim ids get equal answers. An entry left by a departed node is restored, or declared gone, before any
claim to its name is answered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from registry.core.directory import UP
from registry.core.events import Report
from registry.core.ids import Origin, Pid, node_of, origin_of_pid
from registry.core.member import FOREVER
from registry.core.messages import Claim, Order, OrderDone, Verdict
from registry.core.names import GONE, MOVED, STARTING, Key, Located, Registration
from supervisor.core.context import Context
from supervisor.core.estates import Estates
from supervisor.core.naming import inherited, is_guest
from supervisor.core.process import Process
from supervisor.core.spec import TEMPORARY
from supervisor.core.supervision import Supervision
from supervisor.core.ties import Ties, left_by

Slot = tuple[str, str]  # (sworm, name)

#: Processes of departed nodes that are restored in one turn.
SLICE = 250

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

    pending: Pending
    order: Order
    host: Origin
    resend_at: float


class Arbiter:
    """Decides about the names whose arbiter this node is."""

    def __init__(self, context: Context, supervision: Supervision, estates: Estates) -> None:
        self.context = context
        self.supervision = supervision
        self.estates = estates
        self.busy: dict[Slot, deque[Pending]] = {}
        self.waiting: list[Pending] = []  #: until the view is agreed
        self.orders: dict[str, Ordered] = {}
        self.answers: dict[str, Verdict] = {}
        self.settling: list[tuple[Ordered, OrderDone]] = []  #: done, and not merged here yet
        self.check_at = FOREVER
        self.restore_due = False
        self._order_number = 0
        self._left: dict[Slot, tuple[int, dict[int, Ties]]] = {}

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

    def _begin(self, slot: Slot, pending: Pending) -> None:
        context, claim = self.context, pending.claim
        if claim.id in self.answers:
            context.send(pending.sender, self.answers[claim.id])
            return
        if claim.deadline <= context.now * 1000:
            return
        if not context.member.ready:
            self.waiting.append(pending)
            return
        definition = context.definitions.get(claim.sworm)
        if context.placement.arbiter(*slot) != context.me or definition is None or definition.revision < claim.revision:
            self._answer(pending, "retry")
            return
        best = context.best(*slot)
        if best is None and context.replica(claim.sworm).dead:
            if self._follows(*slot):
                self._answer(pending, "retry")
                return
            best = self._restore(slot)
            if best is None and self.estates.is_awaited(slot):
                self._answer(pending, "retry")
                return
        if claim.kind == "register":
            self._register(slot, pending, best)
        elif best is None:
            self._answer(
                pending, "not_registered", origin=context.me, version=context.replica(claim.sworm).version(context.me)
            )
        else:
            self._command(slot, pending, best)

    def _register(self, slot: Slot, pending: Pending, best: Located | None) -> None:
        context, claim = self.context, pending.claim
        if best is not None:
            mine = best.entry.claim == claim.id
            if mine and best.entry.state == STARTING and best.entry.spec is not None:
                self._answer(pending, "retry")  # begun under another arbiter, and not known yet to go well
                return
            result = "started" if mine else "already_started"
            version = context.replica(claim.sworm).version(best.origin)
            self._answer(pending, result, best.pid, best.entry.epoch, best.origin, version)
            return
        if claim.spec is None:
            self._name(slot, pending)
            return
        epoch = context.member.clock.epoch(
            context.now, max(claim.known, context.replica(claim.sworm).highest_epoch(claim.name))
        )
        self.busy[slot] = deque()

        def then(process: Process, ok: bool, code: str, detail: str) -> None:
            version = context.replica(claim.sworm).version(context.me)
            if ok:
                self._answer(pending, "started", process.pid, process.epoch, context.me, version)
            else:
                self._answer(pending, "refused", "", 0, context.me, version, code, detail)
            self._release(slot)

        self.supervision.launch(claim.sworm, claim.name, claim.spec, epoch, claim.id, context.majority(), then)

    def _name(self, slot: Slot, pending: Pending) -> None:
        """A further name: the host of the pid writes it, by order."""
        context, claim = self.context, pending.claim
        host = origin_of_pid(claim.pid)
        if host not in context.member.directory or context.member.has_departed(host):
            self._answer(pending, "not_registered")
            return
        epoch = context.member.clock.epoch(
            context.now, max(claim.known, context.replica(claim.sworm).highest_epoch(claim.name))
        )
        self._order(slot, pending, host, "name", claim.pid, epoch, "")

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

    def _release(self, slot: Slot) -> None:
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
        target = ""
        if claim.kind == "move":
            if claim.to and claim.to == node_of(best.origin):  # perhaps by this very claim, before its arbiter departed
                version = context.replica(claim.sworm).version(best.origin)
                self._answer(pending, "done", best.pid, best.entry.epoch, best.origin, version)
                return
            target = context.placement.target(*slot, claim.to, best.origin)
            if not target:
                wanted = claim.to or "another node"
                detail = f"{wanted} takes no process of {claim.sworm} now"
                self._answer(pending, "refused", best.pid, problem="no_node", detail=detail)
                return
        epoch = context.grant_epoch(*slot) if claim.kind == "move" else 0
        self._order(slot, pending, best.origin, claim.kind, best.pid, epoch, target)

    def _order(
        self, slot: Slot, pending: Pending, host: Origin, kind: str, pid: Pid, epoch: int, target: Origin
    ) -> None:
        context, claim = self.context, pending.claim
        self._order_number += 1
        order = Order(
            f"{context.me}/{self._order_number}", self._order_number, kind, claim.sworm, claim.name, None, epoch,
            pid, context.member.view.id, claim.deadline, context.majority(), target, claim.id,
        )  # fmt: skip
        self.busy.setdefault(slot, deque())
        resend_at = context.now + context.config.resend
        self.orders[order.id] = Ordered(pending, order, host, resend_at)
        self._check_by(resend_at)
        context.send(host, order)

    def on_order_done(self, done: OrderDone) -> None:
        """A host has answered an order."""
        ordered = self.orders.pop(done.id, None)
        if ordered is None:
            return
        if done.result == "retry":
            self._answer(ordered.pending, "retry")
            self._release((ordered.order.sworm, ordered.order.name))
        else:
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
            self._answer(
                ordered.pending, done.result, done.pid, done.epoch, done.origin, done.version, done.problem, done.detail
            )
            self._release((ordered.order.sworm, ordered.order.name))

    def _stands(self, sworm: str, done: OrderDone) -> bool:
        member = self.context.member
        if not done.origin or member.has_departed(done.origin):
            return True
        return member.replica(sworm).version(done.origin) >= done.version

    # -------------------------------------------------------------------------------------------------------- restore

    def restore_all(self) -> None:
        """Bring back what departed nodes ran, as far as this node decides about it.

        A slice now, the rest at the next turn, so that heartbeats and claims go on between.
        """
        context = self.context
        room = SLICE
        for sworm in list(context.member.replicas):
            for name in sorted(context.replica(sworm).orphaned):
                slot = (sworm, name)
                if slot in self.busy or context.placement.arbiter(sworm, name) != context.me:
                    continue
                if self._follows(sworm, name):
                    continue
                if room == 0:
                    self.restore_due = True
                    return
                if self._restore(slot) is not None or not self.estates.is_awaited(slot):
                    room -= 1

    def _restore(self, slot: Slot) -> Located | None:
        """The entry of a name that only departed nodes claim: restarted here, or declared gone."""
        context = self.context
        sworm, name = slot
        replica = context.replica(sworm)
        claims = [claim for claim in replica.claims(name) if not replica.is_void(name, claim.entry)]
        if not claims or sworm not in context.definitions or context.is_opening(slot):
            return None
        last = max(claims, key=lambda claim: (claim.entry.epoch, claim.origin))
        opening = last.entry.state == MOVED and not last.entry.of and self._will_open(last.entry)
        if context.is_back(last.origin) or opening:
            return last
        spec = last.entry.spec
        ties = inherited(context, sworm, self._ties_left(sworm, last.origin).get(last.entry.serial)) if spec else None
        if spec is None or context.definitions[sworm].restart == TEMPORARY:
            gone: dict[Key, object] = {(GONE, name): last.entry.epoch}
            if ties is not None:
                gone.update({(GONE, tie.name): tie.epoch for tie in ties.names.values()})
            context.member.write(sworm, gone)
            context.out.append(
                Report("lost", sworm, name, last.pid, context.member.node, "its node departed", last.entry.epoch)
            )
            return None
        if self.estates.must_wait(slot, last):
            return None
        kept = self.estates.take(slot)
        epoch = context.new_epoch(sworm, name)
        process = self.supervision.launch(
            sworm, name, spec, epoch, last.entry.claim, context.majority(), restarts=last.entry.restarts + 1,
            ties=ties, kept=kept,
        )  # fmt: skip
        context.report("rehomed", process, f"{last.pid} departed with its node" + self.estates.told(sworm, kept))
        return context.best(sworm, name)

    def _follows(self, sworm: str, name: str) -> bool:
        """Whether a departed node's entry is a further name of a process whose own name is not decided yet: it goes
        where that goes, and whoever decides about that decides about both.
        """
        replica = self.context.replica(sworm)
        if name not in replica.orphaned:
            return False
        claims = [claim for claim in replica.claims(name) if not replica.is_void(name, claim.entry)]
        last = max(claims, key=lambda claim: (claim.entry.epoch, claim.origin), default=None)
        return last is not None and bool(last.entry.of) and last.entry.of in replica.orphaned

    def _ties_left(self, sworm: str, origin: Origin) -> dict[int, Ties]:
        """{serial: ties} of a departed node's processes, read once for each state of its map."""
        copy = self.context.replica(sworm).copy(origin)
        version, ties = self._left.get((sworm, origin), (-1, {}))
        if version != copy.version:
            version, ties = self._left[sworm, origin] = copy.version, left_by(sworm, copy.entries)
        return ties

    def _will_open(self, entry: Registration) -> bool:
        """A committed move whose target is alive: the target opens it when it sees the entry."""
        record = next((m.record for m in self.context.member.members() if m.origin == entry.to), None)
        return not self.context.member.has_departed(entry.to) and record is not None and record.status == UP

    # ----------------------------------------------------------------------------------------------------------- time

    def view_changed(self) -> None:
        """Orders of the old view are void; what waited for agreement is served when it is there."""
        self.restore_due = True
        self._left.clear()
        self.estates.view_changed()
        for order_id, ordered in list(self.orders.items()):
            if self.context.member.has_departed(ordered.host):
                del self.orders[order_id]
                self._answer(ordered.pending, "retry")
                self._release((ordered.order.sworm, ordered.order.name))

    def serve(self) -> None:
        """To be called whenever the member is ready: serve what waited, restore what departed."""
        if self.restore_due:
            self.restore_due = False
            self.restore_all()
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
        for order_id, ordered in list(self.orders.items()):
            if ordered.order.deadline <= now * 1000:
                del self.orders[order_id]
                self._release((ordered.order.sworm, ordered.order.name))
                continue
            if now >= ordered.resend_at:
                ordered.resend_at = now + self.context.config.resend
                self.context.send(ordered.host, ordered.order)
            self._check_by(ordered.resend_at)
