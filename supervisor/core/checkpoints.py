"""States of running processes, kept on other nodes for the day on which their own node dies.

Law: a checkpoint belongs to one incarnation of a process and is restored only when that very incarnation died with its
node; a worker that crashes starts afresh, since its state may be the reason. A node holds at most one checkpoint of a
name, the newest. The time told of it is that at which it was asked for, so a restored state is never older than said.
Copies go to the nodes that come first for the name after the host, so that the first of them is mostly the one that
restores it. A lost copy is not sent again: the next one follows within the interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from registry.core.ids import Origin, Pid, origin_of_pid
from registry.core.member import FOREVER
from registry.core.messages import Holding, Keep
from supervisor.core.context import Context
from supervisor.core.events import TakeCheckpoint
from supervisor.core.process import RUNNING, Process
from supervisor.core.spec import Definition
from supervisor.core.transfer import StateKey, Transfers, carried

#: Seconds between two looks at which processes are due: what is due within them is taken together.
LOOK = 0.05

#: Checkpoints that may be asked of this node's workers at once; where more are due, their intervals stretch.
WIDTH = 64

#: Intervals after which a copy that is not renewed counts as forgotten by its host, as long as that lives.
STALE = 10

_SPREAD = 0.618_033_988_75  #: spreads the first checkpoints of processes that start together over the interval


@dataclass(slots=True)
class Copy:
    """One checkpoint that this node keeps for another."""

    pid: Pid
    epoch: int
    taken_at: int
    state: bytes
    came_at: float


@dataclass(slots=True)
class Shown:
    """The host's memory of one process's checkpoints."""

    process: Process
    taking: int = 0  #: `taken_at` of the one that is being taken; 0: none
    until: float = 0.0  #: after which nobody waits for it any more
    problem: str = ""  #: why the last one came to nothing; told once
    taken_at: int = 0
    state: bytes = b""  #: the last one when it is too large for a message: the others pull it


class Checkpoints:
    """Both sides: what this node has kept for its processes, and what it keeps for others."""

    def __init__(self, context: Context, transfers: Transfers) -> None:
        self.context = context
        self.transfers = transfers
        self.shown: dict[int, Shown] = {}
        self.sworms: dict[str, Definition] = {}  #: those that keep checkpoints
        self.under_way: set[int] = set()  #: serials of processes that were asked, and have not answered
        self._dues: list[tuple[float, int]] = []  #: (when, serial), a heap: one for each of `shown`
        self.kept: dict[tuple[str, str], Copy] = {}
        self.check_at = FOREVER
        transfers.sources += [self._find_shown, self._find_kept]

    # ----------------------------------------------------------------------------------------------------------- host

    def definitions_changed(self) -> None:
        """Sworms may keep checkpoints now that did not, or the reverse."""
        definitions = self.context.definitions.items()
        self.sworms = {name: d for name, d in definitions if d.checkpoint_interval_ms and d.checkpoint_copies}
        now = self.context.now
        latest = {name: now + d.checkpoint_interval_ms / 1000 for name, d in self.sworms.items()}
        self._dues = [(min(at, latest.get(self.shown[s].process.sworm, at)), s) for at, s in self._dues]
        heapify(self._dues)
        self.check_at = min(self.check_at, self._dues[0][0]) if self._dues else FOREVER
        for process in self.context.hosted.values():
            if process.sworm in self.sworms and process.alive:
                self._show(process)

    def opened(self, process: Process) -> None:
        """A process runs; the state it began with, if it was handed over or restored, is its first checkpoint."""
        if process.sworm in self.sworms:
            shown = self._show(process)
            if process.kept is not None:
                process.taken_at = max(process.taken_at, process.kept.taken_at)
                self._send(shown, process.kept.taken_at, process.kept.state)

    def tick(self) -> None:
        """Ask for the checkpoints that are due, those that wait longest first, as far as there is room."""
        now = self.context.now
        if now < self.check_at:
            return
        self.under_way = {serial for serial in self.under_way if self._is_taking(serial)}
        while self._dues and self._dues[0][0] <= now and len(self.under_way) < WIDTH:
            _, serial = heappop(self._dues)
            shown = self.shown.get(serial)
            if shown is None or shown.process.sworm not in self.sworms or not shown.process.alive:
                self.shown.pop(serial, None)
            elif shown.process.phase != RUNNING or serial in self.under_way:
                self._due(serial, now + LOOK)
            else:
                self._take(shown)
        self.check_at = max(now + LOOK, self._dues[0][0]) if self._dues else FOREVER

    def _is_taking(self, serial: int) -> bool:
        shown = self.shown.get(serial)
        return shown is not None and bool(shown.taking) and self.context.now < shown.until

    def _due(self, serial: int, at: float) -> None:
        heappush(self._dues, (at, serial))
        self.check_at = min(self.check_at, at)

    def _show(self, process: Process) -> Shown:
        shown = self.shown.get(process.serial)
        if shown is None:
            shown = self.shown[process.serial] = Shown(process)
            interval = self.sworms[process.sworm].checkpoint_interval_ms / 1000
            self._due(process.serial, self.context.now + interval * (process.serial * _SPREAD % 1))
        return shown

    def _take(self, shown: Shown) -> None:
        now, serial = self.context.now, shown.process.serial
        definition = self.sworms[shown.process.sworm]
        seconds = definition.handoff_timeout_ms / 1000
        shown.until = now + seconds + 1.0
        shown.taking = shown.process.take_stamp(now)
        self.under_way.add(serial)
        self._due(serial, now + definition.checkpoint_interval_ms / 1000)
        self.context.out.append(TakeCheckpoint(serial, seconds))

    def taken(self, serial: int, state: bytes, stateful: bool, problem: str) -> None:
        """A worker gave its state, or could not."""
        shown = self.shown.get(serial)
        if shown is None or not shown.taking:
            return
        taken_at, shown.taking = shown.taking, 0
        self.under_way.discard(serial)
        if problem and problem != shown.problem:
            self.context.report("checkpoint_failed", shown.process, problem)
        shown.problem = problem
        if problem:
            return
        if stateful and shown.process.sworm in self.sworms and shown.process.phase == RUNNING:
            self._send(shown, taken_at, state)

    def _send(self, shown: Shown, taken_at: int, state: bytes) -> None:
        process = shown.process
        inline, size = carried(state)
        shown.taken_at, shown.state = taken_at, state if size else b""
        keep = Keep(process.sworm, process.name, process.pid, process.epoch, taken_at, size, inline)
        order = self.context.placement.order(process.sworm, process.name)
        copies = self.sworms[process.sworm].checkpoint_copies
        for node in [origin for origin in order if origin != self.context.me][:copies]:
            self.context.send(node, keep)

    def _find_shown(self, key: StateKey) -> bytes | None:
        serial = key.pid.rpartition(".")[2]
        shown = self.shown.get(int(serial)) if serial.isdecimal() else None
        if shown is None or shown.process.pid != key.pid or shown.taken_at != key.taken_at:
            return None
        return shown.state or None

    # --------------------------------------------------------------------------------------------------------- holder

    def on_keep(self, sender: Origin, message: Keep) -> None:
        """A host wants a checkpoint kept here.

        One of a node that has departed comes too late: whoever restores its processes may have been told what is held.
        """
        known = self.kept.get((message.sworm, message.name))
        if known is not None and (known.epoch, known.taken_at) >= (message.epoch, message.taken_at):
            return
        if origin_of_pid(message.pid) != sender or self.context.member.has_departed(sender):
            return
        if not message.size:
            self._keep(message, message.state)
            return
        key = StateKey(message.sworm, message.name, message.pid, message.taken_at)
        self.transfers.want(sender, key, message.size, lambda state: self._keep(message, state))

    def _keep(self, message: Keep, state: bytes | None) -> None:
        slot = (message.sworm, message.name)
        known = self.kept.get(slot)
        if state is None or (known is not None and (known.epoch, known.taken_at) >= (message.epoch, message.taken_at)):
            return
        self.kept[slot] = Copy(message.pid, message.epoch, message.taken_at, state, self.context.now)

    def _find_kept(self, key: StateKey) -> bytes | None:
        copy = self.kept.get((key.sworm, key.name))
        return copy.state if copy is not None and (copy.pid, copy.taken_at) == (key.pid, key.taken_at) else None

    def holdings(self, sworm: str, origin: Origin) -> list[Holding]:
        """What is kept here of the processes of a departed node."""
        return [
            Holding(name, copy.pid, copy.taken_at, len(copy.state))
            for (of, name), copy in self.kept.items()
            if of == sworm and origin_of_pid(copy.pid) == origin
        ]

    def tidy(self) -> None:
        """Drop copies that nothing can be restored from any more, and what is remembered of processes that ended."""
        processes, sworms = self.context.processes, self.sworms
        self.shown = {s: shown for s, shown in self.shown.items() if s in processes and shown.process.sworm in sworms}
        self._dues = [due for due in self._dues if due[1] in self.shown]
        heapify(self._dues)
        for slot, copy in list(self.kept.items()):
            if slot[0] not in sworms or not self._is_of_use(slot, copy, sworms[slot[0]]):
                del self.kept[slot]

    def _is_of_use(self, slot: tuple[str, str], copy: Copy, definition: Definition) -> bool:
        replica = self.context.replica(slot[0])
        best = replica.index.get(slot[1])
        if best is None:
            return slot[1] in replica.orphaned
        age = self.context.now - copy.came_at
        return best.pid == copy.pid and age <= STALE * definition.checkpoint_interval_ms / 1000 + STALE
