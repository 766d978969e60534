"""Two processes of one name met: the one that ranks lower freezes, offers its state, stops and is gone.

Law: the loser is found by rank alone, at each merge that touches the name and at every housekeeping. It accepts no
message from the moment it knows. Its state reaches the winner at most once, under its pid. When the winner departs
first, the loser is looked at anew: it may have become the winner. Nothing here blocks anything else.
"""

from __future__ import annotations

from collections.abc import Iterable

from registry.core.ids import Origin, Pid, origin_of_pid, serial_of
from registry.core.messages import Resolve, Resolved
from registry.core.names import Located
from supervisor.core.context import Context
from supervisor.core.events import FreezeGate, GiveState, TakeState
from supervisor.core.handoff import Handoffs
from supervisor.core.naming import Naming
from supervisor.core.process import (
    ENDED,
    FREEZING,
    LOSING,
    MOVED_PHASE,
    OFFERING,
    RUNNING,
    STOPPING,
    Kept,
    Move,
    Process,
)
from supervisor.core.supervision import Supervision
from supervisor.core.transfer import StateKey, Transfers, carried

_REMEMBERED = 4_096  #: losers whose state was taken

#: Seconds after which a loser stops waiting for its state to be taken.
PATIENCE = 5.0

#: Phases in which a loser waits for that.
FROZEN = frozenset({LOSING, MOVED_PHASE})

#: Phases in which a winner takes no state: its own is on its way to another node already.
LEAVING = frozenset({FREEZING, OFFERING, MOVED_PHASE})


