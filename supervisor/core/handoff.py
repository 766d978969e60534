"""A process moves with its state: freeze, prepare, commit, open, bounce, stop.

Law: the source decides. Before the commit it may abort at any time and thaw; the commit is its own entry, written as
moved; after it the source never thaws and keeps the frozen state until the target has opened. The target opens on
`Commit` or when it sees that entry, and never otherwise while the source lives. So at most one side accepts messages,
and for a while none.

    source   RUNNING -> FREEZING -> OFFERING -> MOVED -> STOPPING
    target   PREPARING -> PREPARED -> RUNNING
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from registry.core.directory import UP
from registry.core.ids import Origin, node_of, origin_of_pid
from registry.core.messages import Abort, Commit, Opened, Order, Prepare, Prepared
from registry.core.names import HANDING_OFF, MOVED, Located, Registration
from supervisor.core.context import Context
from supervisor.core.events import BounceGate, FreezeGate, OpenGate, StopWorker, TakeState
from supervisor.core.naming import keep_held
from supervisor.core.process import (
    ENDED,
    FREEZING,
    MOVED_PHASE,
    OFFERING,
    PREPARED,
    PREPARING,
    RUNNING,
    Move,
    Process,
)
from supervisor.core.supervision import Supervision
from supervisor.core.ties import arrived

#: (order, result, pid, epoch, origin, version, problem)
Ended = Callable[[Order, str, str, int, Origin, int, str], None]

#: Seconds after which a prepared target asks itself whether its source still means it.
STALE_TARGET = 10.0

_OPENED = 4_096  #: opened moves remembered, for a commit that comes again


class Handoffs:
    """Both sides of the moves of one node's processes."""

    def __init__(self, context: Context, supervision: Supervision) -> None:
        self.context = context
        self.supervision = supervision
        self.ended: Ended = lambda *result: None
        self.moves: dict[int, Process] = {}  #: as source
        self.targets = context.targets
        self.opened: dict[tuple[str, str, int], Opened] = {}
        supervision.target_ready = self.target_ready
        supervision.target_lost = self.target_lost
        supervision.source_lost = self.source_lost

    # --------------------------------------------------------------------------------------------------------- source

    def begin(self, process: Process, order: Order) -> None:
        """The arbiter granted a move: freeze, and take the state if there is one to take."""
        context = self.context
        definition = self.supervision.definition(process)
        resume = process.phase
        self.supervision.waiting.pop(process.serial, None)
        deadline = min(order.deadline / 1000, context.now + context.config.move_timeout)
        process.move = Move(order.epoch, order.to, order.majority, order, deadline, resume=resume)
        self.moves[process.serial] = process
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
        process.move.state, process.move.stateful = state, stateful and not problem
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
        context.send(
            move.target,
            Prepare(process.sworm, process.name, move.epoch, process.pid, process.spec, move.state, move.stateful,
                    process.restarts, max(process.majority, move.majority), revision, process.claim,
                    further, groups),
        )  # fmt: skip

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
        process.move.resend_at = self.context.now + self.context.config.resend
        self.context.send(sender, Commit(process.sworm, process.name, process.move.epoch))

    def on_opened(self, sender: Origin, message: Opened) -> None:
        """The target accepts messages: send the parked ones after, and stop."""
        process = self._source(message.sworm, message.name, message.epoch)
        if process is None or process.phase != MOVED_PHASE or process.move is None:
            return
        if self.context.replica(process.sworm).version(sender) < message.version:
            return  # until the target's entry stands here (`entries_moved`): nobody must see none in between
        move = process.move
        self.moves.pop(process.serial, None)
        self.context.report("moved", process, f"to {node_of(sender)} as {message.pid}")
        process.after_stop = "moved"
        self.supervision.stop(process, "moved", moved_to=message.pid)
        self.ended(move.order, "done", message.pid, move.epoch, sender, message.version, "")

    def _source(self, sworm: str, name: str, epoch: int) -> Process | None:
        process = self.context.hosted.get((sworm, name))
        if process is None or process.move is None or process.move.epoch != epoch:
            process = next(
                (p for p in self.moves.values() if p.move and (p.sworm, p.name, p.move.epoch) == (sworm, name, epoch)),
                None,
            )
        return process

    def abort(self, process: Process, problem: str) -> None:
        """Give up before the commit: thaw, tell the target, tell whoever asked."""
        move = process.move
        assert move is not None
        assert process.phase in (FREEZING, OFFERING)
        context = self.context
        self.moves.pop(process.serial, None)
        if process.phase == OFFERING:
            context.send(move.target, Abort(process.sworm, process.name, move.epoch))
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
                context.out.append(OpenGate(process.serial))
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

    # --------------------------------------------------------------------------------------------------------- target

    def on_prepare(self, sender: Origin, message: Prepare) -> None:
        """Start the worker closed, with its state; or refuse, with the reason."""
        context = self.context
        slot = (message.sworm, message.name)
        known = self.targets.get(slot)
        if known is not None and known.epoch == message.epoch:
            if known.phase == PREPARED:
                context.send(sender, Prepared(*slot, message.epoch, known.pid))
            return
        problem = self._unfit(slot, message)
        if problem:
            context.send(sender, Prepared(*slot, message.epoch, "", problem))
            return
        if known is not None:
            self._discard(known)
        process = context.new_process(*slot, message.spec, message.epoch, message.claim, message.majority)
        process.phase, process.prepare, process.source = PREPARING, message, sender
        process.restarts = message.restarts
        process.ties = arrived(*slot, message.further, message.groups)
        self.targets[slot] = process
        context.start_worker(process, message.state, message.stateful)

    def _unfit(self, slot: tuple[str, str], message: Prepare) -> str:
        context = self.context
        if context.member.record.status != UP:
            return f"{context.member.node} takes no processes now: it is {context.member.record.status}"
        hosted = context.hosted.get(slot)
        if hosted is not None and hosted.pid != message.pid:
            return f"{context.member.node} runs {message.name!r} already"
        definition = context.definitions.get(message.sworm)
        if definition is None or definition.revision < message.revision:
            return f"{context.member.node} does not know revision {message.revision} of {message.sworm} yet"
        known = self.targets.get(slot)
        return "a newer attempt is under way" if known is not None and known.epoch > message.epoch else ""

    def target_ready(self, process: Process) -> None:
        """The worker stands, with its state."""
        process.enter(PREPARED)
        if process.wanted:
            self._open(process)
        else:
            self.context.send(process.source, Prepared(process.sworm, process.name, process.epoch, process.pid))

    def target_lost(self, process: Process, detail: str) -> None:
        """The worker of a target ended. Not committed: say so. Committed: start it again from the kept state."""
        process.alive = False
        if process.wanted and process.prepare is not None:
            self._start_again(process)
        elif process.phase == PREPARING:
            self._forget(process)
            self.context.send(
                process.source,
                Prepared(process.sworm, process.name, process.epoch, "", f"it does not start there: {detail}"),
            )

    def _start_again(self, process: Process) -> None:
        prepare = process.prepare
        assert prepare is not None
        if process.restarts - prepare.restarts >= 3:  # its state, or its start, is poison: start without, and say so
            self.context.report("handoff_failed", process, "it does not start with its state; it starts without")
            prepare = prepare._replace(state=b"", stateful=False)
        fresh = self.context.new_process(
            process.sworm, process.name, process.spec, process.epoch, process.claim, process.majority
        )
        fresh.phase, fresh.prepare, fresh.source, fresh.wanted = PREPARING, process.prepare, process.source, True
        fresh.restarts, fresh.ties = process.restarts + 1, process.ties
        self.context.out.append(BounceGate(process.serial, ""))
        process.enter(ENDED)
        self.context.processes.pop(process.serial, None)
        self.targets[process.sworm, process.name] = fresh
        self.context.start_worker(fresh, prepare.state, prepare.stateful)

    def on_commit(self, sender: Origin, message: Commit) -> None:
        """The move is written at its source: open as soon as the worker stands."""
        key = (message.sworm, message.name, message.epoch)
        if key in self.opened:
            self.context.send(sender, self.opened[key])
            return
        process = self.targets.get((message.sworm, message.name))
        if process is not None and process.epoch == message.epoch:
            self.commit(process)

    def commit(self, process: Process) -> None:
        """Open a target, now or when its worker stands."""
        process.wanted = True
        if process.phase == PREPARED and process.alive:
            self._open(process)
        elif process.phase == PREPARED:
            self._start_again(process)

    def _open(self, process: Process) -> None:
        context = self.context
        slot = (process.sworm, process.name)
        self.targets.pop(slot, None)
        process.enter(RUNNING)
        if process.ties is not None and process.prepare is not None:
            keep_held(context, process, process.prepare.pid)
        process.prepare = None
        version = context.list_process(process)
        context.out.append(OpenGate(process.serial))
        opened = Opened(*slot, process.epoch, process.pid, version)
        if len(self.opened) >= _OPENED:
            del self.opened[next(iter(self.opened))]
        self.opened[(*slot, process.epoch)] = opened
        context.send(process.source, opened)

    def on_abort(self, sender: Origin, message: Abort) -> None:
        """The source keeps it: drop what was prepared."""
        process = self.targets.get((message.sworm, message.name))
        if process is not None and process.epoch == message.epoch and process.source == sender:
            self._discard(process)

    def refuse_targets(self) -> None:
        """This node leaves: what is prepared here and not committed goes elsewhere."""
        for process in [p for p in self.targets.values() if not p.wanted]:
            self._discard(process)
            problem = f"{self.context.member.node} is being drained"
            self.context.send(process.source, Prepared(process.sworm, process.name, process.epoch, "", problem))

    def _discard(self, process: Process) -> None:
        self.targets.pop((process.sworm, process.name), None)
        self.context.out.append(BounceGate(process.serial, ""))
        if process.alive:
            process.enter("stopping")
            self.context.out.append(StopWorker(process.serial, "handoff given up"))
        else:
            self._forget(process)

    def _forget(self, process: Process) -> None:
        self.targets.pop((process.sworm, process.name), None)
        self.context.out.append(BounceGate(process.serial, ""))
        process.enter(ENDED)
        self.context.forget_process(process)

    # ----------------------------------------------------------------------------------------------------------- time

    def entries_moved(self, sworm: str, names: Iterable[str]) -> None:
        """A merge touched these names: a commit or an opening may show in the registry, though its frame was lost."""
        for name in sorted(names):
            target, source = self.targets.get((sworm, name)), self.context.hosted.get((sworm, name))
            if target is not None:
                self._check_target(target)
            if source is not None and source.move is not None:
                self._check_source(source)

    def check(self) -> None:
        """Whenever views or time moved: look at every move."""
        for process in list(self.targets.values()):
            self._check_target(process)
        for process in list(self.moves.values()):
            self._check_source(process)

    def _check_target(self, process: Process) -> None:
        if process.wanted:
            return
        context = self.context
        assert process.prepare is not None
        copy = context.replica(process.sworm).copies.get(process.source)
        entry: Registration | None = copy.entries.get(process.name) if copy else None
        mine = entry is not None and entry.state == MOVED and entry.to == context.me
        if mine and origin_of_pid(process.prepare.pid) == process.source and process.source:
            self.commit(process)
            return
        departed = context.member.has_departed(process.source) and context.member.ready
        slot = (process.sworm, process.name)
        if (
            departed
            and context.best(*slot) is None
            and context.placement.arbiter(*slot) == context.me
            and entry is not None
        ):
            age_ms = int(context.now * 1000) - process.started_at
            context.report("rehomed", process, f"its source departed; it goes on with the state frozen {age_ms} ms ago")
            self.commit(process)
            return
        age = context.now - process.started_at / 1000
        idle = age > STALE_TARGET and (entry is None or entry.state != HANDING_OFF)
        if departed or idle:
            self._discard(process)

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
            self.moves.pop(process.serial, None)
            context.report("moved", process, f"to {node_of(best.origin)} as {best.pid}")
            process.after_stop = "moved"
            self.supervision.stop(process, "moved", moved_to=best.pid)
            version = context.replica(process.sworm).version(best.origin)
            self.ended(move.order, "done", best.pid, best.entry.epoch, best.origin, version, "")
        elif process.phase == MOVED_PHASE and lost:
            self._commit_lost(process, move)
        elif context.now >= move.resend_at and process.phase in (OFFERING, MOVED_PHASE):
            move.resend_at = context.now + context.config.resend
            if process.phase == OFFERING:
                self._send_prepare(process, move)
            else:
                context.send(move.target, Commit(process.sworm, process.name, move.epoch))

    def _taken_over(self, process: Process) -> Located | None:
        best = self.context.best(process.sworm, process.name)
        elsewhere = best is not None and best.origin != self.context.me and best.entry.epoch > process.epoch
        return best if elsewhere else None

    def _commit_lost(self, process: Process, move: Move) -> None:
        """The target departed after the commit and before it opened, as far as anybody here knows: offer it to another.

        The entry stays `moved`, so no arbiter starts the name afresh meanwhile; the state is still held here.
        """
        context = self.context
        target = context.placement.target(process.sworm, process.name, "", context.me)
        if not context.member.ready:
            return
        if not target:
            if not context.draining:
                process.enter(OFFERING)
                self.abort(process, f"{node_of(move.target)} departed after the commit, and no other node takes it")
            return
        process.move = Move(
            context.grant_epoch(process.sworm, process.name), target, context.majority(), move.order,
            context.now + context.config.move_timeout, 0.0, move.state, move.stateful, move.resume,
        )  # fmt: skip
        process.enter(OFFERING)
        self._send_prepare(process, process.move)
