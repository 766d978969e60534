"""A cluster of thirty nodes: it comes up, loses some, is cut, and is whole again, at a cost that stays bounded."""

from __future__ import annotations

from registry.core.names import Spec
from supervisor.core.events import Asked, Defined
from supervisor.simulation import agreement
from supervisor.simulation.deeds import Prompt
from supervisor.simulation.feature import DEFINITION, SWORM
from supervisor.simulation.oracles import Violation
from supervisor.simulation.safety import Safety
from supervisor.simulation.world import World

NODES, NAMES = 30, 60

#: Steps for each pair of nodes in this life, which takes some 110 of them; a node that told every other of every event
#: of every other would need thousands.
STEPS = 250


def judge(world: World) -> None:
    agreement.check_agreement(world)
    agreement.check_processes(world)
    agreement.check_replies(world)
    agreement.check_survival(world, {(SWORM, f"room{number}") for number in range(NAMES)})


def is_whole(world: World) -> bool:
    try:
        judge(world)
    except Violation:
        return False
    return True


def test_thirty_nodes_lose_some_are_cut_and_are_whole_again() -> None:
    world = World(30)
    world.plan = Prompt(0.02)
    safety = Safety(world)
    world.watchers.append(safety)
    world.lookers.append(safety.look)
    for number in range(NODES):
        world.start(f"n{number}")
    assert world.run_until(lambda: all(host.node.member.ready for host in world.live()), 20.0)
    for host in world.live():
        world.step(host, Defined(DEFINITION))
    world.run(0.5)
    for number in range(NAMES):
        host, name = world.live()[number % NODES], f"room{number}"
        spec = Spec("examples.counters:Counter")
        world.ask(host, Asked(name, "register", SWORM, name, host.clock() + 5.0, name, spec))
    world.run(1.0)
    assert {reply.result for replies in world.replies.values() for reply in replies} == {"started"}
    for host in world.live()[:3]:
        world.crash(host, silent=True)
    cut = {host.name for host in world.live()[:5]}
    world.partition(cut, {host.name for host in world.live()} - cut)
    world.run(4.0)
    world.heal()
    if not world.run_until(lambda: is_whole(world), 30.0):
        judge(world)
    assert world.steps < STEPS * NODES**2
