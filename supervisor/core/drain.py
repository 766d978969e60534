"""A node empties itself: it hands every process over, and only then says so.

Law: a draining node is in no view and takes nothing new; it is done when it holds no process, or at its deadline, with
the names that it leaves behind. Those keep their entries, so that the arbiters of the others restore them, without
state.
"""

from __future__ import annotations

from registry.core.directory import CORDONED, DRAINING, JOINING, LEFT, UP
from registry.core.events import Report
from registry.core.messages import DIRECTORY
from supervisor.core.asks import Asks
from supervisor.core.context import Context
from supervisor.core.events import Asked, BounceGate, Drained, Reply, StopWorker
from supervisor.core.handoff import Handoffs
from supervisor.core.process import MOVED_PHASE, PREPARED, PREPARING, STOPPING, Process

#: Seconds between two attempts for a process that could not move.
RETRY = 0.1

#: Seconds for which a node that sees nobody, but knows of nodes that may only be cut off, goes on hoping for them.
HOPE = 10.0

#: Seconds that workers get to end, and the others to hear of the leave, after everything else is done.
GRACE = 2.0


class Drain:
    """The drain of one node, from the wish to the end."""

    def __init__(self, context: Context, asks: Asks, handoffs: Handoffs) -> None:
        self.handoffs = handoffs
        self.context = context
        self.asks = asks
        self.leave = True
        self.deadline = 0.0
        self.moving: set[str] = set()  #: pids whose move is under way
        self.retry: dict[str, float] = {}  #: pid -> when it may be tried again
        self.due = True  #: there is room for more moves: look before the next tick
        self.left_behind: tuple[tuple[str, str], ...] = ()
        self.said = False
        self._attempt = 0
        self._gave_up = False
        self._leave_version = 0
        self._leave_by = 0.0
        self._begun = 0.0

    def begin(self, deadline: float, leave: bool) -> None:
        """Start, or change the deadline of a drain under way; once it is to leave, it leaves."""
        if not self.context.draining:
            self._begun = self.context.now
            self.handoffs.without_state.clear()
        self.context.draining = self.due = True
        self.leave = leave or (self.leave and self.deadline > 0)
        self.deadline = deadline
        self.said = False
        self.retry.clear()
        self.context.member.set_status(DRAINING)
        self.handoffs.receiving.refuse_all()

    def cancel(self) -> None:
        """Take processes again, and move no more: what is under way ends as it does. Too late once it stops what is
        left, or has left; a drain that only emptied the node is ended by taking off the cordon.
        """
        if self.context.draining and not self._gave_up and not self._leave_version and not self.said:
            self.context.draining = False
            self.deadline = 0.0
            self.retry.clear()
            self.context.member.set_status(UP)
            me, detail = self.context.me, f"{len(self.context.hosted)} processes stay"
            self.context.out.append(Report("drain_cancelled", pid=me, node=self.context.member.node, detail=detail))

    def cordon(self, on: bool) -> None:
        """Take no new processes, or take them again; also ends the state in which a drain left the node."""
        status = self.context.member.record.status
        if self.deadline and self.leave:
            return  # its agent is on its way out and takes nobody's word against it
        if status in (UP, CORDONED, DRAINING):
            self.context.draining = False
            self.deadline = 0.0
            self.context.member.set_status(CORDONED if on else UP)

    # ----------------------------------------------------------------------------------------------------------- work

    def advance(self) -> None:
        """Move what can be moved now; finish when nothing is left."""
        context = self.context
        self.due = False
        if not context.draining or self._leave_version:
            self._leave()
            return
        here = list(context.processes.values())
        if not here:
            self._empty()
        elif context.now >= self.deadline or self._alone():
            self._give_up(here)
        elif context.member.ready:
            self._move_some(here)

    def _alone(self) -> bool:
        """Nobody takes anything over, nobody is about to, and nobody who is only cut off comes back soon."""
        member = self.context.member
        cut_off = any(member.has_not_left(origin) for origin in member.dead)
        if cut_off and self.context.now < self._begun + HOPE:
            return False
        coming = any(other.record.status == JOINING and other.state == "alive" for other in member.members())
        return member.ready and not coming and not any(o != self.context.me for o, _ in member.view.hosts)

    def _move_some(self, here: list[Process]) -> None:
        context = self.context
        room = context.config.drain_width - len(self.moving)
        for process in here:
            if room <= 0:
                return
            busy = process.phase in (STOPPING, MOVED_PHASE, PREPARING, PREPARED)
            if busy or process.pid in self.moving or self.retry.get(process.pid, 0.0) > context.now:
                continue
            room -= 1
            self._move(process)

    def _move(self, process: Process) -> None:
        context = self.context
        self._attempt += 1
        request = f"drain/{process.pid}/{self._attempt}"
        self.moving.add(process.pid)

        def then(reply: Reply) -> None:
            self.moving.discard(process.pid)
            self.retry[process.pid] = context.now + RETRY
            self.due = self.due or len(self.moving) <= context.config.drain_width // 2

        context.callbacks[request] = then
        deadline = min(self.deadline, context.now + context.config.move_timeout)
        self.asks.ask(
            Asked(request, "move", process.sworm, process.name, deadline, f"{context.me}/{request}", pid=process.pid)
        )

    # ------------------------------------------------------------------------------------------------------------ end

    def _give_up(self, here: list[Process]) -> None:
        """The deadline: a node that stays keeps what is left; one that leaves stops it, and leaves the entries behind
        for the arbiters of the others to restore.
        """
        if not self.leave:
            self.left_behind = tuple(sorted((p.sworm, p.name) for p in here))
            self._say()
            return
        if not self._gave_up:
            self._gave_up = True
            self.left_behind = tuple(sorted((p.sworm, p.name) for p in here))
            self._leave_by = self.context.now + GRACE
            for process in here:
                self.context.report("stopped", process, "its node was drained and it could not be handed over")
                process.after_stop = "left"
                if process.alive and process.phase != STOPPING:
                    self.stop(process)
        if all(not process.alive for process in here) or self.context.now >= self._leave_by:
            self._empty()

    def stop(self, process: Process) -> None:
        """Stop a worker whose entry stays; one that was prepared for another node is nobody's any more."""
        slot = (process.sworm, process.name)
        if self.context.targets.get(slot) is process:
            del self.context.targets[slot]
        process.enter(STOPPING)
        self.context.out.append(BounceGate(process.serial, ""))
        self.context.out.append(StopWorker(process.serial, "drain"))

    def _empty(self) -> None:
        if not self.leave:
            self._say()
            return
        self.context.member.set_status(LEFT)
        self._leave_version = self.context.replica(DIRECTORY).version(self.context.me)
        self._leave_by = self.context.now + GRACE
        self._leave()

    def _leave(self) -> None:
        if not self._leave_version:
            return
        member = self.context.member
        peers = list(member.repair.peers)
        known = all(member.repair.acknowledged(peer, DIRECTORY) >= self._leave_version for peer in peers)
        if known or self.context.now >= self._leave_by:
            self._say()

    def _say(self) -> None:
        if not self.said:
            self.said = True
            lost = tuple(sorted({*self.left_behind, *self.handoffs.without_state}))
            self._tell(lost)
            self.context.out.append(Drained(lost))

    def _tell(self, lost: tuple[tuple[str, str], ...]) -> None:
        """Name what was left behind, one by one, and say last that this node is done."""
        me, node = self.context.me, self.context.member.node
        for sworm, name in lost:
            detail = f"{node} was drained and could not hand over its state"
            self.context.out.append(Report("left_behind", sworm, name, me, node, detail))
        detail = f"{len(lost)} processes could not be handed over" if lost else "everything was handed over"
        self.context.out.append(Report("drain_ended", pid=me, node=node, detail=detail))
