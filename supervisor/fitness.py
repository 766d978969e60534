"""Whether a node, as the read model shows it, may take a process of a sworm.

Law: the nodes decide; this is what they would say, for previews and early refusals. A sentence says what stands in the
way, None that nothing does.
"""

from __future__ import annotations

from collections.abc import Iterable

from registry.models import Node, Sworm
from supervisor.core.constraints import BadConstraint, Constraints, described, eligible, parse
from supervisor.core.strategies import LEAST_LOADED, UNIFORM, UNIFORM_QUORUM, Candidate

#: Statuses of nodes that take processes.
TAKING = ("alive",)

#: Strategies whose wishes can be told from the read model.
TOLD = (UNIFORM, UNIFORM_QUORUM, LEAST_LOADED)


def obstacle(sworm: str, node: Node) -> str | None:
    """Why a node may not take a process of a sworm now."""
    if node.status not in TAKING or node.cordoned:
        return f"{node.name} is {'cordoned' if node.cordoned else node.status} and takes no processes"
    if not hosts(node, sworm):
        return f"{node.name} does not host {sworm}"
    constraints = constraints_of(sworm)
    if not eligible(constraints, node.labels):
        labels = ", ".join(f"{label}={value}" for label, value in sorted(node.labels.items())) or "no labels"
        return f"{node.name} has {labels}; {sworm} wants a node where {described(constraints)}"
    return None


def hosts(node: Node, sworm: str) -> bool:
    """Whether a node was told to run a sworm's processes."""
    return "*" in node.sworms or sworm in node.sworms


def fit(sworm: str, statuses: Iterable[str] = TAKING) -> list[Node]:
    """The nodes that may take processes of a sworm."""
    constraints = constraints_of(sworm)
    rows = Node.objects.filter(forgotten=False, cordoned=False, status__in=tuple(statuses))
    rows = rows.defer("stats", "definitions")
    return [node for node in rows if hosts(node, sworm) and eligible(constraints, node.labels)]


def takers(sworm: str, statuses: Iterable[str] = TAKING) -> frozenset[str]:
    """Their names."""
    return frozenset(node.name for node in fit(sworm, statuses))


def candidate(node: Node) -> Candidate:
    """A node as strategies see it."""
    return Candidate(node.name, node.labels, node.capacity, node.processes)


def constraints_of(sworm: str) -> Constraints:
    """The demands of a sworm's definition; none when there is no definition, or one that no node could obey."""
    wanted = Sworm.objects.filter(name=sworm, deleted=False).values_list("constraints", flat=True).first()
    try:
        return parse(wanted or {})
    except BadConstraint:
        return ()
