"""One operation on a small cluster, with one fault at the n-th deed of the observer that carries it out.

Law: nothing else goes wrong, so that by counting n up until the operation is over before its n-th deed, each fault
strikes at every step of every operation. What happens depends on the arguments alone.
"""

from __future__ import annotations

import random

from registry.core.names import Spec
from supervisor.core.events import Asked, Defined
from supervisor.core.operation import MOVE, RESTART, Rules, Step
from supervisor.simulation import agreement
from supervisor.simulation.control import Control, Row
from supervisor.simulation.engine import Engine
from supervisor.simulation.feature import DEFINITION, SWORM
from supervisor.simulation.oracles import Violation, broken
from supervisor.simulation.promises import Promises, strike
from supervisor.simulation.safety import Safety
from supervisor.simulation.world import World

NODES = ("n1", "n2", "n3", "n4")
NAMES = tuple(f"room{number}" for number in range(6))
OPERATIONS = ("handoff", "migrate", "rebalance", "restart", "drain", "cancelled", "cancelled drain")
FAULTS = ("die", "replace", "crash", "pause", "cut")

#: Virtual seconds within which an operation, and a process that lost its node, must come to their ends; and those
#: after which the cluster is judged for the first time.
ENDS_WITHIN, HEALS_WITHIN, AT_REST = 120.0, 40.0, 4.0


class Prompt:
    """Workers that do what they are told, within so many seconds each time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def fails_to_start(self, name: str) -> bool:
        """They start."""
        return False

    def fails_to_give(self, name: str) -> bool:
        """They give their state."""
        return False

    def start_time(self) -> float:
        """Seconds that `init` takes."""
        return self.seconds

    def stop_time(self) -> float:
        """Seconds that `terminate` takes."""
        return self.seconds

    def state_time(self) -> float:
        """Seconds that `begin_handoff` takes."""
        return self.seconds


class Deeds:
    """One cluster with six processes, and one operation under way."""

    def __init__(self, operation: str, fault: str, nth: int, seed: int = 0) -> None:
        """`nth`: the deed of the observer, from 0, before whose successor the fault strikes."""
        chance = random.Random(f"{operation}/{fault}/{nth}/{seed}")
        self.world = world = World(seed)
        world.plan = Prompt(0.4 if operation == "cancelled drain" else 0.02)
        self.control = Control(world, chance)
        self.control.at_point = self._point
        self.promises = Promises(world, self.control)
        self.promises.alone = True
        self.safety = Safety(world)
        world.watchers += [self.safety, self.promises.stepped]
        world.lookers += [self.safety.look]
        self.operation, self.fault, self.left = operation, fault, nth
        self.struck = False

    def run(self) -> bool:
        """Live through it; False when the operation was over before its n-th deed. Raises `Violation`."""
        world, control = self.world, self.control
        self._populate()
        control.start()
        world.run(0.5)
        control.courier.most_delay = control.random.choice([0.01, 0.3])
        row = self._begin()
        if self.operation.startswith("cancelled"):
            world.at(0.9 if self.operation == "cancelled" else 0.25, lambda: control.cancel(row))
        self.promises.ended(ENDS_WITHIN)
        control.stop()
        self._judge(row)
        return self.struck

    def _populate(self) -> None:
        world = self.world
        for name in NODES:
            world.start(name)
        world.run_until(lambda: all(host.node.member.ready for host in world.live()) and len(world.live()) > 3, 10.0)
        world.run(3.0)
        for host in world.live():
            world.step(host, Defined(DEFINITION))
        world.run(0.2)
        for name in NAMES:
            host = world.live()[len(name) % 2]
            spec = Spec("examples.counters:Counter")
            world.ask(host, Asked(f"register {name}", "register", SWORM, name, host.clock() + 5.0, name, spec))
        world.run(1.0)

    def _begin(self) -> Row:
        if self.operation.endswith("drain"):
            return self.control.begin_drain(self.world.live()[0].name, 10.0)
        facts = self.control.facts
        names = [name for name in NAMES if name in facts]
        goal, width, per_minute, strict, planned = {
            "handoff": (MOVE, 1, 0.0, True, False),
            "migrate": (MOVE, 2, 0.0, False, False),
            "rebalance": (MOVE, 2, 120.0, False, True),
            "restart": (RESTART, 1, 0.0, False, False),
            "cancelled": (MOVE, 1, 60.0, False, False),
        }[self.operation]
        if self.operation == "handoff":
            names = names[:1]
        elif self.operation != "restart":
            names = names[:3]
        to = {name: next(node for node in NODES if node != facts[name].node) for name in names}
        steps = [
            Step(number, SWORM, name, facts[name].node, facts[name].node if goal == RESTART else to[name])
            for number, name in enumerate(names)
        ]
        return self.control.begin(self.operation, steps, Rules(goal, width, per_minute, strict, planned))

    def _point(self, point: str, engine: Engine) -> None:
        if not self.control.rows or self.struck:
            return
        self.left -= 1
        if self.left < 0:
            self.struck = True
            strike(self.world, self.control, self.fault)

    def _judge(self, row: Row) -> None:
        world = self.world
        world.heal()
        for host in world.live():
            world.resume(host)
        left = self.world.hosts.get(row.origin)
        if row.state == "cancelled" and left is not None and left.up and left.node.context.draining:
            raise broken("cancel-stops", f"{row.origin} drains after its drain was cancelled")
        until = world.now + HEALS_WITHIN
        world.run(AT_REST)
        while not self._is_healed() and world.now < until:
            world.run(1.0)
        self._check()

    def _is_healed(self) -> bool:
        try:
            self._check()
        except Violation:
            return False
        return True

    def _check(self) -> None:
        world = self.world
        agreement.check_agreement(world)
        agreement.check_processes(world)
        agreement.check_replies(world)
        agreement.check_survival(world, {(SWORM, name) for name in NAMES})
