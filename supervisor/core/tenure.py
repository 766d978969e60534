"""What `uniform_quorum` means for the processes of one node: they answer under a lease, or not at all.

Law: a process of such a sworm is opened under the lease that stands at that moment, and its gate looks at it before
each message. When the lease has lapsed, the process stops, never to answer again, and keeps its entry as restarting.
Nothing of such a sworm is given out, brought back, thawed or restarted unless `may_decide` says that nobody else can be
answering; then whatever is still this node's starts anew.
"""

from __future__ import annotations

from registry.core.quorum import FOREVER
from supervisor.core.context import Context
from supervisor.core.handoff import Handoffs
from supervisor.core.process import FREEZING, OFFERING, RUNNING, STARTING, STOPPING, WAITING, Process
from supervisor.core.supervision import Supervision

#: What may be done about names of a sworm.
FREE, WAIT, REFUSE = "free", "wait", "refuse"

NO_QUORUM = "no_quorum"


class Tenure:
    """Watches the lease of one node."""

    def __init__(self, context: Context, supervision: Supervision, handoffs: Handoffs) -> None:
        self.context = context
        self.supervision = supervision
        self.handoffs = handoffs
        self.seen: frozenset[str] = frozenset()  #: sworms that were under a lease when this was last looked at
        self._could = False  #: names could be decided about when this was last looked at

    def standing(self, sworm: str) -> str:
        """Whether claims to names of a sworm are served, wait, or are refused."""
        context = self.context
        if sworm not in context.by_quorum:
            return FREE
        quorum = context.member.quorum
        if quorum.may_decide(context.now):
            return FREE
        return WAIT if quorum.has_majority() else REFUSE

    def refusal(self) -> str:
        """Why claims are refused, as a sentence."""
        view = self.context.member.view.agreeing
        rosters = sorted(self.context.member.quorum.all_rosters())
        of = len(self.context.member.quorum.seats(rosters[-1])) if rosters else 0
        least = self.context.member.quorum.least
        return f"{len(view)} of {max(of, least)} hosts are in reach, which is no majority of those agreed last"

    def due(self) -> float:
        """When a lease ends, or those of others have been waited out."""
        return self.context.member.quorum.due() if self.context.by_quorum else FOREVER

    def look(self) -> bool:
        """Draw the consequences of what became of the lease; True when names may be decided about from now on."""
        context, quorum = self.context, self.context.member.quorum
        if self.seen != context.by_quorum:
            self.seen = context.by_quorum
            self._definitions_changed()
        quorum.check(context.now)
        if quorum.lapsed:
            quorum.lapsed = False
            self._suspend_all()
        while context.unheld:
            process = context.unheld.pop()
            if process.phase == RUNNING:
                self._suspend(process)
        can = quorum.may_decide(context.now)
        begins, self._could = can and not self._could, can
        if self.supervision.suspended:
            self._resume()
        return begins

    def _definitions_changed(self) -> None:
        """The strategy of a sworm may be another one: its processes come under the lease, or out of it."""
        context = self.context
        for process in list(context.hosted.values()):
            if process.phase not in (STARTING, STOPPING) and (process.sworm in context.by_quorum) != (
                process.lease is not None
            ):
                context.hold(process)

    # ------------------------------------------------------------------------------------------------------- suspending

    def _suspend_all(self) -> None:
        context = self.context
        stopped = 0
        for process in list(context.hosted.values()):
            if process.sworm in context.by_quorum and (process.lease is None or not process.lease.holds(context.now)):
                stopped += self._suspend(process)
        if stopped:
            detail = f"no majority of the last agreed hosts is in reach; {stopped} processes stop until there is one"
            context.report_node("no_quorum", detail)

    def _suspend(self, process: Process) -> int:
        if process.phase in (FREEZING, OFFERING):
            slot = (process.sworm, process.name)
            self.handoffs.abort(process, "its node lost the majority")
            process = self.context.hosted.get(slot, process)  # its worker may have ended while it was frozen
        if process.phase == WAITING:
            self.supervision.wait_for_quorum(process)
            return 1
        if process.phase not in (RUNNING, STARTING):
            return 0
        process.after_stop = "suspend"
        self.supervision.stop(process, NO_QUORUM)
        return 1

    def _resume(self) -> None:
        for process in list(self.supervision.suspended.values()):
            if self._is_ours(process) and self.context.may_decide(process.sworm):
                self.supervision.restart(process, forgive=True)

    def _is_ours(self, process: Process) -> bool:
        best = self.context.best(process.sworm, process.name)
        return process.phase == WAITING and best is not None and best.pid == process.pid
