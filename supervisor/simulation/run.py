"""One seed, one life of a cluster: it starts, works under faults, heals, and is judged.

Law: everything of a run (settings, plan, faults, workers) is drawn from streams that its seed alone decides; nothing
else varies. Three seeds in ten are `gentle`: no faults but moves, drains and joins, judged more strictly. What happens
is made up of features (`supervisor.simulation.feature`).
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from registry.core import origin
from registry.core.directory import CORDONED, DRAINING
from registry.core.events import Report
from registry.core.names import Spec
from supervisor.core.events import Asked, CordonAsked, Defined, Effect, Reply
from supervisor.core.spec import ACTIVE
from supervisor.simulation import agreement
from supervisor.simulation.feature import SWORM, Action, Feature, Settings
from supervisor.simulation.features import all_features
from supervisor.simulation.oracles import Violation, broken
from supervisor.simulation.safety import Safety
from supervisor.simulation.world import Host, World

#: Virtual seconds of the faults, and at most of the peace in which everything must settle.
TROUBLE = 12.0
PEACE = 40.0

#: The same where processes are still moved to better places, a few at a time.
LONG_PEACE = 300.0

#: Laws that take long to come true, by a limited rate; what breaks another one for as long as `PEACE` stays broken.
SLOW = ("redistribution-ends", "operation-ends")

#: Virtual seconds after which a life is judged for the first time: every ask has ended by then.
REST = 8.0

#: Nodes of a seed: few, seldom many.
USUAL, MANY = 5, 12


@dataclass(slots=True)
class Outcome:
    """How one seed ended; `problem` is empty when every invariant held."""

    seed: int
    problem: str
    steps: int
    seconds: float  #: virtual


class Run:
    """One seed."""

    def __init__(self, seed: int, nodes: int = 0) -> None:
        """`nodes`: at most so many; 0: the seed decides."""
        self.seed = seed
        self.random = random.Random(f"{seed}/plan")
        self.settings = settings = Settings(gentle=self.random.random() < 0.3)
        most = nodes or (MANY if self.random.random() < 0.02 else USUAL)
        settings.nodes = [f"n{number}" for number in range(1, self.random.randint(min(3, most), most) + 1)]
        self.world = world = World(seed, settings.timing)
        self.ledger = world.ledger
        self.troubled = True  #: not healed yet
        self.requests = 0
        self.features = [feature(self) for feature in all_features()]
        self._actions: list[Action] = []
        for feature in self.features:
            self._add(feature)
        world.timing = settings.timing
        world.faults.loss, world.faults.repeat = settings.loss, settings.repeat
        world.faults.most_delay = settings.most_delay
        self.safety = Safety(world, settings.gentle)
        world.watchers += [self.safety, self._excuses]
        world.watchers += [f.stepped for f in self.features if type(f).stepped is not Feature.stepped]
        world.lookers += [self.safety.look]
        world.lookers += [f.looked for f in self.features if type(f).looked is not Feature.looked]

    def _add(self, feature: Feature) -> None:
        """Its settings, and its actions as often as the seed weighs it."""
        chance = random.Random(f"{self.seed}/{feature.name}")
        weight = chance.choice(feature.weights)
        feature.draw(chance, self.settings)
        for action in feature.actions() if weight else ():
            if not (action.rough and self.settings.gentle):
                self._actions += [action] * (action.weight * weight)

    def _excuses(self, host: Host, effects: list[Effect]) -> None:
        """A process that goes on without its state says so."""
        for effect in effects:
            if isinstance(effect, Report) and effect.kind == "handoff_failed" and "without" in effect.detail:
                self.ledger.forgive(self.ledger.changes.get((effect.sworm, effect.name), set()))

    # ------------------------------------------------------------------------------------------------------------ run

    def run(self) -> None:
        """Live through it; raises `Violation`."""
        usual, origin.MAX_LOG = origin.MAX_LOG, self.settings.max_log
        try:
            self._live()
        finally:
            origin.MAX_LOG = usual

    def _live(self) -> None:
        world = self.world
        for name in self.settings.nodes:
            self.start(name)
            world.run(self.random.choice([0.0, 0.1, 1.0]))
        world.run_until(lambda: all(host.node.member.ready for host in world.live()), 6.0)
        for host in world.live():
            world.step(host, Defined(self.settings.definition))
        world.run(0.5)
        end = world.now + TROUBLE
        while world.now < end:
            self.random.choice(self._actions).do()
            world.run(self.random.expovariate(1 / self.settings.pace))
        self.heal()
        for feature in self.features:
            feature.mend()
        self._settle()

    def _settle(self) -> None:
        """Most lives are soon at rest; one in four is watched for longer all the same. Some still move processes."""
        world = self.world
        until = world.now + (LONG_PEACE if self.settings.definition.redistribution == ACTIVE else PEACE)
        world.run(2.5 * REST if self.random.random() < 0.25 else REST)
        said, since = "", world.now
        while world.now < until:
            try:
                self.judge()
            except Violation as violation:
                if str(violation) != said or said.startswith(SLOW):
                    said, since = str(violation), world.now
                elif world.now - since > PEACE:
                    raise  # whatever is still on its way, this does not change any more
                world.run(min(2.0, until - world.now))
            else:
                return
        self.judge()

    def heal(self) -> None:
        """End all faults, and what operators forbade."""
        world = self.world
        self.troubled = False
        world.heal()
        world.faults.loss = world.faults.repeat = 0.0
        world.faults.most_delay = 0.005
        for host in world.live():
            world.resume(host)
            if host.node.member.record.status in (CORDONED, DRAINING):
                world.step(host, CordonAsked(False))

    def judge(self) -> None:
        """Raise `Violation` unless everything has come to rest as it must."""
        world = self.world
        self.safety.check_copies()
        agreement.check_agreement(world)
        agreement.check_processes(world)
        agreement.check_replies(world)
        agreement.check_survival(world, self.ledger.acknowledged - self.ledger.doubtful)
        for feature in self.features:
            feature.healed()

    # ------------------------------------------------------------------------------------------------ what features use

    def start(self, name: str) -> None:
        """Start, or start again, a node, unless it is there already."""
        settings = self.settings
        if self.world.host(name) is None:
            skew = self.random.uniform(-settings.skew, settings.skew)
            self.world.start(name, skew, settings.labels.get(name), settings.capacities.get(name, 1.0))

    def crash(self, host: Host | None, silent: bool = False) -> None:
        """A node is gone, without a word."""
        if host is not None and host.up:
            self.world.crash(host, silent)

    def any_host(self) -> Host | None:
        """A host that is up and not frozen."""
        hosts = [host for host in self.world.live() if not host.paused]
        return self.random.choice(hosts) if hosts else None

    def any_name(self) -> str:
        """One of the names that people use."""
        return self.random.choice(self.settings.names)

    def runs(self, slot: tuple[str, str], pid: str) -> bool:
        """Whether this incarnation of a name runs anywhere."""
        return any(
            worker.effect.pid == pid and (worker.effect.sworm, worker.effect.name) == slot
            for host in self.world.live()
            for worker in host.workers.running()
        )

    def ask(self, kind: str, name: str, to: str = "", pid: str = "", group: str = "", claim: str = "") -> str:
        """Ask for a verb at any host; returns the request, or "" when no host is there."""
        host = self.any_host()
        if host is None:
            return ""
        self.requests += 1
        request = f"{kind}{self.requests}"
        deadline = host.clock() + self.random.choice([0.5, 5.0])
        spec = Spec("examples.counters:Counter") if kind == "register" and not pid else None
        self.world.ask(host, Asked(request, kind, SWORM, name, deadline, claim or request, spec, pid, to, group))
        return request

    def expect(self, request: str, then: Callable[[Reply], None]) -> None:
        """Hear of the answer to a request."""
        replies = self.world.replies.get(request, [])
        if replies:
            then(replies[0])
        elif request:
            self.world.expected[request] = then


def run_seed(seed: int, nodes: int = 0, say: Callable[[str], None] | None = None, about: str = "") -> Outcome:
    """Run one seed and say how it ended; `say` hears every event and effect that holds the text `about`."""
    run = Run(seed, nodes)
    if say is not None:
        trace(run.world, say, about)
    began = run.world.now
    problem = ""
    try:
        run.run()
    except Violation as violation:
        problem = str(violation)
    except Exception as error:  # noqa: BLE001 - whatever a core raises is what the seed found
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = str(broken("never-raises", f"{error!r} came from {where.name}, line {where.lineno}"))
    return Outcome(seed, problem, run.world.steps, run.world.now - began)


def trace(world: World, say: Callable[[str], None], about: str) -> None:
    """Say what happens in a world: time, host, event or effect."""
    plain = world.step

    def step(host: Host, event: object) -> None:
        if host.up and not host.paused and about in repr(event):
            say(f"{world.now % 1000:10.6f} {host.name} <- {event}")
        plain(host, event)

    def watch(host: Host, effects: list[Effect]) -> None:
        for effect in effects:
            if about in repr(effect):
                say(f"{world.now % 1000:10.6f} {host.name} -> {effect}")

    world.step = step  # type: ignore[method-assign]
    world.watchers.insert(0, watch)
