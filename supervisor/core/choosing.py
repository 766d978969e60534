"""Chooses the node for one process: who is eligible, what they carry, and what the strategy says.

Law: a choice is one of the nodes that are eligible at that moment, or none, and says why. A strategy that is built in
answers at once; a user's own is asked outside of the core, answers `late`, and whoever asked looks again at whether it
still decides. What it cannot answer is an error for who registers, and `fallback` for a process that must go somewhere:
the heaviest eligible node. Counts are kept by whoever merges entries, and what an arbiter has ordered and not seen yet
counts too, so that a choice costs the same however many processes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from registry.core.events import Report
from registry.core.ids import Origin, node_of
from registry.core.membership import record_of
from supervisor.core.constraints import Constraints, described, of_definition
from supervisor.core.context import Context
from supervisor.core.events import Choose, Chosen
from supervisor.core.placement import named
from supervisor.core.spec import STRATEGIES, Definition
from supervisor.core.strategies import UNIFORM, UNIFORM_QUORUM, Candidate, wish


class Choice(NamedTuple):
    """Where a process goes; without a host, `problem` is a short word and `detail` a sentence."""

    host: Origin
    problem: str = ""
    detail: str = ""
    late: bool = False  #: time has passed since it was asked for


Then = Callable[[Choice], None]


class Question(NamedTuple):
    """What a user's own strategy was asked."""

    sworm: str
    name: str
    claim: str
    asked: frozenset[str]  #: nodes that it may say
    without: Origin
    fallback: bool
    then: Then


