"""Brings back what departed nodes ran, as far as this node decides about it.

Law: an entry left by a departed node is restarted where its strategy wants it, with the newest state that was found and
with what was tied to it, or declared gone (temporary). Here it starts at once; another node is ordered to, and the name
stays busy until that node has answered. While no node may run it, it waits: its entry stays, people are told once, and
the next view or definition is another chance. A slice at a time, so that heartbeats and claims go on between; each name
is looked at once for each reason to look at it, however many there are.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from registry.core.directory import UP
from registry.core.events import Report
from registry.core.ids import Origin, Pid
from registry.core.member import FOREVER
from registry.core.messages import Order
from registry.core.names import GONE, MOVED, Key, Located, Registration
from supervisor.core.choosing import Choice, Choosing
from supervisor.core.context import Context
from supervisor.core.estates import Estates
from supervisor.core.naming import inherited
from supervisor.core.process import Kept
from supervisor.core.spec import TEMPORARY
from supervisor.core.supervision import Supervision
from supervisor.core.ties import Ties, left_by
from supervisor.core.transfer import StateKey, carried

Slot = tuple[str, str]  # (sworm, name)

#: Processes of departed nodes that are restored in one turn.
SLICE = 250

#: Seconds before a process that a host did not restore is looked at again.
RESTORE_DELAY = 0.05


class Desk(Protocol):
    """Where claims and orders are kept: the arbiter's."""

    busy: dict[Slot, deque[Any]]

    def give(self, slot: Slot, pending: None, host: Origin, order: Order, coming: Origin) -> None:
        """Give a host an order."""

    def release(self, slot: Slot) -> None:
        """A name is not busy any more: serve the next claim to it."""


class Restoring:
    """What one node brings back."""

    def __init__(
        self, context: Context, supervision: Supervision, estates: Estates, choosing: Choosing, desk: Desk
    ) -> None:
        self.context = context
        self.supervision = supervision
        self.estates = estates
        self.choosing = choosing
        self.desk = desk
        self.due = False  #: every name is to be looked at
        self.todo: dict[Slot, None] = {}  #: names that are to be looked at, in order
        self.again_at = FOREVER  #: when what a host did not restore is looked at again
        self.giving: dict[StateKey, Kept] = {}  #: states of processes that other nodes were ordered to restore
        self.stranded: dict[Slot, str] = {}  #: processes of departed nodes that no node may run now, and why
        self._left: dict[Slot, tuple[int, dict[int, Ties]]] = {}
        estates.transfers.sources.append(self.find)
        estates.told_all, estates.has_state = self.look_at_all, self.look_at

    @property
    def has_work(self) -> bool:
        """Whether `some` has something to do."""
        return self.due or bool(self.todo)

    def look_at_all(self) -> None:
        """Something came that any name may have waited for."""
        self.due = True

    def look_at(self, slot: Slot) -> None:
        """What one name waited for is there, or will not come."""
        self.todo[slot] = None

    def view_changed(self) -> None:
        """Who departed, and who decides, may be others now."""
        self.due = True
        self._left.clear()
        self.estates.view_changed()

    def over(self, order: Order, done: bool) -> None:
        """An order is over; a state that it was to carry is kept for the next one, unless it is done."""
        kept = self.giving.pop(StateKey(order.sworm, order.name, order.pid, order.taken_at), None)
        if kept is not None and not done and order.view == self.context.member.view.id:
            self.estates.fetched[order.sworm, order.name] = (order.pid, kept)

    def not_now(self) -> float:
        """A host did not restore what it was told to; returns when that is looked at again."""
        self.again_at = min(self.again_at, self.context.now + RESTORE_DELAY)
        return self.again_at

    def tick(self) -> float:
        """Returns when this wants to be called next."""
        if self.context.now >= self.again_at:
            self.again_at, self.due = FOREVER, True
        return self.again_at

    def some(self) -> None:
        """Bring back what departed nodes ran, as far as this node decides about it: a slice now, the rest next turn."""
        if self.due:
            self.due = False
            self._forget_stranded()
            replicas = self.context.member.replicas.items()
            self.todo |= {(sworm, name): None for sworm, replica in replicas for name in sorted(replica.orphaned)}
        room = SLICE
        while self.todo and room:
            slot = next(iter(self.todo))
            del self.todo[slot]
            if self._is_work(slot):
                self.restore(slot)
                room -= 1

    def _is_work(self, slot: Slot) -> bool:
        """Whether a name is to be brought back here and now."""
        sworm, name = slot
        if name not in self.context.replica(sworm).orphaned or slot in self.desk.busy:
            return False
        if not self.context.may_decide(sworm):
            return False  # its turn comes when the leases of the departed have ended
        return self._restores(slot) and not self.follows(sworm, name)  # what follows its process goes with that

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

    def restore(self, slot: Slot) -> Located | None:
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
        self.desk.busy[slot] = deque()
        self.choosing.choose(
            sworm, name, last.entry.claim, lambda choice: self._rehome(slot, last, ties, choice), fallback=True
        )
        return context.best(sworm, name)

    def _rehome(self, slot: Slot, last: Located, ties: Ties | None, choice: Choice) -> None:
        """The node for a departed node's process is chosen, or there is none: then it waits for one."""
        context, entry = self.context, last.entry
        assert entry.spec is not None
        if choice.late and not (
            context.member.ready and self._restores(slot) and slot[1] in context.replica(slot[0]).orphaned
        ):
            self.look_at(slot)
            self.desk.release(slot)
            return
        if not choice.host:
            self._strand(slot, last, choice)
            self.desk.release(slot)
            return
        if choice.late and self.estates.must_wait(slot, last):  # a new view came meanwhile: who has its state now?
            self.desk.release(slot)
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
            self.desk.release(slot)
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
        self.desk.give(slot, None, choice.host, order, choice.host)

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

    def waits(self, slot: Slot, pid: Pid) -> bool:
        """Whether a process, of whichever incarnation or of this one, waits for a node that may run it."""
        last = self._last_claim(slot) if slot in self.stranded else None
        return last is not None and pid in ("", last.pid)

    def give_up(self, slot: Slot) -> int:
        """A process that waits for a node is unregistered; returns the version of the own map."""
        sworm, name = slot
        self.stranded.pop(slot, None)
        replica = self.context.replica(sworm)
        last = self._last_claim(slot)
        if last is not None:
            node, detail = self.context.member.node, "it waited for a node"
            self.context.out.append(Report("unregistered", sworm, name, last.pid, node, detail, last.entry.epoch))
        gone: dict[Key, object] = {(GONE, name): replica.highest_epoch(name)}
        for origin in replica.dead:
            entry = replica.copy(origin).entries.get(name) if origin in replica.copies else None
            ties = self._ties_left(sworm, origin).get(entry.serial) if entry is not None else None
            for tie in ties.names.values() if ties is not None else ():
                gone[(GONE, tie.name)] = max(tie.epoch, gone.get((GONE, tie.name), 0))  # type: ignore[call-overload]
        return self.context.member.write(sworm, gone)

    def follows(self, sworm: str, name: str) -> bool:
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
