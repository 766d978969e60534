"""The target's side of a handoff: a worker that stands ready, closed, until its source has committed.

Law: it opens on `Commit` or when it sees the source's entry written as moved to it, and never otherwise. What it holds
is a copy of the source's newest state: it is kept until the source says `Abort`, or, once the source has departed,
until the name's arbiter has gone on from it, or from something newer, somewhere (`supervisor.core.estates`).

    PREPARING -> PREPARED -> RUNNING
"""

from __future__ import annotations

from dataclasses import replace

from registry.core.directory import UP
from registry.core.ids import Origin, node_of, origin_of_pid
from registry.core.messages import Abort, Commit, Holding, Opened, Prepare, Prepared
from registry.core.names import HANDING_OFF, MOVED, Registration
from supervisor.core.context import Context
from supervisor.core.events import BounceGate, StopWorker
from supervisor.core.naming import keep_held
from supervisor.core.process import ENDED, GIVEN_UP, PREPARED, PREPARING, RUNNING, STOPPING, Kept, Process
from supervisor.core.supervision import STATE_TRIES, Supervision
from supervisor.core.ties import arrived
from supervisor.core.transfer import StateKey, Transfers

#: Seconds after which a prepared target asks itself whether its source still means it.
STALE_TARGET = 10.0

_OPENED = 4_096  #: opened moves remembered, for a commit that comes again


