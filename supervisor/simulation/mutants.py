"""Historic bugs of the field, planted on purpose: proof that the oracles can see.

Law: a mutant exists only in the process of the simulator that asked for it, as one replaced method; the product has
no switch for it. Each names where the bug, or its kind, was seen in the wild.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from registry.core.detours import Detours
from registry.core.events import Send
from registry.core.member import Member
from registry.core.messages import Delta, Relayed
from registry.core.origin import VersionedMap
from registry.core.quorum import Quorum
from registry.core.replica import Replica
from registry.core.viewing import Viewing
from supervisor.core.claims import Arbiter
from supervisor.core.conflict import Conflicts
from supervisor.core.context import Context
from supervisor.core.drain import Drain
from supervisor.core.estates import Estates
from supervisor.core.gate import LeasedGate
from supervisor.core.handoff import Handoffs
from supervisor.core.node import Node
from supervisor.core.placement import Placement
from supervisor.core.process import MOVED_PHASE, RUNNING, Process
from supervisor.core.receiving import Receiving
from supervisor.core.ties import Ties


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug: `owner.method` is replaced by `make(original)`."""

    name: str
    seen: str
    owner: type[Any]
    method: str
    make: Callable[[Any], Any]

    def plant(self) -> None:
        """Put the bug in, for the rest of this process."""
        setattr(self.owner, self.method, self.make(getattr(self.owner, self.method)))


def _gap(original: Any) -> Any:
    def fits(self: VersionedMap, delta: Delta) -> bool:
        return delta.version > self.version

    return fits


def _pieces(original: Any) -> Any:
    def assemble(self: Replica, delta: Delta, sender: str) -> Delta | None:
        return delta._replace(part=0, parts=1)

    return assemble


def _all_lose(original: Any) -> Any:
    def check_one(self: Conflicts, process: Process, best: Any) -> None:
        claims = self.context.replica(process.sworm).claims(process.name)
        others = [
            claim for claim in claims if claim.pid != process.pid and claim.origin not in self.context.member.dead
        ]
        original(self, process, others[0] if others else best)

    return check_one


def _nothing(original: Any) -> Any:
    def nothing(self: Any, *args: Any) -> None:
        return None

    return nothing


def _always(original: Any) -> Any:
    def check(self: Viewing) -> None:
        self.ready = self._member.origin in self.view.agreeing

    return check


def _successor(original: Any) -> Any:
    def erase(self: Context, process: Process, void: bool = True) -> int:
        return self.member.write(process.sworm, {process.name: None})

    return erase


def _twice(original: Any) -> Any:
    def register(self: Arbiter, slot: Any, pending: Any, best: Any) -> None:
        resent = best is not None and best.entry.claim == pending.claim.id
        original(self, slot, pending, None if resent else best)

    return register


def _source_leaves_early(original: Any) -> Any:
    def prepared(self: Handoffs, sender: str, message: Any) -> None:
        original(self, sender, message)
        process = self._source(message.sworm, message.name, message.epoch)
        if process is not None and process.phase == MOVED_PHASE:
            self.moves.pop(process.serial, None)
            self.supervision.stop(process, "moved")

    return prepared


def _done_early(original: Any) -> Any:
    def advance(self: Drain) -> None:
        if self.leave:
            self._empty()

    return advance


def _opens_early(original: Any) -> Any:
    def ready(self: Receiving, process: Process) -> None:
        process.wanted = True
        original(self, process)

    return ready


def _healthy_too(original: Any) -> Any:
    def set_dead(self: Member, dead: set[str]) -> None:
        fresh = dead - self.dead
        original(self, dead)
        for sworm, replica in list(self.replicas.items()) if fresh else ():
            names = [key for key in replica.copy(self.origin).entries if isinstance(key, str)]
            if sworm and names:
                self.write(sworm, {names[0]: None})

    return set_dead


def _blind(original: Any) -> Any:
    return property(lambda self: self.own, original.fset)


def _impatient(original: Any) -> Any:
    def may_decide(self: Quorum, now: float) -> bool:
        return self.voter.ready and self.has_majority()

    return may_decide


def _forgets_source(original: Any) -> Any:
    def pass_on(self: Detours, sender: str, relay: Any, now: float) -> None:
        before = len(self.member.out)
        original(self, sender, relay, now)
        for index, effect in enumerate(self.member.out[before:], before):
            if isinstance(effect, Send) and isinstance(effect.message, Relayed):
                self.member.out[index] = Send(effect.to, Relayed(self.member.origin, effect.message.message))

    return pass_on


