"""Where a strategy wants a process: pure functions of its name and the candidates.

Law: equal arguments give equal wishes, on every node. `uniform` looks at the name only; `uniform_random` at the name
and the claim that registered it: each registration draws anew, and wants to stay where it was drawn to through moves
and restarts. Both are rendezvous hashes (Thaler and Ravishankar, 1998): a node that comes takes its share, a node that
goes gives up its own, and nothing else wants to move. `least_loaded` looks at counts and capacities, and at the name
only between equals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

UNIFORM = "uniform"
UNIFORM_QUORUM = "uniform_quorum"  #: places as `uniform`
UNIFORM_RANDOM = "uniform_random"
LEAST_LOADED = "least_loaded"


class Candidate(NamedTuple):
    """A node that may take a process: it is up, hosts the sworm, and meets its constraints."""

    node: str
    labels: Mapping[str, str] = {}
    capacity: float = 1.0  #: above 0; one with 2 takes twice the processes of one with 1
    processes: int = 0  #: that it lists now, of all sworms


#: A user's own strategy: (name, candidates by node) -> a candidate's node; None: none of them.
Strategy = Callable[[str, Sequence[Candidate]], str | None]


def weigh(node: str, text: str) -> bytes:
    """A node's weight for a text, 8 bytes; the heaviest takes it."""
    return blake2b(node.encode() + b"\0" + text.encode(), digest_size=8).digest()


def heaviest(text: str, nodes: Iterable[str]) -> str:
    """The node that rendezvous hashing gives a text to; empty when there is none."""
    return max(((weigh(node, text), node) for node in nodes), default=(b"", ""))[1]


def load(candidate: Candidate, more: int = 0) -> float:
    """Processes for each unit of capacity, with so many more."""
    return (candidate.processes + more) / candidate.capacity


def wish(strategy: str, name: str, claim: str, candidates: Sequence[Candidate]) -> str:
    """The node where a built-in strategy wants a new process; empty without candidates.

    `claim`: id of the claim that registered the name. Raises `ValueError` for a strategy that is not built in.
    """
    if not candidates:
        return ""
    if strategy in (UNIFORM, UNIFORM_QUORUM):
        return heaviest(name, (candidate.node for candidate in candidates))
    if strategy == UNIFORM_RANDOM:
        return heaviest(f"{name}\0{claim}", (candidate.node for candidate in candidates))
    if strategy == LEAST_LOADED:
        least = min(load(candidate, 1) for candidate in candidates)
        return heaviest(name, (candidate.node for candidate in candidates if load(candidate, 1) <= least))
    raise ValueError(f"{strategy!r} is not a strategy of this version")