class Receiving:
    """What this node prepares for others."""

    def __init__(self, context: Context, supervision: Supervision, transfers: Transfers) -> None:
        self.context = context
        self.supervision = supervision
        self.transfers = transfers
        self.targets = context.targets
        self.opened: dict[tuple[str, str, int], Opened] = {}
        supervision.target_ready = self.target_ready
        supervision.target_lost = self.target_lost
        transfers.sources.append(self.find)

    # -------------------------------------------------------------------------------------------------------- prepare

    def on_prepare(self, sender: Origin, message: Prepare) -> None:
        """Start the worker closed, with its state; or refuse, with the reason."""
        context = self.context
        slot = (message.sworm, message.name)
        known = self.targets.get(slot)
        if known is not None and known.epoch == message.epoch and known.source == sender:
            if known.refused:
                self._refuse(known)
            elif known.phase == PREPARED:
                context.send(sender, Prepared(*slot, message.epoch, known.pid))
            return
        problem = self._unfit(slot, message)
        if problem:
            context.send(sender, Prepared(*slot, message.epoch, "", problem))
            return
        if known is not None:
            self._discard(known)
        process = context.new_process(*slot, message.spec, message.epoch, message.claim, message.majority)
        process.phase, process.prepare, process.source = PREPARING, message._replace(state=b""), sender
        process.restarts = message.restarts
        process.ties = arrived(*slot, message.further, message.groups)
        self.targets[slot] = process
        if message.stateful and message.size:
            key = StateKey(*slot, message.pid, message.taken_at)
            self.transfers.want(sender, key, message.size, lambda state: self._fetched(process, state))
        else:
            self._start(process, message.state if message.stateful else None)

    def _fetched(self, process: Process, state: bytes | None) -> None:
        """A large state is here, or cannot be had."""
        if self.targets.get((process.sworm, process.name)) is not process or process.phase != PREPARING:
            return
        if state is not None:
            self._start(process, state)
            return
        self._forget(process)
        problem = f"its state did not reach {self.context.member.node}"
        self.context.send(process.source, Prepared(process.sworm, process.name, process.epoch, "", problem))

    def _start(self, process: Process, state: bytes | None) -> None:
        prepare = process.prepare
        assert prepare is not None
        if state is not None:
            process.kept = Kept(state, prepare.pid, prepare.taken_at, prepare.restored)
        self.context.start_worker(process)

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
        if context.replica(message.sworm).highest_epoch(message.name) > message.epoch:
            return f"{context.member.node} knows a later epoch of {message.name!r} than that of this attempt"
        known = self.targets.get(slot)
        return "a newer attempt is under way" if known is not None and known.epoch > message.epoch else ""

    # --------------------------------------------------------------------------------------------------------- worker

    def target_ready(self, process: Process) -> None:
        """The worker stands, with its state."""
        process.enter(PREPARED)
        if process.wanted:
            self._open(process)
        elif not process.refused:
            self.context.send(process.source, Prepared(process.sworm, process.name, process.epoch, process.pid))

    def target_lost(self, process: Process, detail: str) -> None:
        """The worker of a target ended. Not committed: say so. Committed: start it again from the kept state."""
        process.alive = False
        if process.wanted and process.prepare is not None:
            self._start_again(process)
        elif process.phase == PREPARING and not self._departed(process):
            self._forget(process)
            problem = f"it does not start there: {detail}"
            self.context.send(process.source, Prepared(process.sworm, process.name, process.epoch, "", problem))

    def _start_again(self, process: Process) -> None:
        kept = process.kept
        assert process.prepare is not None
        if kept is not None and kept.tries >= STATE_TRIES:  # its state, or its start, is poison
            self.context.report("handoff_failed", process, "it does not start with its state; it starts without")
            kept = None
        fresh = self.context.new_process(
            process.sworm, process.name, process.spec, process.epoch, process.claim, process.majority
        )
        fresh.phase, fresh.prepare, fresh.source, fresh.wanted = PREPARING, process.prepare, process.source, True
        fresh.restarts, fresh.ties = process.restarts + 1, process.ties
        fresh.kept = kept and replace(kept, tries=kept.tries + 1)
        self.context.out.append(BounceGate(process.serial, ""))
        process.enter(ENDED)
        self.context.processes.pop(process.serial, None)
        self.targets[process.sworm, process.name] = fresh
        self.context.start_worker(fresh)

    # ----------------------------------------------------------------------------------------------------------- open

    def on_commit(self, sender: Origin, message: Commit) -> None:
        """The move is written at its source: open as soon as the worker stands."""
        key = (message.sworm, message.name, message.epoch)
        if key in self.opened:
            self.context.send(sender, self.opened[key])
            return
        process = self.targets.get((message.sworm, message.name))
        if process is not None and process.epoch == message.epoch:
            self.commit(process)
        else:  # given up here while the commit was on its way: the source must know, for it never thaws by itself
            self.context.send(sender, Opened(*key, "", 0))

    def commit(self, process: Process) -> None:
        """Open a target, now or when its worker stands. A node that was away first hears what became of the source: it
        is told again, or sees the entry.
        """
        if not self.context.member.absence.is_over:
            return
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
        prepare, process.prepare = process.prepare, None
        version = context.list_process(process)
        context.open_gate(process)
        opened = Opened(*slot, process.epoch, process.pid, version)
        if len(self.opened) >= _OPENED:
            del self.opened[next(iter(self.opened))]
        self.opened[(*slot, process.epoch)] = opened
        if prepare is not None:
            context.report("arrived", process, f"from {node_of(process.source)}, where it was {prepare.pid}")
        context.send(process.source, opened)
        self.supervision.opened(process)
        process.settle_in()

    # ----------------------------------------------------------------------------------------------------------- drop

    def on_abort(self, sender: Origin, message: Abort) -> None:
        """The source keeps it: drop what was prepared."""
        process = self.targets.get((message.sworm, message.name))
        if process is not None and process.epoch == message.epoch and process.source == sender:
            self._discard(process)

    def refuse_all(self) -> None:
        """This node leaves: what is prepared here and not committed goes elsewhere. Each source decides: it has it
        dropped, or has committed already; of one that has departed, the copy is the newest there is.
        """
        for process in [p for p in self.targets.values() if not p.wanted]:
            process.refused = True
            if not self._departed(process):
                self._refuse(process)

    def _refuse(self, process: Process) -> None:
        problem = f"{self.context.member.node} is being drained"
        self.context.send(process.source, Prepared(process.sworm, process.name, process.epoch, "", problem))

    def _discard(self, process: Process) -> None:
        self.targets.pop((process.sworm, process.name), None)
        prepare = process.prepare
        if prepare is not None:
            self.transfers.forget(StateKey(process.sworm, process.name, prepare.pid, prepare.taken_at))
        if process.alive:
            self.context.out.append(BounceGate(process.serial, ""))
            process.enter(STOPPING)
            process.kept = None
            self.context.out.append(StopWorker(process.serial, GIVEN_UP))
        else:
            self._forget(process)

    def _forget(self, process: Process) -> None:
        self.targets.pop((process.sworm, process.name), None)
        self.context.out.append(BounceGate(process.serial, ""))
        process.enter(ENDED)
        self.context.forget_process(process)

    # --------------------------------------------------------------------------------------------------------- copies

    def find(self, key: StateKey) -> bytes | None:
        """A state that is held for a target here."""
        process = self.targets.get((key.sworm, key.name))
        return process.kept.state if process is not None and self._key(process) == key and process.kept else None

    def holdings(self, sworm: str, origin: Origin) -> list[Holding]:
        """What is held of the processes of a departed node."""
        return [
            Holding(process.name, key.pid, key.taken_at, len(process.kept.state))
            for process in self.targets.values()
            if process.sworm == sworm and process.kept is not None and (key := self._key(process)) is not None
            and origin_of_pid(key.pid) == origin and not process.wanted
        ]  # fmt: skip

    def _key(self, process: Process) -> StateKey | None:
        prepare = process.prepare
        if prepare is None or process.kept is None:
            return None
        return StateKey(process.sworm, process.name, prepare.pid, prepare.taken_at)

    # ----------------------------------------------------------------------------------------------------------- time

    def check(self, process: Process) -> None:
        """Time, a view or a merge moved: does the source still mean this target, and has it committed?"""
        if process.wanted:
            return
        context = self.context
        assert process.prepare is not None
        copy = context.replica(process.sworm).copies.get(process.source)
        entry: Registration | None = copy.entries.get(process.name) if copy else None
        departed = self._departed(process)
        # Of a source that offers anew after a commit, the entry tells of the earlier attempt: its word alone commits.
        tells = departed or not process.prepare.restored
        committed = tells and entry is not None and entry.state == MOVED and entry.to == context.me
        if committed and origin_of_pid(process.prepare.pid) == process.source and process.source:
            self.commit(process)
        elif departed:
            if process.kept is None or not self._is_awaited(process, entry):
                self._discard(process)
        elif entry is None or entry.state != HANDING_OFF:
            age = context.now - process.started_at / 1000
            if process.refused or age > STALE_TARGET:
                self._discard(process)

    def _departed(self, process: Process) -> bool:
        return self.context.member.has_departed(process.source) and self.context.member.ready

    def _is_awaited(self, process: Process, entry: Registration | None) -> bool:
        """Whether the source's entry is still to be restored from something: nobody has the name, nor ended it."""
        replica = self.context.replica(process.sworm)
        if entry is None or process.name in replica.index or replica.is_void(process.name, entry):
            return False
        return self.supervision.definition(process).restart != "temporary"
