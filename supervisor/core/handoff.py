"""A process moves with its state: freeze, prepare, commit, open, bounce, stop.

Law: the source decides. Before the commit it may abort at any time and thaw; the commit is its own entry, written as
moved; after it the source never thaws and keeps the frozen state until the target has opened. The target opens on
`Commit` or when it sees that entry, and never otherwise while the source lives. So at most one side accepts messages,
and for a while none. This is the source's side; the target's is `supervisor.core.receiving`.

    RUNNING -> FREEZING -> OFFERING -> MOVED -> STOPPING

A target that departs after the commit may have opened, and written somewhere under the epoch of the attempt. So the
state goes on under a higher epoch only: at another node, or in a new incarnation here. And a source whose name another
process has got meanwhile, not by this move, is the loser of a conflict: that one is offered the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from registry.core.ids import Origin, Pid, node_of, serial_of
from registry.core.messages import Abort, Commit, Opened, Order, Prepare, Prepared
from registry.core.names import Located
from supervisor.core.choosing import Choosing
from supervisor.core.context import Context
from supervisor.core.events import BounceGate, FreezeGate, StopWorker, TakeState
from supervisor.core.process import FREEZING, GIVEN_UP, MOVED_PHASE, OFFERING, RUNNING, Move, Process
from supervisor.core.receiving import Receiving
from supervisor.core.supervision import Supervision
from supervisor.core.transfer import StateKey, Transfers, carried

#: (order, result, pid, epoch, origin, version, problem)
Ended = Callable[[Order, str, str, int, Origin, int, str], None]


class Handoffs:
    """The moves of one node's processes to others, and (`receiving`) of others' to it."""

    def __init__(self, context: Context, supervision: Supervision, transfers: Transfers, choosing: Choosing) -> None:
        self.context = context
        self.supervision = supervision
        self.choosing = choosing
        self.receiving = Receiving(context, supervision, transfers)
        self.ended: Ended = lambda *result: None
        self.overtaken: Callable[[Process, Move, Located], None] = lambda process, move, best: None
        self.moves: dict[int, Process] = {}  #: as source
        self.targets = context.targets
        self.without_state: set[tuple[str, str]] = set()  #: moved by a drain although their state could not be had
        transfers.sources.append(self.find)
        supervision.source_lost = self.source_lost

    # --------------------------------------------------------------------------------------------------------- source

    def begin(self, process: Process, order: Order) -> None:
        """The arbiter granted a move: freeze, and take the state if there is one to take."""
        context = self.context
        definition = self.supervision.definition(process)
        resume = process.phase
        self.supervision.waiting.pop(process.serial, None)
        self.supervision.suspended.pop(process.serial, None)
        deadline = min(order.deadline / 1000, context.now + context.config.move_timeout)
        process.move = Move(order.epoch, order.to, order.majority, order, deadline, resume=resume)
        self.moves[process.serial] = process
        context.note_epoch(process.sworm, process.name, order.epoch)
        if resume != RUNNING:
            self._offer(process)
            return
        context.out.append(FreezeGate(process.serial))
        if definition.handoff:
            process.enter(FREEZING)
            context.write_entry(process)
            context.out.append(TakeState(process.serial, definition.handoff_timeout_ms / 1000))
        else:
            self._offer(process)

    def state_taken(self, serial: int, state: bytes, stateful: bool, problem: str) -> None:
        """The frozen worker gave its state, or could not."""
        process = self.context.processes.get(serial)
        if process is None or process.phase != FREEZING or process.move is None:
            return
        if problem and not self.context.draining:
            self.abort(process, problem)
            return
        if problem:
            self.context.report("handoff_failed", process, f"it moves without its state: {problem}")
            self.without_state.add((process.sworm, process.name))
        process.move.state, process.move.stateful = state, stateful and not problem
        process.move.taken_at = process.take_stamp(self.context.now)
        self._offer(process)

    def _offer(self, process: Process) -> None:
        move = process.move
        assert move is not None
        process.enter(OFFERING)
        self.context.write_entry(process)
        self._send_prepare(process, move)

    def _send_prepare(self, process: Process, move: Move) -> None:
        context = self.context
        move.resend_at = context.now + context.config.resend
        revision = self.supervision.definition(process).revision
        further, groups = process.ties.travelling(process.sworm) if process.ties is not None else ((), ())
        state, size = carried(move.state)
        context.send(
            move.target,
            Prepare(process.sworm, process.name, move.epoch, process.pid, process.spec, state, move.stateful,
                    process.restarts, max(process.majority, move.majority), revision, process.claim,
                    further, groups, move.taken_at, size, move.restored),
        )  # fmt: skip

    def find(self, key: StateKey) -> bytes | None:
        """The state of a process that moves away."""
        process = self.moves.get(serial_of(key.pid))
        if process is None or process.move is None:
            return None
        held = StateKey(process.sworm, process.name, process.pid, process.move.taken_at)
        return process.move.state if held == key else None

    def on_prepared(self, sender: Origin, message: Prepared) -> None:
        """The target stands ready, or says why it does not."""
        process = self._source(message.sworm, message.name, message.epoch)
        if process is None or process.phase != OFFERING or process.move is None or process.move.target != sender:
            return
        if message.problem:
            self.abort(process, message.problem)
            return
        process.enter(MOVED_PHASE)
        self.context.write_entry(process)
        self._send_commit(process, process.move)

    def on_opened(self, sender: Origin, message: Opened) -> None:
        """The target accepts messages: send the parked ones after, and stop."""
        process = self._source(message.sworm, message.name, message.epoch)
        if process is None or process.phase != MOVED_PHASE or process.move is None or process.move.target != sender:
            return
        if not message.pid:
            self._commit_lost(process, process.move)
            return
        if self.context.replica(process.sworm).version(sender) < message.version:
            return  # until the target's entry stands here (`entries_moved`): nobody must see none in between
        self._done(process, process.move, message.pid, message.version)

    def _done(self, process: Process, move: Move, pid: Pid, version: int) -> None:
        """The target has the name and accepts messages: send the parked ones there, and stop."""
        if not self._all_see(process, move, version):
            return  # it is looked at again
        self.moves.pop(process.serial, None)
        self.context.report("moved", process, f"to {node_of(move.target)} as {pid}, epoch {move.epoch}")
        process.after_stop, process.kept = "moved", move.kept(process.pid)
        self.supervision.stop(process, "moved", moved_to=pid)
        self.ended(move.order, "done", pid, move.epoch, move.target, version, "")

    def _all_see(self, process: Process, move: Move, version: int) -> bool:
        """Whether nobody can hear that the name is gone here before it hears where it is.

        The arbiter of the view in which the move was granted waits for the target's entry by itself; where the view has
        changed since, another node may decide about the name, so all have to have it.
        """
        member, ends = self.context.member, (self.context.me, move.target)
        return move.order.view == member.view.id or all(
            member.repair.holds(peer, process.sworm, move.target, version)
            for peer in member.view.agreeing
            if peer not in ends
        )

    def _source(self, sworm: str, name: str, epoch: int) -> Process | None:
        process = self.context.hosted.get((sworm, name))
        if process is None or process.move is None or process.move.epoch != epoch:
            process = next(
                (p for p in self.moves.values() if p.move and (p.sworm, p.name, p.move.epoch) == (sworm, name, epoch)),
                None,
            )
        return process

    def abort(self, process: Process, problem: str) -> None:
        """Give up before the commit: thaw, tell the target, tell whoever asked. After an earlier one, what is given up
        is that other target only.
        """
        move = process.move
        assert move is not None
        assert process.phase in (FREEZING, OFFERING)
        context = self.context
        if process.phase == OFFERING:
            context.send(move.target, Abort(process.sworm, process.name, move.epoch))
        if move.restored:
            process.enter(MOVED_PHASE)
            self._recall(process, move, problem)
            return
        self.moves.pop(process.serial, None)
        process.move = None
        context.report("handoff_failed", process, problem)
        if process.phase == OFFERING and move.resume == RUNNING and not process.alive:
            process.restarted_at = (*process.restarted_at, context.now)  # its worker ended while it was frozen
            process.enter(RUNNING)
            self.supervision.exited(process.serial, False, "its worker ended during a handoff that was given up")
        else:
            process.enter(move.resume)
            context.write_entry(process)
            if move.resume == RUNNING:
                context.open_gate(process)
            elif process.phase == "waiting":
                self.supervision.waiting[process.serial] = process
        self.ended(move.order, "refused", process.pid, process.epoch, context.me, 0, problem)

    def source_lost(self, process: Process, detail: str) -> None:
        """A worker ended while its state was being taken: the move is off, the restart table goes on."""
        move, process.move = process.move, None
        self.moves.pop(process.serial, None)
        if move:
            process.enter(RUNNING)
            self.ended(
                move.order,
                "refused",
                process.pid,
                process.epoch,
                self.context.me,
                0,
                f"the worker ended: {detail[-200:]}",
            )

    # ----------------------------------------------------------------------------------------------------------- time

    def entries_moved(self, sworm: str, names: Iterable[str]) -> None:
        """A merge touched these names: a commit or an opening may show in the registry, though its frame was lost."""
        for name in sorted(names):
            target, source = self.targets.get((sworm, name)), self.context.hosted.get((sworm, name))
            if target is not None:
                self.receiving.check(target)
            if source is not None and source.move is not None:
                self._check_source(source)

    def check(self) -> None:
        """Whenever views or time moved: look at every move."""
        for process in list(self.targets.values()):
            self.receiving.check(process)
        for process in list(self.moves.values()):
            self._check_source(process)

    def _check_source(self, process: Process) -> None:
        move = process.move
        context = self.context
        if move is None:
            return
        lost = context.member.has_departed(move.target)
        if process.phase == OFFERING and (lost or context.now >= move.deadline):
            self.abort(
                process, f"{node_of(move.target)} departed" if lost else "the target did not stand ready in time"
            )
        elif process.phase == FREEZING and context.now >= move.deadline:
            self.abort(process, "the worker did not give its state in time")
        elif process.phase == MOVED_PHASE and (best := self._taken_over(process)):
            self._see(process, move, best, lost)
        elif process.phase == MOVED_PHASE and (lost or move.recalled):
            self._commit_lost(process, move)
        elif context.now >= move.resend_at and process.phase in (OFFERING, MOVED_PHASE):
            if process.phase == OFFERING:
                self._send_prepare(process, move)
            else:
                self._send_commit(process, move)

    def _send_commit(self, process: Process, move: Move) -> None:
        move.resend_at = self.context.now + self.context.config.resend
        self.context.send(move.target, Commit(process.sworm, process.name, move.epoch))

    def _taken_over(self, process: Process) -> Located | None:
        best = self.context.best(process.sworm, process.name)
        elsewhere = best is not None and best.origin != self.context.me and best.entry.epoch > process.epoch
        return best if elsewhere else None

    def _see(self, process: Process, move: Move, best: Located, lost: bool) -> None:
        """Another process has the name: the target's, or what came of that, or one that took over behind a split.

        A target that lives knows whether it has opened, whatever became of the process since: it is asked.
        """
        if best.origin == move.target and best.entry.epoch == move.epoch:
            self._done(process, move, best.pid, self.context.replica(process.sworm).version(best.origin))
        elif lost or move.recalled:
            self.overtaken(process, move, best)
        elif self.context.now >= move.resend_at:
            self._send_commit(process, move)

    def over(self, process: Process, move: Move, best: Located | None) -> None:
        """A source that was overtaken is about to stop: whoever asked for the move hears where the process is."""
        self.moves.pop(process.serial, None)
        if best is None:
            self.ended(move.order, "refused", process.pid, process.epoch, self.context.me, 0, "its name was ended")
        else:
            version = self.context.replica(process.sworm).version(best.origin)
            self.ended(move.order, "done", best.pid, best.entry.epoch, best.origin, version, "")

    def _commit_lost(self, process: Process, move: Move) -> None:
        """The target departed, or gave up, after the commit and before it opened: offer it to another, or go on here.

        The entry stays `moved`, so no arbiter starts the name afresh meanwhile; the state is still held here.
        """
        context = self.context
        if best := self._taken_over(process):
            self._see(process, move, best, lost=True)
            return
        if not context.member.ready or not context.may_decide(process.sworm):
            return
        if move.recalled:
            self._start_again(process, move)
            return
        target = self.choosing.next_best(process.sworm, process.name, context.me)
        if not target:
            if not context.draining:
                problem = f"{node_of(move.target)} was gone after the commit, and no other node takes it"
                self._recall(process, move, problem)
            return
        process.move = Move(
            context.grant_epoch(process.sworm, process.name, move.epoch), target, context.majority(), move.order,
            context.now + context.config.move_timeout, 0.0, move.state, move.stateful, move.resume,
            move.taken_at, restored=True,
        )  # fmt: skip
        process.enter(OFFERING)
        self._send_prepare(process, process.move)

    def _recall(self, process: Process, move: Move, problem: str) -> None:
        """It was committed, and nobody takes it: it goes on here, as a new incarnation once its worker is gone."""
        move.recalled = problem
        self.context.report("handoff_failed", process, f"{problem}; it starts again here")
        if process.alive:
            self.context.out.append(StopWorker(process.serial, GIVEN_UP))
        else:
            self._commit_lost(process, move)

    def _start_again(self, process: Process, move: Move) -> None:
        if process.alive or not self.supervision.may_start(process):
            return
        context = self.context
        self.moves.pop(process.serial, None)
        process.kept = move.kept(process.pid)
        fresh = self.supervision.restart(process, forgive=True)
        context.out.append(BounceGate(process.serial, fresh.pid))
        version = context.replica(process.sworm).version(context.me)
        self.ended(move.order, "refused", fresh.pid, fresh.epoch, context.me, version, move.recalled)
