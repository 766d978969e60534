"""One seed, one life of a cluster: it starts, works under faults, heals, and is judged.

Law: the plan of a run (which faults, how many nodes, what people do) is drawn from its seed before and while it runs;
nothing else varies. `gentle` seeds have no faults but moves, drains and joins, and are judged more strictly.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from registry.core.directory import UP
from registry.core.frozen import frozen
from registry.core.names import Spec
from supervisor.core.events import Asked, CordonAsked, Defined, DrainAsked
from supervisor.core.gate import BOUNCED, OPEN
from supervisor.core.spec import STRATEGIES, Definition
from supervisor.simulation import oracles
from supervisor.simulation.world import Host, Violation, World

SWORM = "rooms"

#: Virtual seconds: of the faults, and of the peace in which everything must settle.
TROUBLE = 12.0
PEACE = 20.0


@dataclass(slots=True)
class Outcome:
    """How one seed ended; `problem` is empty when every invariant held."""

    seed: int
    problem: str
    steps: int
    seconds: float  #: virtual


def _definition(placing: random.Random) -> Definition:
    """How processes are placed; half of the seeds have no demands on labels, some none that every node meets."""
    draw = placing.random()
    zone: Any = {} if draw < 0.5 else {"zone": "a"} if draw < 0.75 else {"zone": ["a", "b"]}
    return Definition(
        SWORM, 1, handoff=True, max_restarts=1_000_000, restart="permanent",
        distribution_strategy=placing.choice(STRATEGIES), constraints=frozen(zone),
    )  # fmt: skip


class Run:
    """One seed."""

    def __init__(self, seed: int, nodes: int = 5) -> None:
        self.seed = seed
        self.world = world = World(seed, "lan")
        self.random = world.random
        self.gentle = self.random.random() < 0.3
        self.nodes = [f"n{number}" for number in range(1, self.random.randint(2, nodes) + 1)]
        self.safety = oracles.Safety(world, self.gentle)
        world.watchers.append(self.safety)
        self.names = [f"name{number}" for number in range(self.random.randint(3, 25))]
        self.fragile = {name for name in self.names if self.random.random() < 0.1 and not self.gentle}
        self.slow_start = self.random.choice([0.001, 0.02, 0.3])
        self.acknowledged: set[tuple[str, str]] = set()
        self.doubtful: set[tuple[str, str]] = set()  #: names somebody tried to end, or whose last copies died together
        self.changes: dict[tuple[str, str], set[str]] = {}
        self.further = [f"{name}'" for name in self.names[:6]]
        self.requests = 0
        self.crashed_at = self.mended_at = -1e9
        placing = random.Random(f"placement {seed}")
        self.definition = _definition(placing)
        self.zones = {name: placing.choice("ab") for name in self.nodes}
        self.capacities = {name: placing.choice([0.5, 1.0, 3.0]) for name in self.nodes}
        if not self.gentle:
            faults = world.faults
            faults.loss = self.random.choice([0.0, 0.01, 0.1])
            faults.repeat = self.random.choice([0.0, 0.05])
            faults.most_delay = self.random.choice([0.002, 0.05, 0.4])

    # ----------------------------------------------------------------------------------------------------------- plan

    def fails_to_start(self, name: str) -> bool:
        """Fragile workers fail now and then."""
        return name in self.fragile and self.random.random() < 0.3

    def start_time(self) -> float:
        """How long `init` takes."""
        return self.random.uniform(0.0, self.slow_start)

    def state_time(self) -> float:
        """How long `begin_handoff` takes."""
        return self.random.uniform(0.0, self.slow_start)

    # ------------------------------------------------------------------------------------------------------------ run

    def run(self) -> None:
        """Live through it; raises `Violation`."""
        world = self.world
        for name in self.nodes:
            self.start(name)
            world.run(self.random.choice([0.0, 0.1, 1.0]))
        world.run(6.0)
        for host in world.live():
            world.step(host, Defined(self.definition))
        world.run(1.0)
        end = world.now + TROUBLE
        while world.now < end:
            self.act()
            world.run(self.random.expovariate(1 / 0.08))
        self.settle()

    def settle(self) -> None:
        """Heal everything and judge."""
        world = self.world
        world.heal()
        world.faults.loss = world.faults.repeat = 0.0
        world.faults.most_delay = 0.005
        for host in world.live():
            world.resume(host)
        world.run(PEACE)
        oracles.check_agreement(world)
        oracles.check_processes(world)
        oracles.check_ties(world)
        oracles.check_replies(world)
        oracles.check_survival(world, self.acknowledged - self.doubtful)
        oracles.check_counts(world)
        if self.gentle:
            kept = {key: changes for key, changes in self.changes.items() if key not in self.doubtful}
            oracles.check_state(world, kept)

    def start(self, name: str) -> None:
        """Start, or start again, a node."""
        skew = 0.0 if self.gentle else self.random.uniform(-2.0, 2.0)
        host = self.world.start(name, skew, {"zone": self.zones[name]}, self.capacities[name])
        host.workers.plan = self

    def act(self) -> None:
        """Something happens."""
        peaceful = [self.register] * 6 + [self.increment] * 8 + [self.move, self.move, self.unregister]
        peaceful += [self.name_further, self.join, self.join, self.leave, self.unname]
        rough = [self.crash, self.pause, self.cut, self.mend, self.mend, self.restart, self.worker_crash, self.flap]
        tidy = [self.drain, self.restart, self.cordon]
        self.random.choice(peaceful + tidy + ([] if self.gentle else rough))()

    def any_host(self) -> Host | None:
        """A host that is up and not frozen."""
        hosts = [host for host in self.world.live() if not host.paused]
        return self.random.choice(hosts) if hosts else None

    # --------------------------------------------------------------------------------------------------------- people

    def ask(self, kind: str, name: str, to: str = "", pid: str = "", group: str = "") -> str:
        """Ask for a verb at any host."""
        host = self.any_host()
        if host is None:
            return ""
        self.requests += 1
        request = f"{kind}{self.requests}"
        deadline = self.world.now + host.skew + self.random.choice([0.5, 5.0])
        spec = Spec("examples.counters:Counter") if kind == "register" and not pid else None
        self.world.ask(host, Asked(request, kind, SWORM, name, deadline, request, spec, pid, to, group))
        return request

    def register(self) -> None:
        """Register a name, and remember when that was acknowledged."""
        name = self.random.choice(self.names)
        request = self.ask("register", name)
        self.later(request, lambda result: self.registered(name, result))

    def registered(self, name: str, result: str) -> None:
        """The answer to a registration."""
        if result in ("started", "already_started"):
            self.acknowledged.add((SWORM, name))

    def later(self, request: str, then: object) -> None:
        """Look at the answer when there is one."""

        def look() -> None:
            replies = self.world.replies.get(request, [])
            if replies:
                then(replies[0].result)  # type: ignore[operator]
            elif self.world.now < limit:
                self.world.at(0.1, look)

        limit = self.world.now + 8.0
        if request:
            self.world.at(0.1, look)

    def unregister(self) -> None:
        """End a name."""
        name = self.random.choice(self.names)
        self.doubtful.add((SWORM, name))
        self.ask("unregister", name)

    def move(self) -> None:
        """Hand a process off."""
        self.ask("move", self.random.choice(self.names), self.random.choice(["", *self.nodes]))

    def name_further(self) -> None:
        """Give a process a further name, by the pid that some host believes it has; sometimes one that others use."""
        host = self.any_host()
        located = host.node.lookup(SWORM, self.random.choice(self.names)) if host else None
        if located is not None:
            name = self.random.choice(self.further if self.random.random() < 0.9 else self.names)
            if name in self.names:
                self.doubtful.add((SWORM, name))  # a further name has no spec: it may end with its process
            self.ask("register", name, pid=located.pid)

    def unname(self) -> None:
        """Take a further name away."""
        self.ask("unregister", self.random.choice(self.further))

    def join(self) -> None:
        """A process joins a group, by its name or by a further one."""
        name = self.random.choice([*self.names, *self.further])
        self.ask("join", name, group=self.random.choice(["odd", "even"]))

    def leave(self) -> None:
        """A process leaves a group."""
        self.ask("leave", self.random.choice(self.names), group=self.random.choice(["odd", "even"]))

    def increment(self) -> None:
        """Change a counter where a node believes that it lives; acknowledged when its gate was open."""
        host = self.any_host()
        name = self.random.choice(self.names)
        if host is None or SWORM not in host.node.replicas:
            return
        located = host.node.lookup(SWORM, name)
        there = self.world.hosts.get(located.origin) if located else None
        if located is None or there is None or not there.up or there.paused:
            return
        worker = there.workers.all.get(located.entry.serial)
        self.requests += 1
        if worker is None or worker.ended or worker.gate.state == BOUNCED:
            return
        if worker.gate.state == OPEN:
            worker.state.add(f"i{self.requests}")
            self.changes.setdefault((SWORM, name), set()).add(f"i{self.requests}")

    # -------------------------------------------------------------------------------------------------------- trouble

    def crash(self) -> None:
        """kill -9 of a node; two within a short time may take the last copies of something with them."""
        live = self.world.live()
        if len(live) < 2:
            return
        apart = self.world.cut or self.world.now - self.mended_at < 6.0
        if self.world.now - self.crashed_at < 6.0 or apart or self.world.faults.loss:
            self.doubtful.update((SWORM, name) for name in self.names)
        self.crashed_at = self.world.now
        host = self.random.choice(live)
        self.doubt_if_last(host)
        self.world.crash(host, silent=self.random.random() < 0.3)

    def doubt_if_last(self, host: Host) -> None:
        """A name lives as long as one replica knows it: with the last node that runs, all names end."""
        if not any(other.node.member.record.status == UP for other in self.world.live() if other is not host):
            self.doubtful.update((SWORM, name) for name in self.names)

    def restart(self) -> None:
        """Start a node that is not there."""
        down = [name for name in self.nodes if self.world.host(name) is None]
        if down:
            self.start(self.random.choice(down))

    def drain(self) -> None:
        """Take a node out, as SIGTERM does."""
        live = [host for host in self.world.live() if not host.paused]
        if len(live) < 2 or self.random.random() < 0.5:
            return
        host = self.random.choice(live)
        self.world.step(host, DrainAsked(self.world.now + host.skew + 10.0))
        self.leave_when_drained(host)

    def leave_when_drained(self, host: Host) -> None:
        """An agent exits once its core says that it is empty."""
        if host.drained is not None:
            self.doubt_if_last(host)
            self.doubtful.update(host.drained.left_behind)  # restored elsewhere, if at all, without their state
            self.world.crash(host)
        elif host.up:
            self.world.at(0.05, lambda: self.leave_when_drained(host))

    def cordon(self) -> None:
        """Close a node to new processes, or open it again."""
        host = self.any_host()
        if host is not None:
            self.world.step(host, CordonAsked(False))

    def pause(self) -> None:
        """SIGSTOP for a while, perhaps longer than every timeout."""
        host = self.any_host()
        if host is not None:
            self.world.pause(host, self.random.choice([0.1, 1.0, 5.0]))

    def cut(self) -> None:
        """Cut the cluster in two, one way or both."""
        one = {name for name in self.nodes if self.random.random() < 0.5}
        self.doubtful.update((SWORM, name) for name in self.names if self.world.now - self.crashed_at < 6.0)
        self.world.partition(one, set(self.nodes) - one, both_ways=self.random.random() < 0.7)

    def mend(self) -> None:
        """Heal all cuts; it takes a while until everybody has copies again."""
        if self.world.cut:
            self.mended_at = self.world.now
        self.world.heal()

    def flap(self) -> None:
        """Close some links; the cores dial again."""
        host = self.any_host()
        for peer in sorted(host.links) if host else ():
            if host and self.random.random() < 0.5:
                self.world.unlink(host, self.world.hosts[peer], "flap")

    def worker_crash(self) -> None:
        """A worker raises."""
        host = self.any_host()
        running = sorted(host.workers.all) if host else []
        if host and running:
            worker = host.workers.all[self.random.choice(running)]
            if worker.started:
                host.workers.end(worker.effect.serial, normal=False, detail="planned")


def run_seed(seed: int, nodes: int = 5) -> Outcome:
    """Run one seed and say how it ended."""
    run = Run(seed, nodes)
    began = run.world.now
    problem = ""
    try:
        run.run()
    except Violation as violation:
        problem = str(violation)
    return Outcome(seed, problem, run.world.steps, run.world.now - began)
