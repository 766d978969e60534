"""Single cables: two nodes lose each other, one way or both, for long, and reach others: one of those relays.

Law: while two nodes have a neighbour in common that stays, they are alive for each other, claims between them are
answered, and processes move between them. This is judged in stages of their own, in which nothing else begins; a stage
that something else disturbs (a crash planned before, a heal) judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from registry.core.directory import AGREEING
from registry.core.names import Spec
from supervisor.core.events import Asked, Reply
from supervisor.simulation.feature import SWORM, Action, Feature
from supervisor.simulation.oracles import broken

if TYPE_CHECKING:
    from supervisor.simulation.run import Run
    from supervisor.simulation.world import Host

#: Virtual seconds within which a claim across a cut cable has its answer: a few retries.
ANSWERED = 6.0

#: Names that are tried to find one about which a certain node decides.
TRIES = 60


class Cables(Feature):
    """Cuts of single cables, and what must go on all the same."""

    name = "cables"
    weights = (0, 0, 1, 1)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.count = 0

    def actions(self) -> list[Action]:
        """Seldom, since a stage takes a while."""
        return [Action(self.cut, 1, rough=True), Action(self.stage, 1, rough=True)]

    def cut(self) -> None:
        """Cut one cable among whatever else happens, until somebody mends it."""
        names = self.run.settings.nodes
        if len(names) > 1:
            one, other = self.run.random.sample(names, 2)
            self.run.world.partition({one}, {other}, both_ways=self.run.random.random() < 0.6)

    def stage(self) -> None:
        """A long cut, with work across it."""
        world, chance = self.run.world, self.run.random
        world.heal()
        world.run(1.0)
        hosts = self._calm()
        if len(hosts) < 3:
            return
        one, other = chance.sample(hosts, 2)
        world.partition({one.name}, {other.name}, both_ways=chance.random() < 0.6)
        if chance.random() < 0.4:
            world.unlink(one, other, "reset")
        if self._within(hosts, self._detected(), lambda: _detour(one, other) and _detour(other, one)):
            for here, there in ((one, other), (other, one)):
                self._work(hosts, here, there)
            if self._stands(hosts):
                self._check_alive(one, other)
        world.heal()

    def _calm(self) -> list[Host]:
        """All hosts, if they are members of one view that has settled, each linked to each; else none."""
        live = self.run.world.live()
        members = [host.node.member for host in live]
        origins = {host.origin for host in live}
        fit = (
            len({member.view.id for member in members}) == 1
            and all(member.ready and member.record.status in AGREEING for member in members)
            and all(host.links >= origins - {host.origin} and not host.paused for host in live)
            and all(host.node.context.may_decide(SWORM) and not host.node.context.draining for host in live)
            and SWORM in live[0].node.definitions
        )
        return live if fit else []

    def _detected(self) -> float:
        """How long a cut may stay unnoticed, and a detour unmade."""
        timing = self.run.world.timing
        return timing.timeout + 6 * timing.heartbeat + 2 * timing.redial

    def _stands(self, hosts: list[Host]) -> bool:
        """Whether nothing but the one cable is cut, and nobody is away."""
        live = self.run.world.live()
        names = {name for pair in self.run.world.cut for name in pair}
        others = [host for host in live if host.name not in names]
        return (
            live == hosts
            and len(names) == 2
            and not any(host.paused or host.node.context.draining for host in live)
            and any(other.links >= {h.origin for h in live} - {other.origin} for other in others)
        )

    def _within(self, hosts: list[Host], seconds: float, condition: Callable[[], bool]) -> bool:
        """Let time pass until a condition holds; False: something else disturbed the stage. Raises `Violation`."""
        world = self.run.world
        held = world.run_until(lambda: condition() or not self._stands(hosts), seconds)
        if held:
            return condition()
        raise broken("detour-serves", f"{sorted(world.cut)} is cut, and within {seconds:.1f} s nothing comes of it")

    def _work(self, hosts: list[Host], here: Host, there: Host) -> None:
        """Something about which the far end decides, and a move there."""
        name = next((name for name in self._names() if self._decides(there, here, name)), "")
        if not name or not self._stands(hosts):
            return
        reply = self._ask(hosts, here, "register", name)
        if reply is not None and reply.result == "started":
            self.run.ledger.acknowledge((SWORM, name))
            self._ask(hosts, here, "move", name, to=there.name)

    def _names(self) -> list[str]:
        self.count += TRIES
        return [f"cable{number}" for number in range(self.count - TRIES, self.count)]

    def _decides(self, host: Host, asked: Host, name: str) -> bool:
        return asked.node.context.placement.arbiter(SWORM, name) == host.origin

    def _ask(self, hosts: list[Host], host: Host, kind: str, name: str, to: str = "") -> Reply | None:
        world, run = self.run.world, self.run
        run.requests += 1
        request = f"cable-{kind}{run.requests}"
        spec = Spec("examples.counters:Counter") if kind == "register" else None
        deadline = host.clock() + ANSWERED
        world.ask(host, Asked(request, kind, SWORM, name, deadline, request, spec, "", to))
        if not self._within(hosts, ANSWERED + 1.0, lambda: bool(world.replies[request])):
            return None
        reply = world.replies[request][0]
        if reply.result == "no_answer" and self._stands(hosts) and kind == "register":
            raise broken("detour-serves", f"{host.name} asked {request} across a cut cable: {reply.detail}")
        return reply

    def _check_alive(self, one: Host, other: Host) -> None:
        for here, there in ((one, other), (other, one)):
            if there.origin in here.node.member.dead:
                raise broken("detour-serves", f"{there.name} is dead for {here.name}, though others reach both")


def _detour(here: Host, there: Host) -> bool:
    return bool(here.node.member.detours.relay_of(there.origin))


FEATURE = Cables
