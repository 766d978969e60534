"""Virtual time, a faulty network, and hosts that run real cores on them.

Law: one queue of (time, number, action), one random source; nothing else decides. A host carries out effects in the
order given, as an agent does, and reads its own clock, which may be wrong and set anew. The network may lose, repeat,
delay and reorder messages, cut links one way or both, and freeze hosts.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from registry.core.events import (
    Connect,
    Detour,
    Disconnect,
    HoldCalls,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    Received,
    Report,
    Send,
    Ticked,
    Wake,
)
from registry.core.ids import Origin
from registry.core.member import MemberConfig, next_origin
from registry.core.membership import PRESETS, Timing
from registry.joining import PATIENCE
from registry.steady import SteadyClock
from supervisor.core.context import NodeConfig
from supervisor.core.events import Asked, Choose, Chosen, Drained, Effect, Reply
from supervisor.core.node import Node
from supervisor.simulation.ledger import Ledger
from supervisor.simulation.oracles import broken
from supervisor.simulation.workers import Plan, Workers

#: Steps that a small cluster takes within a virtual second at most, and those for each pair of nodes that were started;
#: many more are events that make each other. In a large cluster more nodes come and go within a second, and each makes
#: every node report its view to every other.
BUSIEST, BUSIEST_PAIR, LARGE = 20_000, 50, 10

#: The same for each process: its start, a few moves and checkpoints, each of them a step on several nodes.
BUSIEST_EACH = 50


@dataclass(slots=True)
class Faults:
    """How bad the network is: probabilities for each message, delays in seconds."""

    loss: float = 0.0
    repeat: float = 0.0
    least_delay: float = 0.000_1
    most_delay: float = 0.005


@dataclass(slots=True)
class WallClock:
    """One machine's clock, wrong by `skew` seconds."""

    world: World
    skew: float

    def __call__(self) -> float:
        """Seconds since 1970, as this machine believes."""
        return self.world.now + self.skew


@dataclass(slots=True)
class Host:
    """One simulated node; `up` ends with a crash or a leave."""

    name: str
    origin: Origin
    node: Node
    workers: Workers
    wall: WallClock
    clock: SteadyClock
    up: bool = True
    paused: bool = False
    links: set[Origin] = field(default_factory=set)
    backlog: list[Callable[[], None]] = field(default_factory=list)
    wake_at: float = float("inf")
    untried: set[Origin] = field(default_factory=set)  #: peers to join whose first dial has not ended
    patient: bool = False  #: a first link stands
    joined: bool = False
    drained: Drained | None = None


