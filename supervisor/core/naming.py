"""The host's side of further names and groups.

Law: only the host of a process writes what is tied to it, and only while the process stands still in its life: one on
its way to another node takes along what it had when it was offered, so nothing is added or taken meanwhile (`retry`). A
further name is given by its arbiter's order, like any name; joining and leaving a group need no arbiter, since no two
processes contend for that, and have one effect however often they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from registry.core.ids import Origin, Pid, is_pid, origin_of_pid, serial_of
from registry.core.messages import Claim, Order, Verdict
from registry.core.names import GROUP, Further, Registration
from supervisor.core.context import Context
from supervisor.core.process import FAILED_PHASE, LOSING, MOVED_PHASE, RUNNING, STARTING, STOPPING, WAITING, Process
from supervisor.core.ties import Ties

JOIN, LEAVE = "join", "leave"

#: Phases in which something may be tied to a process.
SETTLED = frozenset({RUNNING, STARTING, WAITING, FAILED_PHASE})


class Naming:
    """What is tied to one node's processes."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def of_pid(self, pid: Pid) -> Process | None:
        """The process of a pid, if this node runs it."""
        if origin_of_pid(pid) != self.context.me or not is_pid(pid):
            return None
        process = self.context.processes.get(serial_of(pid))
        return process if process is not None and process.pid == pid else None

    # ------------------------------------------------------------------------------------------------- further names

    def name(self, order: Order) -> str:
        """Give a process of this node a further name: started, already_started, not_registered or retry."""
        slot = (order.sworm, order.name)
        process = self.of_pid(order.pid)
        if process is None:
            return "not_registered"
        own = self.context.replica(order.sworm).copy(self.context.me).entries.get(order.name)
        if own is not None:
            return "started" if own.claim == order.claim and own.serial == process.serial else "already_started"
        if process.phase not in SETTLED or slot in self.context.targets:
            return "retry"
        if process.ties is None:
            process.ties = Ties()
        process.ties.names[slot] = Further(order.name, order.epoch, order.claim, order.majority)
        self.context.further[slot] = process
        self.context.write_entry(process)
        return "started"

    def check(self, sworm: str, names: Iterable[str]) -> None:
        """Give up further names of which another process's claim ranks higher; the process itself stays. Between two
        processes of one name that name decides: whoever loses it takes its further ones along.
        """
        replica = self.context.replica(sworm)
        for name in sorted(names):
            process = self.context.further.get((sworm, name))
            if process is None or name not in replica.contested or process.phase in (MOVED_PHASE, STOPPING, LOSING):
                continue
            best = replica.index.get(name)
            if best is not None and best.entry.of == process.name and sworm == process.sworm:
                continue
            if best is None or best.pid != process.pid:
                winner = f"{best.pid} (epoch {best.entry.epoch}) has it" if best else "it was ended"
                self.context.report("conflict", process, f"its further name {name!r} is lost: {winner}")
                self.context.erase_further(process, sworm, name, void=False)

    # -------------------------------------------------------------------------------------------------------- groups

    def receive(self, sender: Origin, claim: Claim) -> None:
        """Somebody wants a process in a group, or out of it; answered at once."""
        if claim.deadline > self.context.now * 1000:
            self.context.send(sender, self._answer(claim))

    def _answer(self, claim: Claim) -> Verdict:
        context = self.context
        process = self._meant(claim)
        if process is None:
            gone = bool(claim.pid) or (context.member.ready and context.best(claim.sworm, claim.name) is None)
            return Verdict(claim.id, "not_registered" if gone else "retry", "", 0, "", 0)
        if process.phase not in SETTLED:
            return Verdict(claim.id, "retry", "", 0, "", 0)
        version = self._set_member(process, claim)
        return Verdict(claim.id, "done", process.pid, process.epoch, context.me, version)

    def _meant(self, claim: Claim) -> Process | None:
        """The process of the claim's pid or name, if it has a name in the claim's sworm."""
        if not claim.pid:
            slot = (claim.sworm, claim.name)
            return self.context.hosted.get(slot) or self.context.further.get(slot)
        process = self.of_pid(claim.pid)
        return process if process is not None and self._name_in(process, claim.sworm) else None

    def _name_in(self, process: Process, sworm: str) -> str:
        if process.sworm == sworm:
            listed = self.context.hosted.get((sworm, process.name)) is process
            return process.name if listed else ""
        return next(iter(process.ties.names_in(sworm)), "") if process.ties is not None else ""

    def _set_member(self, process: Process, claim: Claim) -> int:
        slot = (claim.sworm, claim.group)
        if claim.kind == JOIN:
            if process.ties is None:
                process.ties = Ties()
            process.ties.groups.setdefault(slot, self._name_in(process, claim.sworm))
            self.context.write_entry(process)
        elif process.ties is not None and process.ties.groups.pop(slot, None) is not None:
            self.context.member.write(claim.sworm, {(GROUP, claim.group, process.pid): None})
        return self.context.replica(claim.sworm).version(self.context.me)


def keep_held(context: Context, process: Process, source: Pid) -> None:
    """A process opens elsewhere: it keeps those further names that are still those of the incarnation before it."""
    assert process.ties is not None
    replica = context.replica(process.sworm)
    for slot, tie in list(process.ties.names.items()):
        best = replica.index.get(tie.name)
        ended = replica.gone.get(tie.name, -1) >= tie.epoch
        if ended or (best is not None and best.pid != source):
            del process.ties.names[slot]
    process.ties = process.ties.renewed(
        process.sworm, process.majority, lambda name: context.new_epoch(process.sworm, name)
    )


def inherited(context: Context, sworm: str, ties: Ties | None) -> Ties | None:
    """A departed process is restored: it gets those further names that nobody else has or ended meanwhile."""
    if ties is None:
        return None
    replica = context.replica(sworm)
    names = {slot: tie for slot, tie in ties.names.items() if tie.name in replica.orphaned}
    found = Ties(names, dict(ties.groups))
    return found.renewed(sworm, context.majority(), lambda name: context.new_epoch(sworm, name))


def is_guest(entry: Registration) -> bool:
    """Whether an entry names a process of another sworm."""
    return entry.spec is None and not entry.of
