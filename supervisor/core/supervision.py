"""Starts, restarts and stops the processes of this node.

Law: what the registry shows of a process is written before its worker is asked to start, and taken out only after its
worker is gone; each worker that was started is heard of again (`WorkerStarted`, `WorkerFailed`, `WorkerExited`), and a
process is forgotten only then. Whoever waits for a start or a stop is called back exactly once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from registry.core.ids import Pid
from registry.core.names import Spec
from supervisor.core.context import Context
from supervisor.core.events import BounceGate, StopWorker
from supervisor.core.lifecycle import FAIL, RESTART, after_exit, delay, recent
from supervisor.core.process import (
    ENDED,
    FAILED_PHASE,
    MOVED_PHASE,
    OFFERING,
    PREPARING,
    RUNNING,
    STARTING,
    STOPPING,
    WAITING,
    Kept,
    Process,
)
from supervisor.core.spec import TEMPORARY, Definition
from supervisor.core.ties import Ties

#: (started, code, detail): code and detail say why it did not start.
Started = Callable[[Process, bool, str, str], None]
Stopped = Callable[[Process], None]

#: Starts with one state that may fail; then the state is taken for the reason.
STATE_TRIES = 3

_LIMIT = 2_000  #: characters of a traceback that travel


class Supervision:
    """The supervisor of one node's processes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.after_start: dict[int, Started] = {}
        self.after_stop: dict[int, Stopped] = {}
        self.waiting: dict[int, Process] = {}  #: those whose restart is due at `retry_at`
        self.suspended: dict[int, Process] = {}  #: those that wait for a majority
        self.target_ready: Callable[[Process], None] = lambda process: None  #: a handoff's target stands
        self.target_lost: Callable[[Process, str], None] = lambda process, detail: None
        self.source_lost: Callable[[Process, str], None] = lambda process, detail: None
        self.opened: Callable[[Process], None] = lambda process: None  #: a process runs now, with the state it has kept

    # ---------------------------------------------------------------------------------------------------------- start

    def launch(
        self, sworm: str, name: str, spec: Spec, epoch: int, claim: str, majority: int, then: Started | None = None,
        restarts: int = 0, ties: Ties | None = None, kept: Kept | None = None,
    ) -> Process:  # fmt: skip
        """List a new process and start its worker, with a state if one is kept; `then` hears how the first start
        went.
        """
        process = self.context.new_process(sworm, name, spec, epoch, claim, majority)
        process.restarts, process.ties, process.kept = restarts, ties, kept
        self.context.list_process(process)
        if then:
            self.after_start[process.serial] = then
        self.context.start_worker(process)
        return process

    def started(self, serial: int) -> None:
        """A worker's start is over and went well."""
        process = self.context.processes.get(serial)
        if process is None:
            return
        if process.phase == PREPARING:
            self.target_ready(process)
        elif process.phase == STARTING:
            process.enter(RUNNING)
            self.context.write_entry(process)
            self.context.open_gate(process)
            self.opened(process)
            process.settle_in()
            self.context.report("restarted" if process.restarts else "started", process)
            then = self.after_start.pop(serial, None)
            if then:
                then(process, True, "", "")

    def failed(self, serial: int, code: str, detail: str) -> None:
        """A worker could not start. Nothing stays registered of a first start; a restart counts as one more crash."""
        process = self.context.processes.get(serial)
        if process is None:
            return
        process.alive = False
        then = self.after_start.pop(serial, None)
        if process.phase == PREPARING:
            self.target_lost(process, detail)
        elif process.phase == STARTING and then:
            self.context.out.append(BounceGate(serial, ""))
            self._remove(process)
            then(process, False, code, detail)
        elif process.phase == STARTING:
            self._crashed(process, False, f"{code}: {detail}")
        else:
            self._worker_gone(process, False, detail)

    # ------------------------------------------------------------------------------------------------------------ end

    def exited(self, serial: int, normal: bool, detail: str) -> None:
        """A started worker has ended, for whatever reason."""
        process = self.context.processes.get(serial)
        if process is not None:
            process.alive = False
            self._worker_gone(process, normal, detail)

    def _worker_gone(self, process: Process, normal: bool, detail: str) -> None:
        match process.phase:
            case "starting" if process.serial in self.after_start:
                self.failed(process.serial, "start_failed", detail or "the worker ended while it started")
            case "starting" | "running":
                self._crashed(process, normal, detail)
            case "freezing":
                self.source_lost(process, detail)
                self._crashed(process, normal, detail)
            case "preparing" | "prepared":
                self.target_lost(process, detail)
            case "stopping" | "losing":
                self._finish_stop(process)
            case _:
                assert process.phase in (
                    OFFERING,
                    MOVED_PHASE,
                    WAITING,
                    FAILED_PHASE,
                    ENDED,
                )  # its state is kept; nothing to do

    def _crashed(self, process: Process, normal: bool, detail: str) -> None:
        detail = detail[-_LIMIT:]
        now = self.context.now
        definition = self.definition(process)
        verdict = after_exit(definition, normal, process.restarted_at, now)
        self.context.out.append(BounceGate(process.serial, ""))
        self.context.end_guest_names(process)
        if not normal:
            self.context.report("crashed", process, detail)
        if process.phase != STARTING:
            process.kept = None
        if verdict == RESTART:
            process.enter(WAITING)
            count = len(recent(definition, process.restarted_at, now))
            process.retry_at = now + delay(count)
            self._restart_or_wait(process)
        elif verdict == FAIL:
            process.enter(FAILED_PHASE)
            self.context.write_entry(process)
            self.context.report(
                "failed", process, f"more than {definition.max_restarts} restarts in {definition.max_seconds:g} s"
            )
        else:
            self._remove(process)
            self.context.report("exited", process, detail)

    def definition(self, process: Process) -> Definition:
        """The definition that governs a process; the defaults while none is known here."""
        return self.context.definitions.get(process.sworm) or Definition(process.sworm)

    def wait_for_quorum(self, process: Process) -> None:
        """A process whose worker is gone starts again once names may be decided about."""
        self.waiting.pop(process.serial, None)
        self.suspended[process.serial] = process
        self.context.write_entry(process)

    def may_start(self, process: Process) -> bool:
        """Whether a process may answer if it starts now."""
        return process.sworm not in self.context.by_quorum or self.context.member.quorum.may_answer(self.context.now)

    def _restart_or_wait(self, process: Process) -> None:
        if not self.may_start(process):
            self.wait_for_quorum(process)
        elif process.retry_at <= self.context.now:
            self.restart(process)
        else:
            self.waiting[process.serial] = process
            self.context.write_entry(process)

    def restart(self, process: Process, forgive: bool = False) -> Process:
        """Start a new incarnation in place of one whose worker is gone. `forgive`: earlier restarts do not count."""
        context = self.context
        self.waiting.pop(process.serial, None)
        self.suspended.pop(process.serial, None)
        epoch = context.new_epoch(process.sworm, process.name)
        fresh = context.new_process(process.sworm, process.name, process.spec, epoch, process.claim, process.majority)
        fresh.restarts, fresh.kept = process.restarts + 1, self._kept_on(process)
        if not forgive:
            earlier = recent(self.definition(process), process.restarted_at, context.now)
            fresh.restarted_at = (*earlier, context.now)
        context.end_guest_names(process)
        if process.ties is not None:
            fresh.ties = process.ties.renewed(
                process.sworm, fresh.majority, lambda name: context.new_epoch(process.sworm, name)
            )
        process.enter(ENDED)
        context.processes.pop(process.serial, None)
        context.list_process(fresh, process)
        context.start_worker(fresh)
        return fresh

    def _kept_on(self, process: Process) -> Kept | None:
        """The state for the next attempt to start, when the last one came to nothing before the worker stood."""
        kept = process.kept
        if kept is None or kept.tries < STATE_TRIES:
            return kept and replace(kept, tries=kept.tries + 1)
        self.context.report("handoff_failed", process, "it does not start with its state; it starts without")
        return None

    def due(self) -> float | None:
        """When the next restart is due."""
        return min((process.retry_at for process in self.waiting.values()), default=None) if self.waiting else None

    def tick(self) -> None:
        """Start what has waited long enough."""
        for process in [p for p in self.waiting.values() if p.retry_at <= self.context.now]:
            if process.phase != WAITING:
                self.waiting.pop(process.serial, None)
            elif self.may_start(process):
                self.restart(process)
            else:
                self.wait_for_quorum(process)

    # ----------------------------------------------------------------------------------------------------------- stop

    def stop(self, process: Process, reason: str, then: Stopped | None = None, moved_to: Pid = "") -> None:
        """End a process for good; its entry goes when its worker has gone."""
        self.waiting.pop(process.serial, None)
        self.suspended.pop(process.serial, None)
        process.enter(STOPPING)
        if then:
            self.after_stop[process.serial] = then
        self.context.out.append(BounceGate(process.serial, moved_to))
        if process.alive:
            self.context.out.append(StopWorker(process.serial, reason))
        else:
            self._finish_stop(process)

    def _finish_stop(self, process: Process) -> None:
        begun = self.after_start.pop(process.serial, None)
        code = "no_quorum" if process.after_stop == "suspend" else "start_failed"
        wanted = process.after_stop == "restart" or self._was_left_alone(process)
        may = self.context.may_decide(process.sworm) if process.after_stop == "lost" else self.may_start(process)
        if wanted and may:
            self.restart(process, forgive=True)
        elif (wanted or process.after_stop == "suspend") and not begun:
            process.after_stop = ""
            process.enter(WAITING)
            self.wait_for_quorum(process)
        else:
            self._remove(process)
        then = self.after_stop.pop(process.serial, None)
        if then:
            then(process)
        if begun:
            begun(process, False, code, "it was stopped while it started")

    def _was_left_alone(self, process: Process) -> bool:
        """Whether it is all that is left of its name: the one that has the name now departed while this one stopped,
        and no entry of it is known from which the name's arbiter would go on.
        """
        context = self.context
        best = context.best(process.sworm, process.name)
        if process.after_stop not in ("lost", "moved") or best is None or best.pid != process.pid:
            return False
        claims = context.replica(process.sworm).claims(process.name)
        known = any(claim.entry.epoch > process.epoch for claim in claims)
        return not known and self.definition(process).restart != TEMPORARY

    def _remove(self, process: Process) -> None:
        if process.phase != ENDED:
            process.enter(ENDED)
        if process.after_stop != "left":
            self.context.erase_entry(process, void=process.after_stop not in ("moved", "lost", "suspend"))
        self.context.forget_process(process)
