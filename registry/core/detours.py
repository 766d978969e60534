"""The way to a member without a direct link: through one other member that has links to both.

Law: one hop, never two. `Relay` goes to a directly linked peer only, which hands its message to a directly linked peer
only, as `Relayed`; neither is ever put into another. The relay is the first by rendezvous hash of the pair over those
that reach both as far as the directory tells, so that mostly both ends choose the same; it is kept until it goes. A
detour stands once something came over it, and from then on its far end is a peer like any other: heard, voted for, sent
every change; silence ends it by the rule that ends links. The silence of a direct link is judged by that link alone. A
relay says what it cannot pass on (`NotRelayed`), and what was in it is lost like anything on a wire: whoever sent it
sends again, or gives up at its deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any, Protocol

from registry.core.directory import LEFT, RELAYED
from registry.core.events import Detour, Disconnect, Report, Send
from registry.core.ids import Origin, incarnation_of, is_origin, node_of
from registry.core.membership import Directory, Timing, record_of, relays, trusts
from registry.core.messages import NotRelayed, Relay, Relayed, SummaryHash
from registry.core.names import Key
from registry.core.repair import Peer, Replicator

#: What is never relayed: the frames of relaying itself.
ENVELOPES = (Relay, Relayed, NotRelayed)

#: Different faults of relaying that are remembered, before the first is reported again.
MAX_FAULTS = 256


class Traveller(Protocol):
    """What detours read of their member, and what they tell it."""

    origin: Origin
    node: str
    timing: Timing
    repair: Replicator
    out: list[Any]

    @property
    def directory(self) -> Directory:
        """The copies of the directory."""
        ...

    def admit(self, origin: Origin) -> int | None:
        """None when a peer may link, else the last incarnation known of its node."""
        ...

    def peer_up(self, origin: Origin, now: float) -> None:
        """A peer is reached."""
        ...

    def peer_down(self, origin: Origin) -> None:
        """It is not any more."""
        ...

    def hears(self, origin: Origin, now: float) -> bool:
        """Whether it is heard, and does not say that this member is out of its reach."""
        ...


class Detours:
    """One member's detours."""

    def __init__(self, member: Traveller) -> None:
        self.member = member
        self.via: dict[Origin, Origin] = {}  #: far end -> its relay, whether the detour stands or is only tried
        self._shunned: dict[tuple[Origin, Origin], float] = {}  #: (far end, relay) -> not to be tried until then
        self._faults: set[str] = set()  #: those reported
        self._late: dict[Origin, float] = {}  #: when something came first of an incarnation that is over

    # -------------------------------------------------------------------------------------------------------- reading

    def relay_of(self, origin: Origin) -> Origin:
        """The relay of a detour that stands; empty: there is none."""
        peer = self.member.repair.peers.get(origin)
        return peer.relay if peer is not None else ""

    def opinion(self, origin: Origin) -> dict[Key, Any]:
        """The change that says in the own map through whom a member is reached; empty: that stands there."""
        relay, said = self.relay_of(origin), self.member.directory[self.member.origin].entries.get((RELAYED, origin))
        return {(RELAYED, origin): relay or None} if relay != (said or "") else {}

    def _direct(self, origin: Origin) -> Peer | None:
        peer = self.member.repair.peers.get(origin)
        return peer if peer is not None and not peer.relay else None

    # ------------------------------------------------------------------------------------------------------- choosing

    def look(self, there: Iterable[Origin], hears: Callable[[Origin], bool], now: float) -> None:
        """See to a way to each of these: those that this node hears, directly or soon, need none."""
        for far in there:
            peer = self.member.repair.peers.get(far)
            if peer is None or peer.relay:
                if peer is not None or not hears(far):
                    self._seek(far, peer, now)
            elif not hears(far) and self._choose(far, now):
                self.member.out.append(Disconnect(far, "silent, and reached by others"))
        for far in sorted(self.via.keys() - set(there)):
            if not self._lingers(far, now):
                self.end(far)

    def _lingers(self, far: Origin, now: float) -> bool:
        """Whether a node that left is on its way out: it waits to hear that this is known."""
        peer = self.member.repair.peers.get(far)
        heard = peer is not None and now - peer.heard < self.member.timing.timeout
        return heard and self.member.admit(far) is None and self._carries(self.via[far], far, now)

    def _seek(self, far: Origin, peer: Peer | None, now: float) -> None:
        if peer is not None and now - peer.heard >= self.member.timing.timeout:
            self._shun(far, peer.relay, now)
            self.end(far)
            peer = None
        kept = self.via.get(far)
        relay = kept if kept is not None and self._carries(kept, far, now) else self._choose(far, now)
        if not relay:
            self.end(far)
        elif relay != kept:
            self.via[far] = relay
            if peer is not None:
                peer.relay = relay
                self.member.out.append(Detour(far, relay))
            self._probe(far, now)

    def _choose(self, far: Origin, now: float) -> Origin:
        one, other = sorted((self.member.origin, far))
        able = [relay for relay in self.member.repair.peers if self._carries(relay, far, now)]
        return min(able, key=lambda relay: (_rank(one, other, relay), relay), default="")

    def _carries(self, relay: Origin, far: Origin, now: float) -> bool:
        """Whether a node has live links to this one and to the far end, as far as this one can know."""
        member, directory = self.member, self.member.directory
        peer = self._direct(relay)
        if relay == far or peer is None or self._shunned.get((far, relay), now) > now:
            return False
        if not (member.hears(relay, now) and relays(directory, relay)):
            return False
        return trusts(directory, relay, far) and not (
            _is_relayed(directory, relay, far) or _is_relayed(directory, far, relay)
        )

    def _shun(self, far: Origin, relay: Origin, now: float) -> None:
        self._shunned = {pair: until for pair, until in self._shunned.items() if until > now}
        self._shunned[far, relay] = now + self.member.timing.redial

    # ---------------------------------------------------------------------------------------------- beginning and end

    def _probe(self, far: Origin, now: float) -> None:
        """A heartbeat that votes for nobody."""
        beat = SummaryHash(self.member.repair.summary_hash(), int(now * 1_000_000), 0)
        self.member.out.append(Send(far, beat))

    def beat(self, now: float) -> None:
        """Try the detours that do not stand yet; those that do have heartbeats like links."""
        for far in self.via:
            if far not in self.member.repair.peers:
                self._probe(far, now)

    def linked(self, far: Origin) -> None:
        """A direct link stands: no detour is needed. To be called before the link is taken into use."""
        self._stop(far, "direct", f"{self.member.origin} has a direct link to {far} again")

    def end(self, far: Origin) -> None:
        """There is no way round any more."""
        self._stop(far, "", "")

    def _stop(self, far: Origin, kind: str, detail: str) -> None:
        self.via.pop(far, None)
        if not self.relay_of(far):
            return
        member = self.member
        member.peer_down(far)
        member.out.append(Detour(far, ""))
        if kind:
            self._tell(kind, far, detail)

    def _begin(self, far: Origin, relay: Origin, now: float) -> None:
        member = self.member
        relay = self.via.setdefault(far, relay)
        member.peer_up(far, now)
        member.repair.peers[far].relay = relay
        member.out.append(Detour(far, relay))
        detail = f"{member.origin} and {far} reach each other through {relay}"
        self._tell("relayed", far, detail)

    def _tell(self, kind: str, far: Origin, detail: str) -> None:
        """One of the two tells of the pair."""
        if self.member.origin < far:
            self.member.out.append(Report(kind, pid=far, node=node_of(far), detail=detail))

    # ------------------------------------------------------------------------------------------------------ messages

    def route(self, effects: list[Any]) -> list[Any]:
        """The effects of a step, those to far ends put into envelopes for their relays."""
        return [self._wrapped(effect) if type(effect) is Send else effect for effect in effects]

    def _wrapped(self, send: Send) -> Send:
        relay = self.via.get(send.to)
        if relay is None or type(send.message) in ENVELOPES or self._direct(send.to) is not None:
            return send
        return Send(relay, Relay(send.to, send.message))

    def pass_on(self, sender: Origin, relay: Relay, now: float) -> None:
        """A peer wants something passed on: to a direct link, or the peer is told why not."""
        to, message = relay
        member = self.member
        if type(message) in ENVELOPES:
            self._refuse(sender, f"a {type(message).__name__} for {to}: nothing is relayed twice")
        elif not is_origin(to) or to in (member.origin, sender):
            self._refuse(sender, f"a {type(message).__name__} for {to!r}, which is no third node")
        elif problem := self._hindrance(to, now):
            member.out.append(Send(sender, NotRelayed(to, problem)))
        else:
            member.out.append(Send(to, Relayed(sender, message)))

    def _hindrance(self, to: Origin, now: float) -> str:
        member = self.member
        peer = self._direct(to)
        if not relays(member.directory, member.origin):
            return f"{member.origin} relays nobody"
        if peer is not None:
            return "" if now - peer.heard < member.timing.timeout else f"{to} is silent"
        newer = [o for o in member.repair.peers if node_of(o) == node_of(to) and incarnation_of(o) > incarnation_of(to)]
        return f"{to} is over, {newer[0]} runs" if newer else f"{member.origin} has no direct link to {to}"

    def arrived(self, relay: Origin, relayed: Relayed, now: float) -> bool:
        """Something came by way of a relay; whether its message is to be taken as its source's."""
        source, message = relayed
        member = self.member
        if type(message) in ENVELOPES:
            problem = f"a {type(message).__name__}: nothing is relayed twice"
        elif not is_origin(source) or source in (member.origin, relay):
            problem = "which is no third node"
        elif (last := member.admit(source)) is not None:
            if len(self._late) >= MAX_FAULTS:
                self._late.clear()
            if now - self._late.setdefault(source, now) < member.timing.timeout:
                return False  # its last words were on their way when it ended
            problem = f"which is over: incarnation {last} is known"
        elif record_of(member.directory, source) is None:
            problem = "of which nothing is known here"
        else:
            return self._taken(source, relay, now)
        self._refuse(relay, f"{type(message).__name__} of {source!r}, {problem}")
        return False

    def _taken(self, source: Origin, relay: Origin, now: float) -> bool:
        peer, record = self.member.repair.peers.get(source), record_of(self.member.directory, source)
        if peer is None and record is not None and record.status == LEFT:
            return False  # its last words, and all of them were heard
        if peer is None:
            self._begin(source, relay, now)
        elif peer.relay:
            peer.heard = now
        return True

    def not_relayed(self, relay: Origin, answer: NotRelayed, now: float) -> bool:
        """The relay cannot: try another. False: it is not the relay of that any more."""
        if self.via.get(answer.to) != relay:
            return False
        self._shun(answer.to, relay, now)
        return True

    def _refuse(self, peer: Origin, fault: str) -> None:
        """Say once what a peer did wrong: a sound cluster has none of it."""
        fault = f"refused to relay or be relayed by {peer}: {fault}"
        if fault in self._faults:
            return
        if len(self._faults) >= MAX_FAULTS:
            self._faults.clear()
        self._faults.add(fault)
        self.member.out.append(Report("refused_message", node=node_of(peer), detail=fault))


def _is_relayed(directory: Directory, one: Origin, other: Origin) -> bool:
    """Whether a node says that it reaches another by a relay only."""
    copy = directory.get(one)
    return copy is not None and (RELAYED, other) in copy.entries


def _rank(one: Origin, other: Origin, relay: Origin) -> bytes:
    return blake2b(f"{one}/{other}/{relay}".encode(), digest_size=8).digest()
