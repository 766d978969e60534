"""What becomes of a process when its worker ends: the restart table.

Law: intensity is counted per process; a worker that keeps crashing costs only itself. The table says everything; the
function below only looks it up.

    policy      ended normally   crashed   crashed too often
    permanent   restart          restart   fail
    transient   remove           restart   fail
    temporary   remove           remove    remove
"""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.core.spec import PERMANENT, TEMPORARY, TRANSIENT, Definition

RESTART = "restart"
REMOVE = "remove"
FAIL = "fail"

TABLE: dict[tuple[str, bool], str] = {
    (PERMANENT, True): RESTART,
    (PERMANENT, False): RESTART,
    (TRANSIENT, True): REMOVE,
    (TRANSIENT, False): RESTART,
    (TEMPORARY, True): REMOVE,
    (TEMPORARY, False): REMOVE,
}

#: Back-off before the n-th restart within the window: none before the first, then doubling up to the cap; seconds.
FIRST_DELAY = 0.05
MOST_DELAY = 5.0


def after_exit(definition: Definition, normal: bool, restarts: Sequence[float], now: float) -> str:
    """restart, remove or fail; `restarts` are the times of the earlier restarts, seconds."""
    verdict = TABLE[definition.restart, normal]
    if verdict == RESTART and len(recent(definition, restarts, now)) >= definition.max_restarts:
        return FAIL
    return verdict


def recent(definition: Definition, restarts: Sequence[float], now: float) -> list[float]:
    """The restarts that still count."""
    return [at for at in restarts if now - at < definition.max_seconds]


def delay(count: int) -> float:
    """Seconds to wait before a restart when `count` restarts still count."""
    return 0.0 if count == 0 else min(MOST_DELAY, FIRST_DELAY * 2 ** min(count - 1, 10))