class Conflicts:
    """Both sides of the conflicts of one node's processes."""

    def __init__(
        self, context: Context, supervision: Supervision, handoffs: Handoffs, naming: Naming, transfers: Transfers
    ) -> None:
        self.context = context
        self.transfers = transfers
        transfers.sources.append(self.find)
        self.naming = naming
        self.supervision = supervision
        self.handoffs = handoffs
        self.losing: dict[int, Loser] = {}
        self.taken: dict[Pid, bool] = {}  #: loser -> whether its state has been applied
        handoffs.overtaken = self.overtaken

    # ---------------------------------------------------------------------------------------------------------- loser

    def check(self, sworm: str, names: Iterable[str]) -> None:
        """Compare the own processes among these names with whatever else claims them."""
        replica = self.context.replica(sworm)
        if not replica.contested:
            return
        for name in sorted(names):
            if name in replica.contested:
                process = self.context.hosted.get((sworm, name))
                if process is not None:
                    self._check_one(process, replica.index.get(name))
                elif (sworm, name) in self.context.further:
                    self.naming.check(sworm, (name,))

    def _check_one(self, process: Process, best: Located | None) -> None:
        if process.phase in (STOPPING, MOVED_PHASE) or (best is not None and best.pid == process.pid):
            return
        if process.serial in self.losing:
            return
        if process.phase in (FREEZING, OFFERING):
            self.handoffs.abort(process, "its name is held by another process")
        if process.phase in (ENDED, MOVED_PHASE):
            return  # its worker had ended while it was frozen, or it had been committed once: that is looked at next
        if best is None or process.phase != RUNNING or not process.alive:
            self._lose(process, best)
            self._stop(process, best)
            return
        self._lose(process, best)
        process.enter(LOSING)
        self.context.out.append(FreezeGate(process.serial))
        definition = self.supervision.definition(process)
        if definition.handoff:
            self.losing[process.serial] = Loser(process, best.pid, best.origin, self.context.now + PATIENCE)
            self.context.out.append(TakeState(process.serial, definition.handoff_timeout_ms / 1000))
        else:
            self._stop(process, best)

    def overtaken(self, process: Process, move: Move, best: Located) -> None:
        """A source that has committed finds another process under its name, which has not come of its move."""
        if process.serial in self.losing:
            return
        self._lose(process, best)
        if not move.stateful:
            self._stop(process, best)
            return
        loser = Loser(process, best.pid, best.origin, self.context.now + PATIENCE)
        loser.state, loser.taken_at, loser.has_state = move.state, move.taken_at, True
        self.losing[process.serial] = loser
        self._offer(loser)

    def _lose(self, process: Process, best: Located | None) -> None:
        if best is None:
            self.context.report("conflict", process, f"{process.pid} is void: its name was ended up to a later epoch")
            return
        same = best.entry.epoch == process.epoch
        rule = "majority" if best.entry.majority != process.majority else "origin" if same else "epoch"
        detail = (
            f"{best.pid} (epoch {best.entry.epoch}, majority {best.entry.majority}) outranks "
            f"{process.pid} (epoch {process.epoch}, majority {process.majority}) by {rule}"
        )
        self.context.report("conflict", process, detail)

    def _stop(self, process: Process, best: Located | None) -> None:
        waited = self.losing.pop(process.serial, None)
        if waited and process.phase not in FROZEN:
            return  # its worker ended, or its node drains: it is on its way out already
        if process.phase == MOVED_PHASE:
            self._stop_source(process, best)
            return
        if waited and waited.has_state:  # should the winner depart while this one stops
            process.kept = Kept(waited.state, process.pid, waited.taken_at, restored=True)
        if best is not None and best.pid == process.pid and self.context.may_decide(process.sworm):
            self._thaw(process)  # the winner departed meanwhile
            return
        if best is not None and best.pid == process.pid:
            process.after_stop = "suspend"  # the winner departed, and may be answering yet
            self.supervision.stop(process, "no_quorum")
            return
        process.after_stop = "lost"
        self.supervision.stop(process, "conflict", moved_to=best.pid if best else "")

    def _stop_source(self, process: Process, best: Located | None) -> None:
        """The state of a source that was overtaken is taken, or nobody takes it; it never thaws."""
        if process.move is None or (best is not None and best.pid == process.pid):
            return  # the winner departed meanwhile: the move is looked at again
        self.handoffs.over(process, process.move, best)
        process.after_stop, process.kept = "lost", process.move.kept(process.pid)
        self.supervision.stop(process, "conflict", moved_to=best.pid if best else "")

    def _thaw(self, process: Process) -> None:
        process.kept = None
        process.enter(RUNNING)
        self.context.open_gate(process)

    def state_taken(self, serial: int, state: bytes, stateful: bool, problem: str = "") -> None:
        """The loser's state: offer it to the winner."""
        loser = self.losing.get(serial)
        if loser is None or loser.process.phase != LOSING:
            return
        if problem:
            self.context.report("conflict", loser.process, f"its state is lost: {problem}")
        if problem or not stateful:
            self._stop(loser.process, self.context.best(loser.process.sworm, loser.process.name))
            return
        loser.state, loser.has_state = state, True
        loser.taken_at = loser.process.take_stamp(self.context.now)
        self._offer(loser)

    def find(self, key: StateKey) -> bytes | None:
        """The state of a loser, for a winner that pulls it."""
        loser = self.losing.get(serial_of(key.pid))
        if loser is None or not loser.has_state or (loser.process.pid, loser.taken_at) != (key.pid, key.taken_at):
            return None
        return loser.state

    def _offer(self, loser: Loser) -> None:
        process = loser.process
        loser.resend_at = self.context.now + self.context.config.resend
        state, size = carried(loser.state)
        message = Resolve(process.sworm, process.name, loser.winner, process.pid, state, True, loser.taken_at, size)
        self.context.send(loser.winner_origin, message)

    def on_resolved(self, message: Resolved) -> None:
        """The winner has it, or there is nobody to take it: stop."""
        serial = serial_of(message.loser)
        loser = self.losing.get(serial)
        if loser is not None:
            self._stop(loser.process, self.context.best(message.sworm, message.name))

    # --------------------------------------------------------------------------------------------------------- winner

    def on_resolve(self, sender: Origin, message: Resolve) -> None:
        """A loser's state, perhaps again."""
        process = self.context.hosted.get((message.sworm, message.name))
        done = self.taken.get(message.loser)
        stands = process is not None and process.pid == message.winner and process.alive
        if process is None or not stands or done or process.began == (message.loser, message.taken_at):
            # nobody to take it, or taken, or it was restored from a copy of this very state
            self.context.send(sender, Resolved(message.sworm, message.name, message.loser))
        elif done is None and process.phase not in LEAVING:
            if len(self.taken) >= _REMEMBERED:
                del self.taken[next(iter(self.taken))]
            self.taken[message.loser] = False
            self._take(sender, message, process.serial)

    def _take(self, sender: Origin, message: Resolve, serial: int) -> None:
        if not message.size:
            self.context.out.append(GiveState(serial, message.loser, message.state))
            return

        def then(state: bytes | None) -> None:
            if state is None:
                self.taken.pop(message.loser, None)  # the loser offers it again, as long as it is there
            else:
                self.context.out.append(GiveState(serial, message.loser, state))

        key = StateKey(message.sworm, message.name, message.loser, message.taken_at)
        self.transfers.want(sender, key, message.size, then)

    def state_given(self, serial: int, loser: Pid, problem: str) -> None:
        """`resolve_conflict` ran; the loser asks again and is answered, or is told now."""
        self.taken[loser] = True
        process = self.context.processes.get(serial)
        if process is None:
            return
        if problem:
            self.context.report("conflict", process, f"the state of {loser} was not taken: {problem}")
        self.context.send(origin_of_pid(loser), Resolved(process.sworm, process.name, loser))

    # ----------------------------------------------------------------------------------------------------------- time

    def tick(self) -> None:
        """Offer again, look again at losers whose winner departed, stop those that waited long enough."""
        for loser in list(self.losing.values()):
            process = loser.process
            best = self.context.best(process.sworm, process.name)
            if process.phase not in FROZEN:
                del self.losing[process.serial]
            elif best is not None and best.pid == process.pid and not self.context.may_decide(process.sworm):
                loser.until = max(loser.until, self.context.now + PATIENCE)  # the winner may be answering yet
            elif best is not None and best.pid == process.pid:
                self._stop(process, best)
            elif self.context.now >= loser.until or best is None:
                if best is not None and loser.has_state:
                    self.context.report("conflict", process, f"its state is lost: {best.pid} did not take it in time")
                self._stop(process, best)
            elif loser.has_state and (self.context.now >= loser.resend_at or best.pid != loser.winner):
                loser.winner, loser.winner_origin = best.pid, best.origin
                self._offer(loser)

    def tidy(self) -> None:
        """Look at every contested name again: whatever a merge did not show."""
        for sworm, replica in list(self.context.member.replicas.items()):
            if replica.contested:
                self.check(sworm, list(replica.contested))


class Loser:
    """A frozen process that waits for its state to be taken."""

    __slots__ = ("has_state", "process", "resend_at", "state", "taken_at", "until", "winner", "winner_origin")

    def __init__(self, process: Process, winner: Pid, winner_origin: Origin, until: float) -> None:
        self.process = process
        self.winner = winner
        self.winner_origin = winner_origin
        self.until = until
        self.state = b""
        self.has_state = False
        self.taken_at = 0
        self.resend_at = 0.0
