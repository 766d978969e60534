"""Commands from the control plane to simulated nodes: a broker that delays, repeats and loses.

Law: as `supervisor.client` and `supervisor.commands_in` do it. The nodes of a command are asked one after the other,
each for its share of the time, under one claim; a node obeys a command once, only for the incarnation that is meant
and before its deadline; the first answer of a node that took it up counts, also when it comes late.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from registry.core.ids import Origin, incarnation_of, node_of
from supervisor.core.events import Asked, DrainAsked, DrainCancelled, Reply
from supervisor.core.operation import Step
from supervisor.errors import NotRegistered
from supervisor.simulation.feature import SWORM
from supervisor.simulation.world import Host, World

#: Virtual seconds that a command has in all.
COMMAND = 20.0

#: Nodes that are asked at most.
MOST_NODES = 3

#: Called with a problem's code, empty when it was done, and a sentence.
Then = Callable[[str, str], None]

#: What a node does with a command: (host, id, deadline, how it answers).
Obey = Callable[[Host, str, float, Then], None]


class Courier:
    """The broker. Faults are probabilities for each message."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.random = chance
        self.loss = self.repeat = 0.0
        self.most_delay = 0.01
        self.done: dict[str, list[tuple[Step, Reply]]] = {}  #: {operation/step: what nodes did for it}
        self.obeyed: set[str] = set()  #: ids of commands that a node took up: what comes twice is obeyed once
        self._number = 0

    def send(self, kind: str, step: Step, claim: str, nodes: list[tuple[str, int]], then: Then) -> None:
        """Send a command about a process; `then` hears how it ended, once."""

        def obey(host: Host, request: str, deadline: float, answer: Then) -> None:
            self.world.expected[request] = partial(self._replied, step, claim, answer)
            to = step.to if kind == "move" else ""
            self.world.ask(host, Asked(request, kind, SWORM, step.name, deadline, claim, None, step.pid, to))

        _Round(self, obey, claim, nodes[:MOST_NODES], COMMAND, then).next()

    def command(self, obey: Callable[[Host], str], origin: Origin, seconds: float, then: Then) -> None:
        """Send a command about a node; `obey` does it there, and returns a problem's code or nothing."""

        def at(host: Host, request: str, deadline: float, answer: Then) -> None:
            answer(obey(host), "as told")

        _Round(self, at, "node", [(node_of(origin), incarnation_of(origin))], seconds, then).next()

    def carry(self, action: Callable[[], None]) -> None:
        """One message on its way."""
        for _ in range(1 + (self.random.random() < self.repeat)):
            if self.random.random() >= self.loss:
                self.world.at(self.random.uniform(0.0, self.most_delay), action)

    def request(self, claim: str) -> str:
        """An id for one attempt of a command."""
        self._number += 1
        return f"command{self._number}/{claim}"

    def _replied(self, step: Step, claim: str, answer: Then, reply: Reply) -> None:
        if reply.result in ("done", "granted"):
            self.done.setdefault(claim.rpartition("/")[0], []).append((step, reply))
        code = {"done": "", "granted": "", "not_registered": "unknown_process"}.get(reply.result)
        if code is None:
            code = "no_answer" if reply.result == "no_answer" else _known(reply.problem)
        answer(code, NotRegistered().detail if code == "unknown_process" else reply.detail)


class _Round:
    def __init__(
        self, courier: Courier, obey: Obey, claim: str, nodes: list[tuple[str, int]], seconds: float, then: Then
    ) -> None:
        self.courier, self.obey, self.claim, self.nodes, self.then = courier, obey, claim, nodes, then
        self.deadline = courier.world.now + seconds
        self.over = False
        self.attempt = 0

    def next(self) -> None:
        """Ask the next node."""
        world = self.courier.world
        left = self.deadline - world.now
        if not self.nodes or left <= 0:
            self.end("no_answer", "nobody answered in time")
            return
        share = left / len(self.nodes)
        name, incarnation = self.nodes.pop(0)
        self.attempt += 1
        request = self.courier.request(self.claim)
        self.courier.carry(lambda: self.arrive(request, name, incarnation))
        world.at(share, partial(self.patience_ends, self.attempt))

    def patience_ends(self, attempt: int) -> None:
        """Its share of the time is over."""
        if not self.over and attempt == self.attempt:
            self.next()

    def arrive(self, request: str, name: str, incarnation: int) -> None:
        """A command has come to a node."""
        host = self.courier.world.host(name)
        if host is None:
            return
        if host.paused:
            host.backlog.append(lambda: self.arrive(request, name, incarnation))
        elif host.origin != f"{name}.{incarnation}":
            self.answer("no_node", f"{name} is {host.origin}", begun=False)
        elif host.clock() >= self.deadline:
            self.answer("no_answer", "it came too late", begun=False)
        elif request not in self.courier.obeyed:
            self.courier.obeyed.add(request)
            self.obey(host, request, self.deadline, self.answer)

    def answer(self, code: str, detail: str, begun: bool = True) -> None:
        """An answer goes back."""
        self.courier.carry(lambda: self.end(code, detail) if begun else self.refused(code, detail))

    def refused(self, code: str, detail: str) -> None:
        """A node did not begin."""
        if not self.over:
            self.next() if self.nodes else self.end(code, detail)

    def end(self, code: str, detail: str) -> None:
        """The first end counts."""
        if not self.over:
            self.over = True
            self.then(code, detail)


def drain_host(world: World, seconds: float, host: Host) -> str:
    """What an agent does when it is told to drain, and leave; it exits once its core says that it is empty."""
    world.step(host, DrainAsked(host.clock() + seconds))
    world.exit_when_drained(host)
    return ""


def cancel_drain(world: World, host: Host) -> str:
    """What an agent does when it is told to go on."""
    world.step(host, DrainCancelled())
    return "not_cancellable" if host.node.context.draining else ""


def _known(problem: str) -> str:
    """A node's short word as the control plane names it."""
    return {"busy": "no_node", "stopping": "no_node", "too_late": "no_answer"}.get(problem, problem or "refused")
