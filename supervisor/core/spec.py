"""The definition of a sworm as a node obeys it.

Law: a definition is a value with a revision; PostgreSQL writes it, agents only follow. A field that a node cannot obey
is refused where it enters (`check`), never stored and ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from registry.core.frozen import frozen
from registry.core.ids import BadName, check_slug
from supervisor.core.constraints import BadConstraint, of_definition
from supervisor.core.strategies import LEAST_LOADED, UNIFORM, UNIFORM_QUORUM, UNIFORM_RANDOM

PERMANENT = "permanent"
TRANSIENT = "transient"
TEMPORARY = "temporary"
RESTARTS = (PERMANENT, TRANSIENT, TEMPORARY)

STRATEGIES = (UNIFORM, UNIFORM_RANDOM, LEAST_LOADED, UNIFORM_QUORUM)
PASSIVE = "passive"
ACTIVE = "active"
REDISTRIBUTIONS = (PASSIVE, ACTIVE)
TASK = "task"
PROCESS = "process"
ISOLATIONS = (TASK, PROCESS)


class Definition(NamedTuple):
    """One sworm's settings at one revision. Field order is the wire's: add at the end, with a default."""

    name: str
    revision: int = 0
    restart: str = TRANSIENT
    max_restarts: int = 3
    max_seconds: float = 5.0
    handoff: bool = False
    handoff_timeout_ms: int = 5_000
    distribution_strategy: str = UNIFORM
    redistribution: str = PASSIVE
    sync_interval_ms: int = 300
    max_sync_size: int = 5_000  #: entries in one piece of a delta
    allowed_modules: tuple[str, ...] = ()  #: module prefixes; empty: whatever the agent allows
    isolation: str = TASK  #: of processes that do not say their own
    deleted: bool = False
    constraints: tuple[tuple[str, Any], ...] = ()  #: `supervisor.core.constraints`, frozen
    checkpoint_interval_ms: int = 0  #: between two checkpoints of a process; 0: none are made
    checkpoint_copies: int = 0  #: other nodes that keep each checkpoint; 0: none are made


#: Bounds of the numeric fields: (least, most).
BOUNDS: dict[str, tuple[float, float]] = {
    "max_restarts": (0, 1_000_000),
    "max_seconds": (0.1, 86_400),
    "handoff_timeout_ms": (10, 600_000),
    "sync_interval_ms": (20, 60_000),
    "max_sync_size": (1, 1_000_000),
    "checkpoint_interval_ms": (0, 86_400_000),
    "checkpoint_copies": (0, 8),
}

#: Shortest time between two checkpoints of a process, ms: each costs its worker a turn and its state on a link.
LEAST_CHECKPOINT_MS = 100

_CHOICES: dict[str, tuple[str, ...]] = {
    "restart": RESTARTS,
    "redistribution": REDISTRIBUTIONS,
    "isolation": ISOLATIONS,
}


def check(definition: Definition) -> dict[str, str]:
    """What is wrong with a definition: {field: sentence}; empty when a node can obey all of it."""
    wrong: dict[str, str] = {}
    try:
        check_slug(definition.name, "sworm name")
    except BadName as error:
        wrong["name"] = str(error)
    if definition.distribution_strategy not in STRATEGIES and (sentence := _wrong_with_strategy(definition)):
        wrong["distribution_strategy"] = sentence
    for field, choices in _CHOICES.items():
        value = getattr(definition, field)
        if value not in choices:
            wrong[field] = f"{value!r} is not one of {', '.join(choices)}"
    for field, (least, most) in BOUNDS.items():
        value = getattr(definition, field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            wrong[field] = f"{value!r} is not a number from {least} to {most}"
    try:
        of_definition(definition.constraints)
    except BadConstraint as error:
        wrong["constraints"] = str(error)
    return wrong or _check_checkpoints(definition)


def _check_checkpoints(definition: Definition) -> dict[str, str]:
    """The two fields of checkpoints have a meaning together only."""
    interval, copies = definition.checkpoint_interval_ms, definition.checkpoint_copies
    if 0 < interval < LEAST_CHECKPOINT_MS:
        return {"checkpoint_interval_ms": f"{interval!r} is neither 0 (none) nor at least {LEAST_CHECKPOINT_MS}"}
    if interval and not copies:
        return {"checkpoint_copies": "0 nodes would keep the checkpoints that checkpoint_interval_ms asks for"}
    if copies and not interval:
        return {"checkpoint_interval_ms": "0 would make none of the checkpoints that checkpoint_copies asks for"}
    return {}


def _wrong_with_strategy(definition: Definition) -> str:
    """Why a strategy that is not built in cannot be a user's own; empty when it can."""
    text = definition.distribution_strategy
    if not is_target(text):
        return f"{text!r} is not one of {', '.join(STRATEGIES)}, nor module:function of your own"
    module = text.partition(":")[0]
    if definition.allowed_modules and not allows(definition.allowed_modules, module):
        allowed = ", ".join(map(str, definition.allowed_modules))
        return f"{text!r}: module {module} is not among allowed_modules: {allowed}"
    return ""


def is_target(text: object) -> bool:
    """Whether a value has the form "module:identifier"."""
    if not isinstance(text, str):
        return False
    module, colon, identifier = text.partition(":")
    return bool(colon) and identifier.isidentifier() and all(part.isidentifier() for part in module.split("."))


def definition_of(fields: Iterable[Any]) -> Definition:
    """A definition out of its fields in the wire's order, with whatever kinds of arrays. Raises `TypeError`."""
    return Definition(*(frozen(value) for value in fields))


def allows(prefixes: tuple[str, ...], module: str) -> bool:
    """Whether a module is one of the prefixes or lies below one at a dot."""
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)
