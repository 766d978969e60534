"""Entries and rows that several tests of the read model are made of."""

from __future__ import annotations

from typing import Any

import msgspec

from registry.core.directory import UP, NodeRecord
from registry.core.ids import incarnation_of, node_of
from registry.core.membership import MemberInfo
from registry.core.names import RUNNING, Registration, Spec
from registry.core.replica import Replica


def spec(target: str = "examples.counters:Counter", args: Any = None, meta: Any = None) -> Spec:
    packed = msgspec.msgpack.encode
    return Spec(target, b"" if args is None else packed([args, {}]), "task", b"" if meta is None else packed(meta))


def entry(serial: int = 1, epoch: int = 1, state: str = RUNNING, **more: Any) -> Registration:
    values: dict[str, Any] = {
        "serial": serial, "epoch": epoch, "claim": "c", "state": state, "majority": 1, "restarts": 0,
        "started_at": 1_763_906_329_123, "spec": spec(),
    }  # fmt: skip
    return Registration(**(values | more))


def replica(sworm: str, entries: dict[str, dict[str, Registration]]) -> Replica:
    """A replica with {origin: {name: registration}}."""
    made = Replica(sworm)
    for origin, names in entries.items():
        made.write(origin, names)
    return made


def member(origin: str, state: str = "alive", status: str = UP, **record: Any) -> MemberInfo:
    values: dict[str, Any] = {
        "url": f"ws://{origin}:1", "call_url": "", "status": status, "sworms": ["*"], "labels": {}, "capacity": 1.0,
        "refutation": 0, "started_at": 0, "os_pid": 1,
    }  # fmt: skip
    return MemberInfo(origin, node_of(origin), incarnation_of(origin), NodeRecord(**(values | record)), state, 1.0)
