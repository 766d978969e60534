"""`./sworm down`: ends a cluster, agents before the servers that they talk through.

Law: it returns when nothing of what was ended runs any more. The cluster ends on purpose: workers are told `shutdown`
and no process is moved (SIGUSR1 to an agent means just that; SIGTERM would hand everything over). With `now` they are
killed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable

from swormweb.launch import parts
from swormweb.launch.cluster import Cluster
from swormweb.launch.folder import Folder
from swormweb.launch.process import end, wait_ended

#: How long each kind of part may take to end by itself, in seconds.
_AGENT_PATIENCE = 15.0
_PART_PATIENCE = 10.0
_SERVER_PATIENCE = 30.0

#: A launcher that watches goes by itself when nothing is left to watch; this is how long it is waited for.
_LAUNCHER_PATIENCE = 5.0

Say = Callable[[str], None]


def down(folder: Folder, now: bool, say: Say) -> None:
    """End everything that runs in this folder."""
    with folder.lock():
        cluster = Cluster(folder)
        cluster.state["stopping"] = True
        cluster.save()
        ended = stop(cluster, list(cluster.recorded()), now, say)
        if not ended:
            say(f"nothing of the cluster in {folder.path} was running")
        folder.remove_cluster()
        watchers = cluster.launchers()
        wait_ended(watchers, _LAUNCHER_PATIENCE)
        end(watchers, signal.SIGTERM, _LAUNCHER_PATIENCE)


def stop(cluster: Cluster, names: Iterable[str], now: bool, say: Say) -> list[str]:
    """End these parts in order; returns the names of those that ran."""
    chosen = set(names)
    agents = [name for name in cluster.recorded() if name not in _ORDER]
    ended: list[str] = []
    for group, number, patience in (
        (agents, signal.SIGKILL if now else signal.SIGUSR1, _AGENT_PATIENCE),
        ([parts.OBSERVER, parts.WEB], signal.SIGTERM, _PART_PATIENCE),
        ([parts.VALKEY], signal.SIGTERM, _SERVER_PATIENCE),
        ([parts.POSTGRES], signal.SIGINT, _SERVER_PATIENCE),
    ):
        ended += _stop_group(cluster, [name for name in group if name in chosen], number, patience, say)
    return ended


_ORDER = (parts.OBSERVER, parts.WEB, parts.VALKEY, parts.POSTGRES)


def _stop_group(cluster: Cluster, names: list[str], number: int, patience: float, say: Say) -> list[str]:
    living = {name: process for name in names if (process := cluster.running(name)) is not None}
    if living:
        say(f"stopping {', '.join(living)}")
    late = end(living.values(), number, patience)
    for name in names:
        if living.get(name) in late:
            say(f"{name} did not end within {patience:.0f} s and was killed")
        cluster.forget(name)
    return list(living)
