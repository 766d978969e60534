"""Which processes of a sworm somebody means: those on a node, some by name, or all.

Law: reads the read model and changes nothing; whoever names something that is not there is told all that is not. A
further name has no turn of its own where it says `own`: it goes along with its process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from registry.models import Node, Process
from registry.problems import refused

#: Names that a refusal lists.
LISTED = 10


def on_node(sworm: str, node: str) -> list[Process]:
    """What runs of a sworm on a node; 422 when there is no such node."""
    refuse_unknown_node(node)
    return list(Process.own().filter(sworm=sworm, node=node).order_by("name"))


def all_of(sworm: str) -> list[Process]:
    """What runs of a sworm."""
    return list(Process.own().filter(sworm=sworm).order_by("name"))


def named(sworm: str, names: Sequence[str], node: str | None = None) -> list[Process]:
    """What is registered under these names; 422 with those that are not there, or not on `node`."""
    rows = Process.objects.filter(sworm=sworm).order_by("name")
    found = list(rows.filter(name__in=[name for name in names if "\x00" not in name]))
    unknown = sorted({*names} - {process.name for process in found})
    if unknown:
        raise refused("names", f"nothing is registered in {sworm} as {_listed(unknown)}")
    if node is not None:
        refuse_unknown_node(node)
        for process in found:
            if process.node != node:
                raise refused("names", f"{process.name!r} runs on {process.node}, not on {node}")
    return found


def own(sworm: str, names: Sequence[str]) -> list[Process]:
    """The same where each must be a process by its own name."""
    found = named(sworm, names)
    further = [process.name for process in found if process.of or not process.target]
    if further:
        raise refused("names", f"{_listed(further)}: a further name goes along with its process, name that")
    return found


def refuse_unknown_node(node: str) -> None:
    """422 for a node to leave that is not there."""
    if "\x00" in node or not Node.objects.filter(name=node, forgotten=False).exists():
        raise refused("from", f"no node is named {node!r}")


def _listed(names: Iterable[str]) -> str:
    all_ = list(names)
    more = f" and {len(all_) - LISTED} more" if len(all_) > LISTED else ""
    return ", ".join(map(repr, all_[:LISTED])) + more