class Choosing:
    """The choices of one node."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.open: dict[str, Callable[[Chosen], None]] = {}
        self._number = 0
        self._told: dict[str, str] = {}  #: sworm -> what people were told last of its strategy
        self.coming: dict[Origin, int] = {}  #: processes on their way to a node by this node's orders

    def expect(self, host: Origin, by: int) -> None:
        """So many more processes are on their way to a node; -1 when one has arrived, or will not come."""
        count = self.coming.get(host, 0) + by
        if count > 0:
            self.coming[host] = count
        else:
            self.coming.pop(host, None)

    def constraints(self, sworm: str) -> Constraints:
        """The demands of a sworm's definition, as this node knows it."""
        return of_definition(self._definition(sworm).constraints)

    def eligible(self, sworm: str) -> list[Origin]:
        """The nodes that may take a process of a sworm now."""
        return self.context.placement.eligible(sworm, self.constraints(sworm))

    def candidates(self, sworm: str, without: Origin = "") -> list[Candidate]:
        """The same with what a strategy looks at, by node."""
        placement, counts = self.context.placement, self.context.member.repair.processes
        found = [
            Candidate(
                node_of(origin),
                placement.labels(origin),
                placement.capacity(origin),
                counts.get(origin, 0) + self.coming.get(origin, 0),
            )
            for origin in self.eligible(sworm)
            if origin != without
        ]
        found.sort(key=lambda candidate: candidate.node)
        return found

    def choose(
        self, sworm: str, name: str, claim: str, then: Then, without: Origin = "", fallback: bool = False
    ) -> None:
        """Have the strategy choose; `then` is called once. `without`: the node that the process leaves."""
        definition = self._definition(sworm)
        strategy = definition.distribution_strategy
        if strategy in (UNIFORM, UNIFORM_QUORUM) and not definition.constraints and not without:
            host = self.context.placement.arbiter(sworm, name)
            then(Choice(host) if host else self.nobody(sworm))
            return
        candidates = self.candidates(sworm, without)
        if not candidates:
            then(self.nobody(sworm, without))
        elif strategy in STRATEGIES:
            then(self.at(sworm, wish(strategy, name, claim, candidates)))
        else:
            asked = frozenset(candidate.node for candidate in candidates)
            question = Question(sworm, name, claim, asked, without, fallback, then)
            self.ask(sworm, (name,), candidates, lambda event: self._answered(question, event))

    def ask(
        self, sworm: str, names: tuple[str, ...], candidates: list[Candidate], then: Callable[[Chosen], None]
    ) -> None:
        """Ask a sworm's own strategy about some names."""
        definition = self._definition(sworm)
        strategy, modules = definition.distribution_strategy, definition.allowed_modules
        self.put(Choose("", strategy, modules, names, tuple(candidates)), then)

    def put(self, question: Choose, then: Callable[[Chosen], None]) -> None:
        """Ask a strategy, whoever has it; the question gets its own number."""
        self._number += 1
        request = f"choose/{self._number}"
        self.open[request] = then
        self.context.out.append(replace(question, request=request))

    def on_chosen(self, event: Chosen) -> None:
        """The strategy has answered, or could not."""
        then = self.open.pop(event.request, None)
        if then is not None:
            then(event)

    def _answered(self, question: Question, event: Chosen) -> None:
        choice = self._judged(question, event)
        if choice is None:  # its answer was right when it was asked: the nodes have changed since
            _, name, claim, _, without, fallback, then = question
            self.choose(question.sworm, name, claim, lambda c: then(c._replace(late=True)), without, fallback)
        else:
            question.then(choice._replace(late=True))

    def _judged(self, question: Question, event: Chosen) -> Choice | None:
        sworm, node = question.sworm, event.nodes[0] if len(event.nodes) == 1 else ""
        strategy = self._definition(sworm).distribution_strategy
        problem = event.problem
        if not problem and node and node not in question.asked:
            problem = f"{strategy} chose {node!r} for {question.name!r}, which is none of {listed(question.asked)}"
        if problem:
            return self._failed(question, problem)
        if not node:
            detail = f"{strategy} wants none of {listed(question.asked)} for {question.name!r}"
            return Choice("", "no_node", detail)
        choice = self.at(sworm, node)
        return choice if choice.host else None

    def _failed(self, question: Question, problem: str) -> Choice:
        sworm = question.sworm
        self.tell(sworm, problem)
        if not question.fallback:
            return Choice("", "strategy_failed", problem)
        host = self.next_best(sworm, question.name, question.without)
        return Choice(host) if host else self.nobody(sworm, question.without)

    def next_best(self, sworm: str, name: str, without: Origin) -> Origin:
        """The heaviest node for a name among those eligible, whatever the strategy; empty when there is none."""
        fit = set(self.eligible(sworm)) - {without}
        return next((origin for origin in self.context.placement.order(sworm, name) if origin in fit), "")

    def tell(self, sworm: str, problem: str) -> None:
        """People hear of a strategy that fails, and of the same failure once."""
        if self._told.get(sworm) != problem:
            self._told[sworm] = problem
            self.context.out.append(Report("strategy_failed", sworm, node=self.context.member.node, detail=problem))

    def at(self, sworm: str, node: str, source: Origin = "") -> Choice:
        """A node by its name, as somebody wants it, if it may take a process of the sworm that `source` runs now."""
        host = named(self.eligible(sworm), node)
        if host and host != source:
            return Choice(host)
        return Choice("", "no_node", self._obstacle(sworm, node, source))

    def nobody(self, sworm: str, without: Origin = "") -> Choice:
        """No node may take the process, and why."""
        hosts = [origin for origin, _ in self.context.placement.hosts(sworm)]
        constraints = self.constraints(sworm)
        if hosts and constraints:
            return Choice("", "no_node", f"no node that is up and hosts {sworm} meets {described(constraints)}")
        other = "no other node" if without and hosts else "no node"
        return Choice("", "no_node", f"{other} that is up hosts {sworm}")

    def _obstacle(self, sworm: str, node: str, source: Origin) -> str:
        context = self.context
        origin = named([o for o, _ in context.placement.hosts(sworm)], node)
        if origin and origin == source:
            return f"{node} runs it already"
        if origin:
            labels = ", ".join(f"{k}={v}" for k, v in sorted(context.placement.labels(origin).items())) or "no labels"
            return f"{node} has {labels}; {sworm} wants a node where {described(self.constraints(sworm))}"
        known = [o for o in context.member.directory if node_of(o) == node and o not in context.member.dead]
        record = record_of(context.member.directory, known[0]) if known else None
        if record is not None and sworm not in record.sworms and "*" not in record.sworms:
            return f"{node} does not host {sworm}"
        return f"{node} takes no process of {sworm} now"

    def _definition(self, sworm: str) -> Definition:
        return self.context.definitions.get(sworm) or Definition(sworm)


def listed(nodes: Iterable[str]) -> str:
    """Nodes in words."""
    return ", ".join(sorted(nodes))
