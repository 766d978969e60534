"""Which processes of a sworm should move, and where: the plan, not the moving.

Law: pure; equal arguments give equal plans. A plan moves a process at most once, only to a candidate, and only for a
reason that it states; carried out whole, it leaves nothing that the same strategy would still move. Active
redistribution and an operator's rebalance both ask here.

    moves = plan(processes, candidates, "least_loaded", Limits(most=10, dwell=60.0), now)
    for move in moves: hand off move.name of move.sworm from move.source to move.target

`uniform`, `uniform_random` and a user's own strategy want each process at one node, whatever the others do. For
`least_loaded` a process moves only where the target, having taken it, carries less than the source did before it: each
move makes the most loaded node of the two less loaded, so that it ends, and what it balanced it does not move back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from supervisor.core.strategies import LEAST_LOADED, Candidate, Strategy, load, wish


class Placed(NamedTuple):
    """A process as it stands."""

    sworm: str
    name: str
    node: str
    epoch: int
    since: float  #: when this incarnation began, in seconds since 1970: `epoch / 1e6` will do
    claim: str = ""  #: id of the claim that registered it; `uniform_random` needs it


class Limits(NamedTuple):
    """How much may move now."""

    most: int = 1_000_000  #: moves in one plan
    dwell: float = 0.0  #: seconds that a process stays where it is before it may be moved again


class Move(NamedTuple):
    """One process that should move, and why, as a sentence for people."""

    sworm: str
    name: str
    source: str
    target: str
    why: str


def plan(
    processes: Iterable[Placed], candidates: Sequence[Candidate], strategy: str | Strategy, limits: Limits, now: float
) -> list[Move]:
    """The moves that bring one sworm's processes to where its strategy wants them.

    `processes`: all that may move, of one sworm: running, of no move under way. `candidates`: the nodes that are
    eligible for it, with the processes of all sworms counted, these included; without any, nothing moves. A process
    whose node is no candidate moves first, whatever the strategy. `strategy`: a built-in's name, or a user's own
    function, of which nothing is caught here. `now`: seconds since 1970. Raises `ValueError` for an unknown name.
    """
    if not candidates:
        return []
    by_node = {candidate.node: candidate for candidate in sorted(candidates, key=lambda candidate: candidate.node)}
    movable = sorted(process for process in processes if now - process.since >= limits.dwell)
    stranded = [process for process in movable if process.node not in by_node]
    settled = [process for process in movable if process.node in by_node]
    if strategy == LEAST_LOADED:
        return _level(stranded, settled, by_node, limits.most)
    moves: list[Move] = []
    for process in [*stranded, *settled]:
        if len(moves) >= limits.most:
            break
        target = _wish(strategy, process, list(by_node.values()))
        if target and target != process.node:
            why = _stranded(process) if process.node not in by_node else f"its strategy wants it at {target}"
            moves.append(Move(process.sworm, process.name, process.node, target, why))
            by_node = _moved(by_node, process.node, target)
    return moves


def _wish(strategy: str | Strategy, process: Placed, candidates: list[Candidate]) -> str:
    if isinstance(strategy, str):
        return wish(strategy, process.name, process.claim, candidates)
    return strategy(process.name, candidates) or ""


def _stranded(process: Placed) -> str:
    return f"{process.node} may not run it: it is not up, does not host the sworm or does not meet its constraints"


def _moved(by_node: dict[str, Candidate], source: str, target: str) -> dict[str, Candidate]:
    """The candidates after one move."""
    changed = dict(by_node)
    for node, by in ((source, -1), (target, 1)):
        if node in changed:
            changed[node] = changed[node]._replace(processes=max(0, changed[node].processes + by))
    return changed


def _level(stranded: list[Placed], settled: list[Placed], by_node: dict[str, Candidate], most: int) -> list[Move]:
    """Level out the loads: the stranded first, then one by one from whoever carries the most for its capacity."""
    moves: list[Move] = []
    for process in stranded[:most]:
        target = wish(LEAST_LOADED, process.name, process.claim, list(by_node.values()))
        moves.append(Move(process.sworm, process.name, process.node, target, _stranded(process)))
        by_node = _moved(by_node, process.node, target)
    waiting: dict[str, list[Placed]] = defaultdict(list)
    for process in sorted(settled, reverse=True):
        waiting[process.node].append(process)
    while len(moves) < most and waiting:
        source = max(waiting, key=lambda node: (load(by_node[node]), node))
        process = waiting[source][-1]
        target = wish(LEAST_LOADED, process.name, process.claim, list(by_node.values()))
        if load(by_node[target], 1) >= load(by_node[source]):
            del waiting[source]
            continue
        waiting[source].pop()
        if not waiting[source]:
            del waiting[source]
        why = f"{source} carries {_load(by_node[source])}, {target} {_load(by_node[target])}"
        moves.append(Move(process.sworm, process.name, source, target, why))
        by_node = _moved(by_node, source, target)
    return moves


def _load(candidate: Candidate) -> str:
    return f"{candidate.processes} for a capacity of {candidate.capacity:g}"
