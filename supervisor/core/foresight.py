"""Where a sworm's strategy wants names now: for whoever wants to know before anything is done.

Law: it changes nothing and promises nothing; it asks the same strategies about the same candidates as a registration or
a move would at this moment (`supervisor.core.choosing`). A definition on trial is asked whether its own strategy can be
used here at all, before anybody obeys it.
"""

from __future__ import annotations

from registry.core.ids import Origin
from supervisor.core.choosing import Choosing, listed
from supervisor.core.context import Context
from supervisor.core.events import Choose, Chosen, Foresee, Reply
from supervisor.core.placement import named
from supervisor.core.spec import STRATEGIES, Definition
from supervisor.core.strategies import Candidate, wish


class Foresight:
    """Answers `Foresee` with a `Reply` whose `nodes` are those wanted, one for each name."""

    def __init__(self, context: Context, choosing: Choosing) -> None:
        self.context = context
        self.choosing = choosing

    def ask(self, event: Foresee) -> None:
        """Say where; a user's own strategy is asked outside of the core."""
        if event.trial is not None:
            self._try(event, event.trial)
            return
        definition = self.context.definitions.get(event.sworm)
        if definition is None:
            self._refuse(event, "unknown_sworm", f"{self.context.member.node} knows no definition of {event.sworm}")
            return
        without = self._host(event.sworm, event.without)
        candidates = self.choosing.candidates(event.sworm, without)
        if not candidates:
            choice = self.choosing.nobody(event.sworm, without)
            self._refuse(event, choice.problem, choice.detail)
        elif definition.distribution_strategy in STRATEGIES:
            self._tell(event, self._wishes(event, definition.distribution_strategy, candidates))
        else:
            asked = frozenset(candidate.node for candidate in candidates)
            self.choosing.ask(event.sworm, event.names, candidates, lambda chosen: self._chosen(event, asked, chosen))

    def _host(self, sworm: str, node: str) -> Origin:
        return named([origin for origin, _ in self.context.placement.hosts(sworm)], node) if node else ""

    def _wishes(self, event: Foresee, strategy: str, candidates: list[Candidate]) -> tuple[str, ...]:
        """A built-in's wishes, each after the one before was granted."""
        index = self.context.replica(event.sworm).index
        by_node = {candidate.node: candidate for candidate in candidates}
        found = []
        for name in event.names:
            located = index.get(name)
            claim = located.entry.claim if located is not None else ""
            node = wish(strategy, name, claim, list(by_node.values()))
            by_node[node] = by_node[node]._replace(processes=by_node[node].processes + 1)
            found.append(node)
        return tuple(found)

    def _chosen(self, event: Foresee, asked: frozenset[str], chosen: Chosen) -> None:
        strange = next((node for node in chosen.nodes if node and node not in asked), "")
        if chosen.problem:
            self._refuse(event, "strategy_failed", chosen.problem)
        elif strange:
            detail = f"its strategy chose {strange!r}, which is none of {listed(asked)}"
            self._refuse(event, "strategy_failed", detail)
        else:
            self._tell(event, chosen.nodes)

    def _try(self, event: Foresee, trial: Definition) -> None:
        """Load a strategy, and ask it about nothing."""
        if trial.distribution_strategy in STRATEGIES:
            self._tell(event, ())
            return

        def then(chosen: Chosen) -> None:
            if chosen.problem:
                self._refuse(event, "strategy_failed", chosen.problem)
            else:
                self._tell(event, ())

        question = Choose("", trial.distribution_strategy, trial.allowed_modules, (), ())
        self.choosing.put(question, then)

    def _tell(self, event: Foresee, nodes: tuple[str, ...]) -> None:
        self.context.reply(Reply(event.request, "done", nodes=nodes))

    def _refuse(self, event: Foresee, problem: str, detail: str) -> None:
        self.context.reply(Reply(event.request, "refused", problem=problem, detail=detail))
