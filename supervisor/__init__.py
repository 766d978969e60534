"""Sworm's public Python API, and the half of the system that runs processes.

Law: importing this package imports nothing. The public names are resolved at their first use (PEP 562), so that
`supervisor.core` loads only the standard library, whoever asks for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisor.core.strategies import Candidate
    from supervisor.errors import (
        AlreadyStarted,
        BadDefinition,
        BadValue,
        CallError,
        CallTimeout,
        Deadlock,
        LinkLost,
        NoAnswer,
        NoNode,
        NotHandled,
        NotRegistered,
        Refused,
        StartError,
        StrategyFailed,
        SwormError,
        TargetNotAllowed,
        TargetNotFound,
        WorkerCrashed,
    )
    from supervisor.sworm import Sworm
    from supervisor.workers.base import Worker
    from supervisor.workers.scope import current

_ERRORS = (
    "AlreadyStarted", "BadDefinition", "BadValue", "CallError", "CallTimeout", "Deadlock", "LinkLost", "NoAnswer",
    "NoNode", "NotHandled", "NotRegistered", "Refused", "StartError", "StrategyFailed", "SwormError",
    "TargetNotAllowed", "TargetNotFound", "WorkerCrashed",
)  # fmt: skip

_HOMES = {
    "Candidate": "supervisor.core.strategies",
    "Sworm": "supervisor.sworm",
    "Worker": "supervisor.workers.base",
    "current": "supervisor.workers.scope",
    **dict.fromkeys(_ERRORS, "supervisor.errors"),
}

__all__ = [
    "AlreadyStarted",
    "BadDefinition",
    "BadValue",
    "CallError",
    "CallTimeout",
    "Candidate",
    "Deadlock",
    "LinkLost",
    "NoAnswer",
    "NoNode",
    "NotHandled",
    "NotRegistered",
    "Refused",
    "StartError",
    "StrategyFailed",
    "Sworm",
    "SwormError",
    "TargetNotAllowed",
    "TargetNotFound",
    "Worker",
    "WorkerCrashed",
    "current",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
