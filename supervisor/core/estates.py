"""What a departed node's processes left behind at others: their states, found and fetched before they are restored.

Law: before an arbiter restarts a name of a departed node, in a sworm whose processes have states that move or are kept,
it asks every node in reach which states of that node's processes it holds (`Seek`), and goes on from the newest of the
very incarnation that departed; without, only when nobody has one. A question counts for one view: when the view changes
it is asked anew. Nobody waits for a node that departs, nor for one that does not answer when asked `TRIES` times: time
in which the arbiter itself was away is no silence of the others.

The holder keeps a state until the name runs again, so a state that was told of can be fetched; if its holder departs
meanwhile, the next newest is taken.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field

from registry.core.directory import OBSERVING
from registry.core.ids import Origin, Pid
from registry.core.member import FOREVER
from registry.core.membership import record_of
from registry.core.messages import Held, Holding, Seek
from registry.core.names import Located
from supervisor.core.context import Context
from supervisor.core.process import Kept
from supervisor.core.transfer import StateKey, Transfers

Slot = tuple[str, str]  # (sworm, name)

#: Times that a node in reach is asked what it holds, `resend` apart, until the arbiter goes on without it.
TRIES = 10

#: (sworm, departed origin) -> what this node holds
Holdings = Callable[[str, Origin], list[Holding]]


@dataclass(slots=True)
class Inquiry:
    """One question: what is held of a departed node's processes in a sworm."""

    missing: set[Origin]  #: nodes that have not answered
    resend_at: float
    asked: int = 1  #: times
    found: dict[Pid, list[tuple[int, Origin, int]]] = field(default_factory=dict)  #: taken_at, holder, size; best last


