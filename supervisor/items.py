"""Processes as the answers to commands show them, and wishes as the node takes them.

Law: pure values in and out. Field names are those of the contract; arguments, states and meta were MessagePack when
they came and are decoded here once, for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from registry.core.ids import node_of
from registry.core.names import HANDING_OFF, MOVED, RUNNING, Located, Spec
from supervisor.core.events import Reply
from supervisor.core.node import Node
from supervisor.core.spec import ISOLATIONS
from supervisor.errors import BadValue
from supervisor.workers.values import pack, pack_arguments, unpack, unpack_arguments


def spec_of(item: dict[str, Any], isolation: str) -> Spec:
    """What shall run, out of a wish's fields; `isolation`: the sworm's own. Raises `BadValue`."""
    target = item.get("target")
    if not isinstance(target, str):
        raise BadValue(f"target must be a string as module:identifier, not {target!r:.100}")
    wanted = item.get("isolation") or isolation or ISOLATIONS[0]
    if wanted not in ISOLATIONS:
        raise BadValue(f"isolation {wanted!r:.100} is not one of {', '.join(ISOLATIONS)}")
    args: list[Any] = _field(item, "args", list)
    kwargs: dict[str, Any] = _field(item, "kwargs", dict)
    meta: dict[str, Any] = _field(item, "meta", dict)
    return Spec(target, pack_arguments(args, kwargs), wanted, pack(meta) if meta else b"")


def _field(item: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """A field that may be left out, or None. Raises `BadValue` for another type."""
    value = item.get(name)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise BadValue(f"{name} must be a {'list' if kind is list else 'map'}, not {value!r:.100}")
    return value


def shown_state(found: Located) -> str:
    """A registration's state as people see it."""
    return HANDING_OFF if found.entry.state == MOVED else found.entry.state


def process_item(sworm: str, name: str, found: Located, groups: Sequence[str] = ()) -> dict[str, Any]:
    """A process as GET shows it, with the version of the replica that says so."""
    entry, spec = found.entry, found.entry.spec or Spec("")
    args, kwargs = unpack_arguments(spec.args)
    return {
        "sworm": sworm,
        "name": name,
        "pid": found.pid,
        "node": node_of(found.origin),
        "epoch": entry.epoch,
        "state": shown_state(found),
        "target": spec.target,
        "args": args,
        "kwargs": kwargs,
        "isolation": spec.isolation,
        "groups": list(groups),
        "meta": unpack(spec.meta) if spec.meta else {},
        "restarts": entry.restarts,
        "started_at": entry.started_at / 1000,
    }


def registration_result(node: Node, sworm: str, name: str, reply: Reply) -> dict[str, Any]:
    """Where a wish ended: the pid, and the version at which a reader's copy shows it."""
    found = node.lookup(sworm, name)
    same = found is not None and found.pid == reply.pid
    return {
        "pid": reply.pid,
        "epoch": reply.epoch,
        "origin": reply.origin,
        "version": reply.version,
        "state": shown_state(found) if found is not None and same else RUNNING,
        "node": node_of(reply.pid or reply.origin),
        "already": reply.result == "already_started",
    }