class World:
    """A cluster and everything that happens to it."""

    plan: Plan  #: how workers behave

    def __init__(self, seed: int, timing: Timing = PRESETS["lan"]) -> None:
        self.random = random.Random(f"{seed}/network")
        self.now = 1_700_000_000.0
        self.timing = timing
        self.ledger = Ledger(self)
        self.faults = Faults()
        self.hosts: dict[Origin, Host] = {}
        self.cut: set[tuple[str, str]] = set()  #: (from node, to node) over which nothing passes
        self.incarnations: dict[str, int] = {}
        self.replies: dict[str, list[Reply]] = {}
        self.asked: dict[str, Asked] = {}
        self.asked_at: dict[str, Origin] = {}
        self.expected: dict[str, Callable[[Reply], None]] = {}  #: request -> who wants to hear of its first answer
        self.reports: list[tuple[float, Report]] = []
        self.watchers: list[Callable[[Host, list[Effect]], None]] = []  #: of steps that had effects
        self.lookers: list[Callable[[Host], None]] = []  #: of every step
        self.member_options: dict[str, Any] = {}  #: of `MemberConfig`
        self.options: dict[str, Any] = {}  #: of `NodeConfig`
        self.strategy: Callable[[Choose], Chosen] = lambda question: Chosen(question.request, (), "there is none")
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._second, self._steps_then = self.now, 0  #: when the next second ends, steps before it

    # ----------------------------------------------------------------------------------------------------------- time

    def at(self, delay: float, action: Callable[[], None]) -> None:
        """Do something `delay` seconds from now."""
        self._number += 1
        heapq.heappush(self._queue, (self.now + delay, self._number, action))

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self._queue)
            action()
            if self.now >= self._second:
                self._second, self._steps_then = self.now + 1.0, self.steps
            elif self.steps - self._steps_then > BUSIEST and self.steps - self._steps_then > self._busiest():
                self._check_rest()
        self.now = end

    def _check_rest(self) -> None:
        taken, processes = self.steps - self._steps_then, sum(len(host.workers.running()) for host in self.live())
        if taken > BUSIEST + 50 * len(self.incarnations) ** 2 + BUSIEST_EACH * processes:
            raise broken("comes-to-rest", f"{taken} steps were taken within a second")

    def _busiest(self) -> float:
        started = len(self.incarnations)
        return BUSIEST + BUSIEST_PAIR * started**2 * max(1.0, started / LARGE)

    def run_until(self, condition: Callable[[], bool], limit: float) -> bool:
        """Let time pass until a condition holds; False when it does not within `limit` seconds."""
        end = self.now + limit
        while not condition():
            if self.now >= end:
                return False
            self.run(0.05)
        return True

    # ---------------------------------------------------------------------------------------------------------- hosts

    def live(self) -> list[Host]:
        """The hosts that are up, by name."""
        return sorted((host for host in self.hosts.values() if host.up), key=lambda host: host.name)

    def host(self, name: str) -> Host | None:
        """The running incarnation of a node."""
        return next((host for host in self.live() if host.name == name), None)

    def start(self, name: str, skew: float = 0.0, labels: dict[str, str] | None = None, capacity: float = 1.0) -> Host:
        """Start a node; it knows the others that run as its peers to join."""
        origin = next_origin(name, self.now + skew, self.incarnations.get(name, 0))
        self.incarnations[name] = int(origin.partition(".")[2])
        config = NodeConfig(
            MemberConfig(
                self.timing,
                url=f"sim://{origin}",
                call_url=f"sim://{origin}",
                labels=labels or {},
                capacity=capacity,
                **self.member_options,
            ),
            **self.options,
        )
        node = Node(origin, config, self.now + skew)
        wall = WallClock(self, skew)
        host = Host(name, origin, node, Workers(self, origin), wall, SteadyClock(wall, lambda: self.now))
        self.hosts[origin] = host
        host.untried = {other.origin for other in self.live() if other is not host}
        self.join(host)
        self.step(host, Ticked())
        self._tried(host)
        return host

    def _tried(self, host: Host, peer: Origin = "") -> None:
        """A dial to join came to its end, either way; with the last one the node has joined: see `registry.joining`."""
        host.untried.discard(peer)
        if not host.untried and not host.joined:
            host.joined = True
            self.step(host, Joined())

    def _linked(self, host: Host, peer: Origin) -> None:
        """A link stands; those that neither answer nor refuse delay joining no longer than this."""
        self.step(host, LinkUp(peer))
        self._tried(host, peer)
        if host.untried and not host.patient:
            host.patient = True
            self.at(PATIENCE, lambda: self._lose_patience(host))

    def _lose_patience(self, host: Host) -> None:
        host.untried.clear()
        self._tried(host)

    def join(self, host: Host) -> None:
        """Dial the addresses to join that no link stands to, now and every few seconds, as the shell does."""
        if not host.up:
            return
        for other in self.live():
            if other is not host and other.origin not in host.links:
                self.connect(host, other.origin)
        self.at(3.0, lambda: self.join(host))

    def set_clock(self, host: Host, skew: float) -> None:
        """Somebody sets a machine's clock."""
        host.wall.skew = skew

    def crash(self, host: Host, silent: bool = False) -> None:
        """End a host without a word; its links close at once, or (silent) nobody is told."""
        self.ledger.node_ends(host)
        host.up = False
        for peer in sorted(host.links):
            other = self.hosts[peer]
            other.links.discard(host.origin)
            if other.up and not silent:
                self.at(self.delay(), lambda other=other: self.step(other, LinkDown(host.origin, "reset")))  # type: ignore[misc]
            elif other.up:
                other.links.add(host.origin)
        host.links.clear()

    def exit_when_drained(self, host: Host, then: Callable[[], None] = lambda: None) -> None:
        """An agent exits once its core says that it is empty; one that was told to go on does not."""
        if host.drained is not None and host.up:
            for slot in host.drained.left_behind:  # restored elsewhere, without their state
                self.ledger.forgive(self.ledger.changes.get(slot, set()))
            self.crash(host)
            then()
        elif host.up:
            self.at(0.05, lambda: self.exit_when_drained(host, then))

    def pause(self, host: Host, seconds: float) -> None:
        """Freeze a host; what arrives meanwhile waits for it."""
        host.paused = True
        self.at(seconds, lambda: self.resume(host))

    def resume(self, host: Host) -> None:
        """Let a frozen host go on, its timers first."""
        if not host.paused:
            return
        host.paused = False
        for look in self.lookers:
            look(host)  # its gates are asked before its timers
        self.step(host, Ticked())
        backlog, host.backlog = host.backlog, []
        for action in backlog:
            action()

    # -------------------------------------------------------------------------------------------------------- network

    def delay(self) -> float:
        """One message's time on the wire."""
        return self.random.uniform(self.faults.least_delay, self.faults.most_delay)

    def passes(self, source: str, target: str) -> bool:
        """Whether anything gets from one node to another."""
        return (source, target) not in self.cut

    def partition(self, one: set[str], other: set[str], both_ways: bool = True) -> None:
        """Cut the network between two groups of node names."""
        for a in one:
            for b in other:
                self.cut.add((a, b))
                if both_ways:
                    self.cut.add((b, a))

    def heal(self) -> None:
        """End all cuts. Links that timed out meanwhile are dialled again by the cores."""
        self.cut.clear()

    def connect(self, host: Host, peer: Origin) -> None:
        """A dial: it succeeds when the peer is up and reached both ways."""

        def arrive() -> None:
            other = self.hosts.get(peer)
            if not host.up:
                return
            reached = other is not None and self.passes(host.name, other.name) and self.passes(other.name, host.name)
            if other is None or not other.up:
                self.refuse(host, peer, True, "refused")
            elif not reached or other.paused:
                self.at(1.0, lambda: self.refuse(host, peer, False, "timed out"))
            elif peer in host.links:
                self._tried(host, peer)
            elif other.node.member.admit(host.origin) is None:
                host.links.add(peer)
                other.links.add(host.origin)
                self._linked(other, host.origin)
                self._linked(host, peer)

        self.at(self.delay(), arrive)

    def refuse(self, host: Host, peer: Origin, refused: bool, reason: str) -> None:
        """A dial came to nothing."""
        self.step(host, LinkRefused(peer, refused, reason))
        self._tried(host, peer)

    def unlink(self, one: Host, other: Host, reason: str) -> None:
        """Close a link; both ends are told."""
        one.links.discard(other.origin)
        other.links.discard(one.origin)
        for host, peer in ((one, other.origin), (other, one.origin)):
            self.step(host, LinkDown(peer, reason))  # at once: a link's end is never overtaken by the next link's start

    def send(self, host: Host, effect: Send) -> None:
        """Put a message on the wire, if there is one."""
        if effect.to not in host.links:
            return
        other = self.hosts[effect.to]
        copies = 1 + (self.random.random() < self.faults.repeat)
        for _ in range(copies):
            if self.random.random() >= self.faults.loss and self.passes(host.name, other.name):
                self.at(self.delay(), lambda: self.arrive(other, host.origin, effect))

    def arrive(self, other: Host, sender: Origin, effect: Send) -> None:
        """A message has come, if the link it came on still stands."""
        if sender in other.links:
            self.step(other, Received(sender, effect.message))

    # ---------------------------------------------------------------------------------------------------------- steps

    def step(self, host: Host, event: object) -> None:
        """One event for one host, and what follows from it."""
        if not host.up:
            return
        if host.paused:
            host.backlog.append(lambda: self.step(host, event))
            return
        self.steps += 1
        effects = host.node.step(event, host.clock())  # type: ignore[arg-type]
        if effects:
            for effect in effects:
                self.carry_out(host, effect)
            for watcher in self.watchers:
                watcher(host, effects)
        for look in self.lookers:
            look(host)

    def carry_out(self, host: Host, effect: Effect) -> None:
        """One effect, as an agent would."""
        match effect:
            case Send():
                self.send(host, effect)
            case Wake(at):  # the microsecond: adding and taking off a skew rounds, and a timer must not fire early
                self.wake(host, self.now + max(0.0, at - host.clock()) + 1e-6)
            case Connect(origin):
                self.connect(host, origin)
            case Disconnect(origin):
                if origin in host.links:
                    self.unlink(host, self.hosts[origin], effect.reason)
            case Reply():
                self.answered(effect)
            case Report():
                self.reports.append((self.now, effect))
            case Drained():
                host.drained = effect
            case Choose():
                self.at(self.delay(), lambda: self.step(host, self.strategy(effect)))
            case HoldCalls(on):
                host.workers.held = on
            case Detour():
                pass  # it is about calls, which do not pass through this world
            case _:
                host.workers.carry_out(effect)

    def answered(self, reply: Reply) -> None:
        """An ask has come to its end."""
        self.replies.setdefault(reply.request, []).append(reply)
        if then := self.expected.pop(reply.request, None):
            then(reply)

    def wake(self, host: Host, at: float) -> None:
        """The earliest wish counts; a late `Ticked` is harmless."""
        if at < host.wake_at:
            host.wake_at = at
            self.at(max(0.0, at - self.now), lambda: self.tick(host, at))

    def tick(self, host: Host, at: float) -> None:
        """A wake-up that no earlier one has replaced."""
        if host.wake_at == at:
            host.wake_at = float("inf")
            self.step(host, Ticked())

    def sworm_of(self, request: str) -> str:
        """The sworm that a request is about."""
        return self.asked[request].sworm

    def ask(self, host: Host, asked: Asked) -> None:
        """Somebody on a host asks for something."""
        self.asked[asked.request], self.asked_at[asked.request] = asked, host.origin
        self.replies.setdefault(asked.request, [])
        self.step(host, asked)
