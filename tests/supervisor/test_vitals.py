"""What a node says of itself beside its figures."""

from __future__ import annotations

from registry.core.directory import UP, NodeRecord
from registry.core.membership import MemberInfo
from supervisor.vitals import by_relay


def member(node: str, relay: str = "") -> MemberInfo:
    record = NodeRecord("", "", UP, ["*"], {}, 1.0, 0, 0, 0)
    return MemberInfo(f"{node}.1", node, 1, record, "alive", 0.0, relay)


def test_whom_it_reaches_by_a_relay() -> None:
    assert by_relay([member("n1"), member("n2"), member("n3", "n2.1"), member("n5", "n2.1")]) == "n3 by n2, n5 by n2"
    assert by_relay([member("n1"), member("n2")]) == ""
