"""A whole node: one door, `step(event, now) -> effects`.

Law: no clock, socket, task, thread, file, ORM or log in here; equal events at equal times give equal effects. An event
is taken whole before the next one; the effects come in the order in which they are to be carried out
(`supervisor.core.events`). Calls and casts do not pass through here: they read `replicas[sworm].index` and ask the
process's gate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from registry.core.events import Joined, LinkDown, LinkRefused, LinkUp, MemberEffect, Received, Ticked
from registry.core.ids import Origin
from registry.core.member import FOREVER, Member, MemberConfig
from registry.core.membership import MemberInfo, Timing
from registry.core.messages import (
    Abort,
    Ack,
    Claim,
    Commit,
    Delta,
    Fetch,
    Held,
    Keep,
    Message,
    Opened,
    Order,
    OrderDone,
    Piece,
    Prepare,
    Prepared,
    Relayed,
    Resolve,
    Resolved,
    Seek,
    Verdict,
)
from registry.core.names import GONE, Key, Located
from registry.core.replica import Replica
from supervisor.core.asks import Asks
from supervisor.core.checkpoints import Checkpoints
from supervisor.core.choosing import Choosing
from supervisor.core.claims import Arbiter
from supervisor.core.conflict import Conflicts
from supervisor.core.context import Context, NodeConfig
from supervisor.core.definitions import Definitions
from supervisor.core.drain import Drain
from supervisor.core.estates import Estates
from supervisor.core.events import (
    Asked,
    CheckpointTaken,
    Chosen,
    CordonAsked,
    Defined,
    DrainAsked,
    DrainCancelled,
    Effect,
    Event,
    Foresee,
    ForgetAsked,
    StateGiven,
    StateTaken,
    WorkerExited,
    WorkerFailed,
    WorkerStarted,
)
from supervisor.core.foresight import Foresight
from supervisor.core.handoff import Handoffs
from supervisor.core.naming import JOIN, LEAVE, Naming
from supervisor.core.orders import Orders
from supervisor.core.placement import Placement
from supervisor.core.redistribution import Redistribution
from supervisor.core.spec import Definition
from supervisor.core.supervision import Supervision
from supervisor.core.tenure import Tenure
from supervisor.core.transfer import Transfers

_ROUNDS = 16  #: of consequences within one step; each has far fewer


class Node:
    """The core of one agent."""

    def __init__(self, origin: Origin, config: NodeConfig, now: float) -> None:
        self.member = Member(origin, config.member, now)
        self.context = context = Context(self.member, config, now)
        self.supervision = Supervision(context)
        self.asks = Asks(context)
        self.transfers = Transfers(context)
        self.estates = Estates(context, self.transfers)
        self.choosing = Choosing(context)
        self.foresight = Foresight(context, self.choosing)
        self.handoffs = Handoffs(context, self.supervision, self.transfers, self.choosing)
        self.tenure = Tenure(context, self.supervision, self.handoffs)
        self.arbiter = Arbiter(context, self.supervision, self.estates, self.choosing, self.tenure)
        self.estates.holdings.append(self.handoffs.receiving.holdings)
        self.checkpoints = Checkpoints(context, self.transfers)
        self.estates.holdings.append(self.checkpoints.holdings)
        self.supervision.opened = self.checkpoints.opened
        self.naming = Naming(context)
        self.orders = Orders(context, self.supervision, self.handoffs, self.naming, self.estates)
        self.conflicts = Conflicts(context, self.supervision, self.handoffs, self.naming, self.transfers)
        self.redistribution = Redistribution(context, self.asks, self.choosing)
        self.drain = Drain(context, self.asks, self.handoffs)
        self._definitions = Definitions(context, self.checkpoints.definitions_changed)
        self._judged = -1
        self._tidy_at = now
        self._look = True  #: a tick, or a new view: moves and drains are looked at as a whole
        self._events = self._event_handlers()
        self._messages = self._message_handlers()

    def _event_handlers(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            Asked: self.asks.ask,
            WorkerStarted: lambda e: self.supervision.started(e.serial),
            WorkerFailed: lambda e: self.supervision.failed(e.serial, e.code, e.detail),
            WorkerExited: lambda e: self.supervision.exited(e.serial, e.normal, e.detail),
            StateTaken: self._state_taken,
            CheckpointTaken: lambda e: self.checkpoints.taken(e.serial, e.state, e.stateful, e.problem),
            Chosen: self.choosing.on_chosen,
            Foresee: self.foresight.ask,
            StateGiven: lambda e: self.conflicts.state_given(e.serial, e.loser, e.problem),
            Defined: lambda e: self._definitions.define(e.definition, e.publish),
            DrainAsked: lambda e: self.drain.begin(e.deadline, e.leave),
            DrainCancelled: lambda e: self.drain.cancel(),
            CordonAsked: lambda e: self.drain.cordon(e.on),
            ForgetAsked: lambda e: self.member.forget(e.node),
            Received: self._received,
            Ticked: self._ticked,
            LinkUp: self._member_event,
            LinkDown: self._member_event,
            LinkRefused: self._member_event,
            Joined: self._member_event,
        }

    def _message_handlers(self) -> dict[type[Any], Callable[[Origin, Any], None]]:
        return {
            Claim: self._claimed,
            Verdict: lambda sender, message: self.asks.on_verdict(message),
            Order: self.orders.receive,
            OrderDone: lambda sender, message: self.arbiter.on_order_done(message),
            Prepare: self.handoffs.receiving.on_prepare,
            Prepared: self.handoffs.on_prepared,
            Commit: self.handoffs.receiving.on_commit,
            Opened: self.handoffs.on_opened,
            Abort: self.handoffs.receiving.on_abort,
            Seek: self.estates.on_seek,
            Held: self.estates.on_held,
            Fetch: self.transfers.on_fetch,
            Piece: self.transfers.on_piece,
            Keep: self.checkpoints.on_keep,
            Resolve: self.conflicts.on_resolve,
            Resolved: lambda sender, message: self.conflicts.on_resolved(message),
            Relayed: self._relayed,
        }

    # ---------------------------------------------------------------------------------------------------------- door

    def step(
        self, event: Event | LinkUp | LinkDown | LinkRefused | Joined | Received | Ticked, now: float
    ) -> list[Effect]:
        """Take one event; returns the effects, in order."""
        out: list[Any] = []
        self.context.out = self.member.out = self.member.repair.out = out
        self.context.now = now
        self._events[type(event)](event)
        self._settle(now)
        detours = self.member.detours
        return detours.route(out) if detours.via else out

    def _member_event(self, event: Any) -> None:
        self.member.handle(event, self.context.now)

    def _received(self, event: Received) -> None:
        message = event.message
        handler = self._messages.get(type(message))
        if handler is None:
            self.member.handle(event, self.context.now)
            self._merged(message)
        else:
            peer = self.member.repair.peers.get(event.origin)
            if peer is not None:
                peer.heard = self.context.now
                handler(event.origin, message)

    def _merged(self, message: Message) -> None:
        if isinstance(message, Delta):
            self.asks.on_delta(message)
        elif isinstance(message, Ack):
            self.asks.on_ack(message)

    def _relayed(self, relay: Origin, relayed: Relayed) -> None:
        """A message that came by way of another node is its source's, like any other."""
        source, message = relayed
        if not self.member.detours.arrived(relay, relayed, self.context.now):
            return
        handler = self._messages.get(type(message))
        if handler is None:
            self.member.take(source, message, self.context.now)
            self._merged(message)
        else:
            handler(source, message)

    def _claimed(self, sender: Origin, claim: Claim) -> None:
        if claim.kind in (JOIN, LEAVE):
            self.naming.receive(sender, claim)
        else:
            self.arbiter.receive(sender, claim)

    def _state_taken(self, event: StateTaken) -> None:
        self.handoffs.state_taken(event.serial, event.state, event.stateful, event.problem)
        self.conflicts.state_taken(event.serial, event.state, event.stateful, event.problem)

    def _ticked(self, event: Ticked) -> None:
        self._look = True
        self.member.handle(event, self.context.now)
        self.supervision.tick()
        self.asks.tick()
        self.arbiter.tick()
        self.transfers.tick()
        self.estates.tick()
        self.checkpoints.tick()
        self.conflicts.tick()
        self.redistribution.tick()
        if self.context.now >= self._tidy_at:
            self._tidy_at = self.context.now + self.context.config.housekeeping
            self.conflicts.tidy()
            self.checkpoints.tidy()
            self._tidy()
            self.context.forget_grants()

    # ------------------------------------------------------------------------------------------------------- settling

    def _settle(self, now: float) -> None:
        """Draw the consequences until there are none."""
        member, context = self.member, self.context
        for _ in range(_ROUNDS):
            if context.loopback:
                self._deliver()
            if member.unsettled:
                member.settle(now)
                self._follow_view()
            if member.repair.touched:
                self._look_at_names()
            if (context.by_quorum or self.tenure.seen) and self.tenure.look():
                self.arbiter.restoring.due = True
            if self._look:
                self.handoffs.check()
            if self.arbiter.settling:
                self.arbiter.settle()
            if member.ready and (self.arbiter.restoring.has_work or self.arbiter.waiting):
                self.arbiter.serve()
            if context.draining and not self.drain.said and (self._look or self.drain.due or not context.processes):
                self.drain.advance()
            self._look = False
            if not context.loopback and not member.repair.directory_moved:
                break
        if not member.wakes_by(now):
            member.schedule(now, self._due())

    def _look_at_names(self) -> None:
        """Whatever a merge or an own write touched: moves that show in the registry, conflicts."""
        moving = bool(self.context.targets or self.handoffs.moves)
        touched, self.member.repair.touched[:] = list(self.member.repair.touched), []
        for replica in touched:
            if moving:
                names, replica.changed = replica.changed, set()
                self.handoffs.entries_moved(replica.sworm, names)
                self.conflicts.check(replica.sworm, names)
                continue
            if replica.contested:
                self.conflicts.check(replica.sworm, replica.changed)
            replica.changed.clear()

    def _deliver(self) -> None:
        """Messages of this node to itself, in order, until there are none."""
        loopback = self.context.loopback
        while loopback:
            batch, loopback[:] = list(loopback), []
            for message in batch:
                self._messages[type(message)](self.context.me, message)

    def _follow_view(self) -> None:
        member, context = self.member, self.context
        if member.judged == self._judged:
            return
        self._judged = member.judged
        changed = self._definitions.reload()
        if changed or member.dead:
            self.arbiter.restoring.due = True
        if changed or member.view is not context.placement.view:
            self.redistribution.begin()
        if member.view is not context.placement.view:
            self._look = True
            context.placement = Placement(member.view, member.directory)
            self.arbiter.view_changed()
            self.asks.view_changed()

    def _due(self) -> float:
        if self.arbiter.restoring.has_work and self.member.ready:
            return self.context.now
        emptying = self.context.draining and not self.drain.said
        busy = self.handoffs.moves or self.conflicts.losing or self.context.targets or emptying
        soon = self.context.now + self.member.timing.hold if busy else FOREVER
        return min(
            self.asks.check_at, self.arbiter.check_at, self.transfers.check_at, self.estates.check_at,
            self.checkpoints.check_at, self.redistribution.check_at, self.supervision.due() or FOREVER,
            self.tenure.due(), soon,
        )  # fmt: skip

    def _tidy(self) -> None:
        """Take back what "gone" no longer guards against: no departed origin, no other claim is left."""
        for sworm, replica in self.member.replicas.items():
            own = replica.copies.get(self.member.origin)
            if own is None or not replica.gone or replica.dead & replica.copies.keys():
                continue
            spare: dict[Key, None] = {
                key: None
                for key, epoch in own.entries.items()
                if key[0] == GONE and not isinstance(key, str)
                and all(claim.entry.epoch > epoch for claim in replica.claims(key[1]))
            }  # fmt: skip
            if spare:
                self.member.write(sworm, spare)

    # -------------------------------------------------------------------------------------------------------- reading

    @property
    def origin(self) -> Origin:
        """This incarnation."""
        return self.member.origin

    @property
    def replicas(self) -> dict[str, Replica]:
        """sworm -> replica; "" is the directory."""
        return self.member.replicas

    @property
    def definitions(self) -> dict[str, Definition]:
        """The definitions obeyed now."""
        return self.context.definitions

    def members(self) -> list[MemberInfo]:
        """Every incarnation that the directory knows."""
        return self.member.members()

    def lookup(self, sworm: str, name: str) -> Located | None:
        """Where a name lives now, as far as this node knows."""
        replica = self.member.replicas.get(sworm)
        return replica.index.get(name) if replica else None

    def waiting(self) -> list[tuple[str, str]]:
        """Sworm and name of what a departed node ran, this node decides about, and no node may run now."""
        return list(self.arbiter.restoring.stranded)

    @property
    def process_count(self) -> int:
        """How many processes this node lists."""
        return len(self.context.hosted)


__all__ = ["MemberConfig", "MemberEffect", "Node", "NodeConfig", "Timing"]
