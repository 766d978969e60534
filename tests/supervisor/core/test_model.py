"""Whole nodes, one to three of them without faults, against a reference that a child could check.

Law: whatever is asked for, in whatever order and at whichever node, the answers and what every node shows afterwards
are those of one dictionary. Time passes between two wishes; races are the simulator's business.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from registry.core.names import Spec
from supervisor.core.events import Asked, Defined, Reply
from supervisor.core.gate import OPEN
from supervisor.core.spec import PERMANENT, Definition
from supervisor.simulation.workers import Worker
from supervisor.simulation.world import Host, World

#: However often a worker crashes, it starts again at once: intensity is told elsewhere.
DEFINITION = Definition("rooms", 1, restart=PERMANENT, max_restarts=1_000_000, max_seconds=0.1, handoff=True)

NAMES = st.sampled_from(["a", "b", "c", "d"])
GROUPS = st.sampled_from(["odd", "even"])
NODES = st.integers(0, 2)


class Prompt:
    """Workers that do everything at once and never fail."""

    def fails_to_start(self, name: str) -> bool:
        return False

    def fails_to_give(self, name: str) -> bool:
        return False

    def start_time(self) -> float:
        return 0.001

    stop_time = state_time = start_time


class Nodes(RuleBasedStateMachine):
    """The cluster, and what must be true of it."""

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        self.world = World(0)
        self.world.plan = Prompt()
        self.hosts = [self.world.start(f"n{number}") for number in range(1, count + 1)]
        assert self.world.run_until(lambda: all(host.node.member.ready for host in self.hosts), 10.0)
        for host in self.hosts:
            self.world.step(host, Defined(DEFINITION))
        self.world.run(1.0)
        self.number = 0
        self.states: dict[str, set[str]] = {}  #: the reference: name -> state
        self.pids: dict[str, str] = {}  #: what the last answer or restart made of it
        self.groups: dict[str, set[str]] = {}  #: group -> names

    # ---------------------------------------------------------------------------------------------------------- wishes

    def ask(self, kind: str, name: str, node: int, to: str = "", group: str = "", pid: str = "") -> Reply:
        host = self.hosts[node % len(self.hosts)]
        self.number += 1
        request, deadline = f"{kind}{self.number}", host.clock() + 5.0
        spec = Spec("examples.counters:Counter") if kind == "register" else None
        self.world.ask(host, Asked(request, kind, "rooms", name, deadline, request, spec, pid, to, group))
        assert self.world.run_until(lambda: bool(self.world.replies[request]), 6.0)
        self.world.run(0.6)
        (reply,) = self.world.replies[request]
        return reply

    @rule(name=NAMES, node=NODES)
    def register(self, name: str, node: int) -> None:
        reply = self.ask("register", name, node)
        if name in self.states:
            assert (reply.result, reply.pid) == ("already_started", self.pids[name])
        else:
            assert reply.result == "started"
            self.states[name], self.pids[name] = set(), reply.pid

    @rule(name=NAMES, node=NODES)
    def unregister(self, name: str, node: int) -> None:
        reply = self.ask("unregister", name, node)
        assert reply.result == ("done" if name in self.states else "not_registered")
        self.states.pop(name, None)
        self.pids.pop(name, None)
        for names in self.groups.values():
            names.discard(name)

    @rule(name=NAMES, node=NODES)
    def unregister_another_incarnation(self, name: str, node: int) -> None:
        assert self.ask("unregister", name, node, pid="n1.1.999").result == "not_registered"

    @rule(name=NAMES, node=NODES, other=NODES)
    def move(self, name: str, node: int, other: int) -> None:
        to = self.hosts[other % len(self.hosts)]
        reply = self.ask("move", name, node, to=to.name)
        if name not in self.states:
            assert reply.result == "not_registered"
            return
        assert reply.result == "done"
        assert reply.pid.startswith(to.origin + ".")
        self.pids[name] = reply.pid

    @rule(name=NAMES, node=NODES)
    def restart(self, name: str, node: int) -> None:
        reply = self.ask("restart", name, node)
        assert reply.result == ("done" if name in self.states else "not_registered")
        if name in self.states:
            assert reply.pid != self.pids[name]
            self.states[name], self.pids[name] = set(), reply.pid

    @rule(name=NAMES, node=NODES, group=GROUPS)
    def join(self, name: str, node: int, group: str) -> None:
        reply = self.ask("join", name, node, group=group)
        assert (reply.result == "not_registered") == (name not in self.states)
        if name in self.states:
            self.groups.setdefault(group, set()).add(name)

    @rule(name=NAMES, node=NODES, group=GROUPS)
    def leave(self, name: str, node: int, group: str) -> None:
        self.ask("leave", name, node, group=group)
        self.groups.get(group, set()).discard(name)

    # --------------------------------------------------------------------------------------------------------- workers

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.states)))
        self.number += 1
        self.worker(name).state.add(f"x{self.number}")
        self.states[name].add(f"x{self.number}")

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.states)))
        worker = self.worker(name)
        self.world.hosts[worker.effect.pid.rpartition(".")[0]].workers.end(worker.effect.serial, False, "crashed")
        self.world.run(1.0)
        self.states[name] = set()
        self.pids[name] = self.worker(name).effect.pid

    def worker(self, name: str) -> Worker:
        (found,) = [w for host in self.hosts for w in host.workers.running() if w.effect.name == name]
        return found

    # ------------------------------------------------------------------------------------------------------- reference

    @invariant()
    def every_node_shows_the_reference(self) -> None:
        for host in getattr(self, "hosts", ()):
            index = host.node.replicas["rooms"].index if "rooms" in host.node.replicas else {}
            assert {name: located.pid for name, located in index.items()} == self.pids
            for group in ("odd", "even"):
                assert self.members(host, group) == self.groups.get(group, set())

    def members(self, host: Host, group: str) -> set[str]:
        replica = host.node.replicas.get("rooms")
        return {name for name, _ in replica.members(group)} if replica else set()

    @invariant()
    def what_runs_is_the_reference_with_its_state(self) -> None:
        running = [w for host in getattr(self, "hosts", ()) for w in host.workers.running()]
        assert {w.effect.name: w.state for w in running} == getattr(self, "states", {})
        assert all(w.gate.state == OPEN for w in running)


TestNodes = Nodes.TestCase
TestNodes.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