def _stale(original: Any) -> Any:
    def follow_view(self: Node) -> None:
        before = self.context.placement
        original(self)
        if self.context.placement is not before and before.view.hosts:
            self.context.placement = before

    return follow_view


def _anywhere(original: Any) -> Any:
    def eligible(self: Placement, sworm: str, constraints: Any) -> Any:
        return original(self, sworm, ())

    return eligible


def _left_behind(original: Any) -> Any:
    def travelling(self: Ties, sworm: str) -> Any:
        return (), original(self, sworm)[1]

    return travelling


def _none(original: Any) -> Any:
    def group_keys(self: Ties, sworm: str, pid: str) -> Any:
        return {}

    return group_keys


def _thaws(original: Any) -> Any:
    def recall(self: Handoffs, process: Process, move: Any, problem: str) -> None:
        self.moves.pop(process.serial, None)
        process.phase, process.move = RUNNING, None
        self.context.write_entry(process)
        self.context.open_gate(process)
        self.ended(move.order, "refused", process.pid, process.epoch, self.context.me, 0, problem)

    return recall


_ALL = (
    Mutant(
        "delta-across-a-gap", "delta_crdt: partial diffs shipped with a full causal context", VersionedMap, "fits", _gap
    ),
    Mutant(
        "delta-in-pieces", "delta_crdt #65: pieces of one change set applied one by one", Replica, "_assemble", _pieces
    ),
    Mutant("all-contenders-lose", "Horde #250: a name race leaves nobody", Conflicts, "_check_one", _all_lose),
    Mutant(
        "one-becomes-many",
        "Horde #207: deciders act before they agree on who is there",
        Viewing,
        "check",
        _always,
    ),
    Mutant("loser-stays", "syn: the loser of a conflict is never removed", Conflicts, "_check_one", _nothing),
    Mutant(
        "late-cleanup", "ray #54955: a late cleanup removes the successor's name", Context, "erase_entry", _successor
    ),
    Mutant(
        "resent-starts-twice", "ray #11003: a command sent again starts a second process", Arbiter, "_register", _twice
    ),
    Mutant(
        "source-leaves-early",
        "Swarm #67: the target dies in a handoff and the process is gone",
        Handoffs,
        "on_prepared",
        _source_leaves_early,
    ),
    Mutant(
        "drain-done-early", "Nomad #14293: a drain says done while processes still run", Drain, "advance", _done_early
    ),
    Mutant(
        "target-opens-early",
        "a target accepts messages before the source has committed",
        Receiving,
        "target_ready",
        _opens_early,
    ),
    Mutant(
        "copy-is-forgotten",
        "Swarm: the state is lost when a node dies in a handoff, though the other one has it",
        Estates,
        "must_wait",
        _nothing,
    ),
    Mutant(
        "source-thaws",
        "a source goes on under its old epoch when its target is gone after the commit: a fence refuses it",
        Handoffs,
        "_recall",
        _thaws,
    ),
    Mutant(
        "stale-placement", "two nodes decide about one name: one goes by the view before", Node, "_follow_view", _stale
    ),
    Mutant(
        "labels-not-looked-at", "a process starts where its constraints forbid it", Placement, "eligible", _anywhere
    ),
    Mutant("further-name-stays", "an alias does not follow its process in a move", Ties, "travelling", _left_behind),
    Mutant("group-outlives", "a member of a group is listed after its end", Ties, "group_keys", _none),
    Mutant(
        "healthy-names-go",
        "Sworm: a node's death unregisters names of a healthy node",
        Member,
        "_set_dead",
        _healthy_too,
    ),
    Mutant(
        "lease-not-looked-at",
        "leases checked by a timer instead of before each message: a paused holder goes on",
        LeasedGate,
        "state",
        _blind,
    ),
    Mutant(
        "majority-does-not-wait",
        "a majority takes over before the lease of the other side has ended",
        Quorum,
        "may_decide",
        _impatient,
    ),
    Mutant("relay-forgets-source", "a relay passes on in its own name", Detours, "pass_on", _forgets_source),
    Mutant(
        "nobody-relays",
        "Erlang's distribution: nodes of a mesh that lost their direct link are down for each other",
        Detours,
        "look",
        _nothing,
    ),
)

MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in _ALL}