class Estates:
    """The arbiter's search for states, and every node's answer to it."""

    def __init__(self, context: Context, transfers: Transfers) -> None:
        self.context = context
        self.transfers = transfers
        self.holdings: list[Holdings] = []
        self.told_all: Callable[[], None] = lambda: None  #: everybody has said what it holds of a node's processes
        self.has_state: Callable[[Slot], None] = lambda slot: None  #: a name's state is here, or not to be had there
        self.inquiries: dict[tuple[str, Origin], Inquiry] = {}
        self.fetching: dict[Slot, StateKey] = {}
        self.fetched: dict[Slot, tuple[Pid, Kept]] = {}
        self.check_at = FOREVER

    # -------------------------------------------------------------------------------------------------------- arbiter

    def must_wait(self, slot: Slot, last: Located) -> bool:
        """Whether a departed incarnation's name must not be restored yet: its state is being looked for or fetched."""
        if not self._may_have_state(slot[0]):
            return False
        if self._is_fetched(slot, last.pid):
            return False
        inquiry = self._inquiry(slot[0], last.origin)
        if inquiry.missing:
            return True
        found = inquiry.found.get(last.pid)
        while found and slot not in self.fetching and not self._is_fetched(slot, last.pid):
            self._fetch(slot, last.pid, found)  # what this node held itself may be gone meanwhile: then the next newest
        return slot in self.fetching

    def _is_fetched(self, slot: Slot, pid: Pid) -> bool:
        ready = self.fetched.get(slot)
        return ready is not None and ready[0] == pid

    def take(self, slot: Slot) -> Kept | None:
        """The state that was fetched for a name, if there was one."""
        found = self.fetched.pop(slot, None)
        return found[1] if found is not None else None

    def is_awaited(self, slot: Slot) -> bool:
        """Whether a name's state is being looked for or fetched here."""
        if slot in self.fetching:
            return True
        sworm = slot[0]
        asking = {origin for (of, origin), inquiry in self.inquiries.items() if of == sworm and inquiry.missing}
        return bool(asking) and any(claim.origin in asking for claim in self.context.replica(sworm).claims(slot[1]))

    def told(self, sworm: str, kept: Kept | None) -> str:
        """What people are told about the state of a restored process."""
        if kept is not None:
            return f"; it goes on with the state of {kept.age_ms(self.context.now)} ms ago"
        return "; its state was lost with it" if self._may_have_state(sworm) else ""

    def _may_have_state(self, sworm: str) -> bool:
        definition = self.context.definitions.get(sworm)
        return definition is not None and (definition.handoff or definition.checkpoint_copies > 0)

    def _inquiry(self, sworm: str, origin: Origin) -> Inquiry:
        known = self.inquiries.get((sworm, origin))
        if known is not None:
            return known
        context = self.context
        inquiry = Inquiry(set(self._asked()), context.now + context.config.resend)
        self.inquiries[sworm, origin] = inquiry
        self.check_at = min(self.check_at, inquiry.resend_at)
        for node in sorted(inquiry.missing):
            context.send(node, Seek(sworm, origin, context.member.view.id))
        self._note(inquiry, context.me, self._held(sworm, origin))
        return inquiry

    def _asked(self) -> list[Origin]:
        """All nodes that may hold something: whoever runs processes, or did until it began to drain."""
        member = self.context.member
        return [
            origin for origin in member.directory
            if origin != self.context.me and not member.has_departed(origin)
            and (record := record_of(member.directory, origin)) is not None and record.status != OBSERVING
        ]  # fmt: skip

    def on_held(self, sender: Origin, message: Held) -> None:
        """A node has said what it holds."""
        inquiry = self.inquiries.get((message.sworm, message.origin))
        if inquiry is None or message.view != self.context.member.view.id:
            return
        self._note(inquiry, sender, message.holdings)
        inquiry.missing.discard(sender)
        if not inquiry.missing:
            self.told_all()

    def _note(self, inquiry: Inquiry, holder: Origin, holdings: list[Holding] | tuple[Holding, ...]) -> None:
        for holding in holdings:
            found, held = inquiry.found.setdefault(holding.pid, []), (holding.taken_at, holder, holding.size)
            if held not in found:
                insort(found, held)

    def _fetch(self, slot: Slot, pid: Pid, found: list[tuple[int, Origin, int]]) -> None:
        taken_at, holder, size = found.pop()
        key = self.fetching[slot] = StateKey(*slot, pid, taken_at)

        def then(state: bytes | None) -> None:
            if self.fetching.get(slot) != key:
                return
            del self.fetching[slot]
            if state is not None:
                self.fetched[slot] = (pid, Kept(state, pid, taken_at, restored=True))
            self.has_state(slot)

        self.transfers.want(holder, key, size, then)

    # --------------------------------------------------------------------------------------------------------- holder

    def on_seek(self, sender: Origin, message: Seek) -> None:
        """An arbiter asks what is held here."""
        holdings = tuple(self._held(message.sworm, message.origin))
        self.context.send(sender, Held(message.sworm, message.origin, message.view, holdings))

    def _held(self, sworm: str, origin: Origin) -> list[Holding]:
        return [holding for held in self.holdings for holding in held(sworm, origin)]

    # ----------------------------------------------------------------------------------------------------------- time

    def view_changed(self) -> None:
        """Who answered may be gone, who was not asked may be there: ask anew."""
        needless = list(self.fetching.values())
        self.inquiries.clear()
        self.fetching.clear()
        self.fetched.clear()
        for key in needless:
            self.transfers.forget(key)

    def tick(self) -> None:
        """Ask again; go on without those that do not answer."""
        context = self.context
        if context.now < self.check_at:
            return
        self.check_at = FOREVER
        done = False
        for (sworm, origin), inquiry in self.inquiries.items():
            if not inquiry.missing:
                continue
            inquiry.missing = {node for node in inquiry.missing if not context.member.has_departed(node)}
            if context.now >= inquiry.resend_at:
                inquiry.asked += 1
                if inquiry.asked > TRIES:
                    inquiry.missing.clear()
                inquiry.resend_at = context.now + context.config.resend
                for node in sorted(inquiry.missing):
                    context.send(node, Seek(sworm, origin, context.member.view.id))
            if inquiry.missing:
                self.check_at = min(self.check_at, inquiry.resend_at)
            else:
                done = True
        if done:
            self.told_all()
