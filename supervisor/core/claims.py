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

from registry.core.directory import UP
from registry.core.events import Report
from registry.core.ids import Origin, Pid, node_of, origin_of_pid
from registry.core.member import FOREVER
from registry.core.messages import Claim, Order, OrderDone, Verdict
from registry.core.names import GONE, MOVED, STARTING, Key, Located, Registration, Spec
from supervisor.core.choosing import Choice, Choosing
from supervisor.core.context import Context
from supervisor.core.estates import Estates
from supervisor.core.naming import inherited, is_guest
from supervisor.core.process import Kept, Process
from supervisor.core.spec import TEMPORARY
from supervisor.core.supervision import Supervision
from supervisor.core.tenure import NO_QUORUM, REFUSE, WAIT, Tenure
from supervisor.core.ties import Ties, left_by
from supervisor.core.transfer import StateKey, carried

Slot = tuple[str, str]  # (sworm, name)

#: Processes of departed nodes that are restored in one turn.
SLICE = 250

#: Orders that make a process: only an answer ends them, since a second one would make a second process.
MAKING = frozenset({"start", "restore"})

#: Seconds before a process that a host did not restore is looked at again.
RESTORE_DELAY = 0.05

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
        estates.transfers.sources.append(self.find)
        self.busy: dict[Slot, deque[Pending]] = {}
        self.waiting: list[Pending] = []  #: until the view is agreed
        self.orders: dict[str, Ordered] = {}
        self.answers: dict[str, Verdict] = {}
        self.settling: list[tuple[Ordered, OrderDone]] = []  #: done, and not merged here yet
        self.check_at = FOREVER
        self.restore_due = False
        self.restore_at = FOREVER
        self.giving: dict[StateKey, Kept] = {}  #: states of processes that other nodes were ordered to restore
        self.stranded: dict[Slot, str] = {}  #: processes of departed nodes that no node may run now, and why
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
            if self._follows(*slot):
                self._answer(pending, "retry")
                return
            best = self._restore(slot)
            if slot in self.busy:  # it is being restored elsewhere
                self.busy[slot].append(pending)
                return
            if best is None and (self.estates.is_awaited(slot) or context.is_opening(slot)):
                self._answer(pending, "retry")  # it goes on here in a moment
                return
        if claim.kind == "register":
            self._register(slot, pending, best)
        elif best is None and slot in self.stranded and claim.kind == "unregister":
            self._answer(pending, "done", origin=context.me, version=self._give_up(slot))
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
        self.busy[slot] = deque()
        self.choosing.choose(*slot, claim.id, lambda choice: self._start(slot, pending, choice))

    def _start(self, slot: Slot, pending: Pending, choice: Choice) -> None:
        """The node for a new process is chosen: this one starts it, another one is ordered to."""
        context, claim = self.context, pending.claim
        spec = claim.spec
        assert spec is not None
        if choice.late and (not self._decides(slot) or context.best(*slot) is not None):
            self._answer(pending, "retry")
            self._release(slot)
            return
        if not choice.host:
            self._answer(pending, "refused", problem=choice.problem, detail=choice.detail)
            self._release(slot)
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
            self._release(slot)

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
            self._release(slot)
        elif choice.host:
            epoch = self.context.grant_epoch(*slot)
            self._order(slot, pending, best.origin, "move", best.pid, epoch, choice.host, coming=choice.host)
        else:
            self._answer(pending, "refused", best.pid, problem=choice.problem, detail=choice.detail)
            self._release(slot)

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
        self._give(slot, pending, host, order, coming)

    def _give(self, slot: Slot, pending: Pending | None, host: Origin, order: Order, coming: Origin) -> None:
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
        """An order is over; a state that it was to carry is kept for the next one, unless it is done."""
        ordered = self.orders.pop(order_id, None)
        if ordered is not None:
            order = ordered.order
            self.choosing.expect(ordered.coming, -1)
            kept = self.giving.pop(StateKey(order.sworm, order.name, order.pid, order.taken_at), None)
            if kept is not None and not done and order.view == self.context.member.view.id:
                self.estates.fetched[order.sworm, order.name] = (order.pid, kept)
        return ordered

    def _not_now(self, ordered: Ordered) -> None:
        """An order came to nothing, for no fault of the process: whoever asked asks again."""
        if ordered.pending is not None:
            self._answer(ordered.pending, "retry")
        else:
            self.restore_at = min(self.restore_at, self.context.now + RESTORE_DELAY)
            self._check_by(self.restore_at)
        self._release((ordered.order.sworm, ordered.order.name))

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
        self._forget_stranded()
        for sworm in list(context.member.replicas):
            if not context.may_decide(sworm):
                continue  # its turn comes when the leases of the departed have ended
            for name in sorted(context.replica(sworm).orphaned):
                slot = (sworm, name)
                if slot in self.busy or not self._restores(slot):
                    continue
                if self._follows(sworm, name) or name not in context.replica(sworm).orphaned:
                    continue  # it goes, or has just gone, with its process
                if room == 0:
                    self.restore_due = True
                    return
                if self._restore(slot) is not None or not self.estates.is_awaited(slot):
                    room -= 1

    def _decider(self, slot: Slot) -> Origin:
        """Who looks after a departed node's process: its arbiter; where nobody hosts the sworm, whoever is first."""
        return self.context.placement.arbiter(*slot) or min(self.context.member.view.agreeing, default="")

    def _forget_stranded(self) -> None:
        """Those that run again, were ended, or are another arbiter's now."""
        for slot in list(self.stranded):
            if self._decider(slot) != self.context.me or slot[1] not in self.context.replica(slot[0]).orphaned:
                del self.stranded[slot]

    def _restores(self, slot: Slot) -> bool:
        """Whether this node brings a name back: its arbiter, or the target of a committed move that gave up since."""
        if self._decider(slot) == self.context.me:
            return True
        last = self._last_claim(slot)
        return last is not None and last.entry.state == MOVED and last.entry.to == self.context.me

    def _last_claim(self, slot: Slot) -> Located | None:
        replica = self.context.replica(slot[0])
        claims = [claim for claim in replica.claims(slot[1]) if not replica.is_void(slot[1], claim.entry)]
        return max(claims, key=lambda claim: (claim.entry.epoch, claim.origin), default=None)

    def _restore(self, slot: Slot) -> Located | None:
        """The entry of a name that only departed nodes claim: restarted here, or declared gone."""
        context = self.context
        sworm, name = slot
        last = self._last_claim(slot)
        if last is None or sworm not in context.definitions or context.is_opening(slot):
            return None
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
        self.busy[slot] = deque()
        self.choosing.choose(
            sworm, name, last.entry.claim, lambda choice: self._rehome(slot, last, ties, choice), fallback=True
        )
        return context.best(sworm, name)

    def _rehome(self, slot: Slot, last: Located, ties: Ties | None, choice: Choice) -> None:
        """The node for a departed node's process is chosen, or there is none: then it waits for one."""
        context, entry = self.context, last.entry
        assert entry.spec is not None
        if choice.late and not (self._decides(slot) and slot[1] in context.replica(slot[0]).orphaned):
            self.restore_due = True
            self._release(slot)
            return
        if not choice.host:
            self._strand(slot, last, choice)
            self._release(slot)
            return
        if choice.late and self.estates.must_wait(slot, last):  # a new view came meanwhile: who has its state now?
            self._release(slot)
            return
        self.stranded.pop(slot, None)
        restarts, kept = entry.restarts + 1, self.estates.take(slot)
        if choice.host == context.me:
            epoch = context.new_epoch(*slot)
            process = self.supervision.launch(
                *slot, entry.spec, epoch, entry.claim, context.majority(), restarts=restarts, ties=ties, kept=kept
            )
            detail = f"{last.pid} departed with its node" + self.estates.told(slot[0], kept)
            context.report("rehomed", process, detail)
            self._release(slot)
            return
        epoch = context.grant_epoch(*slot)
        further, groups = ties.travelling(slot[0]) if ties is not None else ((), ())
        deadline = int((context.now + context.config.move_timeout) * 1000)
        order = Order(
            "", 0, "restore", *slot, entry.spec, epoch, last.pid, context.member.view.id, deadline,
            context.majority(), "", entry.claim, context.definitions[slot[0]].revision, restarts, further, groups,
        )  # fmt: skip
        if kept is not None:
            self.giving[StateKey(*slot, last.pid, kept.taken_at)] = kept
            state, size = carried(kept.state)
            order = order._replace(state=state, stateful=True, taken_at=kept.taken_at, size=size)
        self._give(slot, None, choice.host, order, choice.host)

    def find(self, key: StateKey) -> bytes | None:
        """A state on its way to a node that restores its process."""
        kept = self.giving.get(key)
        return kept.state if kept is not None else None

    def _strand(self, slot: Slot, last: Located, choice: Choice) -> None:
        """No node may run it now: it is work that waits, and people are told once."""
        if self.stranded.get(slot) != choice.detail:
            self.stranded[slot] = choice.detail
            detail = f"{last.pid} departed with its node; {choice.detail}"
            self.context.out.append(
                Report("waiting", *slot, last.pid, self.context.member.node, detail, last.entry.epoch)
            )

    def _give_up(self, slot: Slot) -> int:
        """A process that waits for a node is unregistered; returns the version of the own map."""
        sworm, name = slot
        self.stranded.pop(slot, None)
        replica = self.context.replica(sworm)
        gone: dict[Key, object] = {(GONE, name): replica.highest_epoch(name)}
        for origin in replica.dead:
            entry = replica.copy(origin).entries.get(name) if origin in replica.copies else None
            ties = self._ties_left(sworm, origin).get(entry.serial) if entry is not None else None
            for tie in ties.names.values() if ties is not None else ():
                gone[(GONE, tie.name)] = max(tie.epoch, gone.get((GONE, tie.name), 0))  # type: ignore[call-overload]
        return self.context.member.write(sworm, gone)

    def _follows(self, sworm: str, name: str) -> bool:
        """Whether a departed node's entry is a further name of a process whose own name is not decided yet: it goes
        where that goes, and whoever decides about that decides about both.
        """
        replica = self.context.replica(sworm)
        if name not in replica.orphaned:
            return False
        last = self._last_claim((sworm, name))
        return last is not None and bool(last.entry.of) and last.entry.of in replica.orphaned

    def _ties_left(self, sworm: str, origin: Origin) -> dict[int, Ties]:
        """{serial: ties} of a departed node's processes, read once for each state of its map."""
        copy = self.context.replica(sworm).copy(origin)
        version, ties = self._left.get((sworm, origin), (-1, {}))
        if version != copy.version:
            version, ties = self._left[sworm, origin] = copy.version, left_by(sworm, copy.entries)
        return ties

    def _will_open(self, entry: Registration) -> bool:
        """A committed move whose target is alive: it opens when it sees the entry, or restores what it gave up.

        Here nothing is prepared (the caller has looked), so this node is not meant.
        """
        if entry.to == self.context.me:
            return False
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
                self._drop(order_id)
                self._not_now(ordered)

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
        if now >= self.restore_at:
            self.restore_at, self.restore_due = FOREVER, True
        elif self.restore_at < FOREVER:
            self._check_by(self.restore_at)
        for order_id, ordered in list(self.orders.items()):
            if ordered.order.deadline <= now * 1000 and ordered.order.kind not in MAKING:
                self._drop(order_id)
                self._release((ordered.order.sworm, ordered.order.name))
                continue
            if now >= ordered.resend_at:
                ordered.resend_at = now + self.context.config.resend
                self.context.send(ordered.host, ordered.order)
            self._check_by(ordered.resend_at)
