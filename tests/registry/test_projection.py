"""Replicas as rows: one entry, one row; and the least that must be written."""

from __future__ import annotations

from typing import Any

import msgspec

from registry.core.directory import CORDONED, DRAINING, OBSERVING
from registry.core.names import FAILED, GROUP, MOVED, Key, Registration, Spec
from registry.projection import Mirror, ProcessRow, node_rows, process_row
from tests.registry.rows import entry, member, replica, spec

N1, N2 = "n1.1", "n2.1"


def row_of(registration: Registration) -> ProcessRow:
    return process_row("s", "a", replica("s", {N1: {"a": registration}}).index["a"])


def test_a_row_says_what_the_entry_says() -> None:
    row = row_of(entry(serial=7, epoch=9, restarts=2, spec=spec(args=[1, b"\x00"], meta={"b": 1, "a": 2})))
    assert (row.sworm, row.name, row.pid, row.node, row.epoch, row.restarts) == ("s", "a", "n1.1.7", "n1", 9, 2)
    assert (row.target, row.isolation, row.state) == ("examples.counters:Counter", "task", "running")
    assert msgspec.json.decode(row.args) == [1, {"$bytes": "AA=="}]
    assert row.meta == '{"a":2,"b":1}'


def test_a_committed_move_is_shown_as_handing_off() -> None:
    assert row_of(entry(state=MOVED, to=N2)).state == "handing_off"
    assert row_of(entry(state=FAILED)).state == "failed"


def test_an_entry_without_a_spec_or_with_nonsense_in_it_still_has_a_row() -> None:
    assert row_of(entry(spec=None)).target == ""
    row = row_of(entry(spec=Spec("m:f", b"\xc1", "task", b"\xc1"), started_at=-5))
    assert (row.args, row.kwargs, row.meta, row.started_at) == ("[]", "{}", "{}", 0)


def test_a_foreign_clock_cannot_break_a_column() -> None:
    assert row_of(entry(started_at=2**60, restarts=2**40)).started_at == 253_402_300_799_000


def test_only_differences_are_written() -> None:
    mirror = Mirror()
    one = replica("s", {N1: {"a": entry(1), "b": entry(2)}})
    batch = mirror.compare({"s": one}, {"s": {"a", "b", "never"}})
    assert {row.name for row in batch.upserts} == {"a", "b"}
    assert batch.removed == []
    mirror.written(batch)
    assert not mirror.compare_all({"s": one})
    one.write(N1, {"a": None, "b": entry(2, restarts=1)})
    batch = mirror.compare({"s": one}, {"s": {"a", "b"}})
    assert batch.removed == [("s", "a")]
    assert [row.restarts for row in batch.upserts] == [1]


def test_reconciliation_finds_rows_of_sworms_that_are_gone() -> None:
    mirror = Mirror([process_row("old", "x", replica("old", {N1: {"x": entry()}}).index["x"])])
    assert mirror.compare_all({}).removed == [("old", "x")]


def test_entries_at_a_dead_origin_have_no_row() -> None:
    one = replica("s", {N1: {"a": entry(1)}, N2: {"b": entry(1)}})
    mirror = Mirror()
    mirror.written(mirror.compare_all({"s": one}))
    one.set_dead(N1, True)
    assert mirror.compare({"s": one}, {"s": one.changed}).removed == [("s", "a")]


def test_a_node_row_follows_its_newest_incarnation_and_observers_are_no_nodes() -> None:
    rows = node_rows([member("n1.5"), member("n1.4", "dead"), member("observer.1", status=OBSERVING)], {"n1": 3})
    assert list(rows) == ["n1"]
    assert (rows["n1"].incarnation, rows["n1"].status, rows["n1"].processes) == (5, "alive", 3)


def test_status_in_the_words_of_rest() -> None:
    members = [
        member("n1.1", status=DRAINING), member("n2.1", "suspect", status=DRAINING), member("n3.1", status=CORDONED),
        member("n4.1", "dead"), member("n5.1", "left"),
    ]  # fmt: skip
    rows = node_rows(members, {})
    assert [rows[name].status for name in sorted(rows)] == ["draining", "suspect", "alive", "dead", "left"]
    assert [rows[name].cordoned for name in sorted(rows)] == [False, False, True, False, False]


def test_nodes_are_counted_as_they_will_be_once_the_batch_is_written() -> None:
    mirror = Mirror()
    one = replica("s", {N1: {"a": entry(1), "b": entry(2)}, N2: {"c": entry(1)}})
    members = [member(N1), member(N2)]
    batch = mirror.compare_all({"s": one})
    mirror.compare_nodes(batch, members, {})
    assert {row.name: row.processes for row in batch.nodes} == {"n1": 2, "n2": 1}
    mirror.written(batch)
    one.write(N1, {"a": None})
    one.write(N2, {"a": entry(2, epoch=2)})
    batch = mirror.compare({"s": one}, {"s": {"a"}})
    mirror.compare_nodes(batch, members, {})
    assert {row.name: row.processes for row in batch.nodes} == {"n1": 1, "n2": 2}


def test_a_beat_alone_changes_no_node() -> None:
    mirror = Mirror()
    batch = mirror.compare_all({})
    mirror.compare_nodes(batch, [member(N1)], {})
    mirror.written(batch)
    batch = mirror.compare_all({})
    mirror.compare_nodes(batch, [member(N1)._replace(heard_at=99.0)], {})
    assert not batch


def test_a_node_that_ended_unseen_is_dead_and_one_that_left_stays_left() -> None:
    mirror = Mirror(nodes=node_rows([member("n1.1"), member("n2.1", "left")], {}).values())
    batch = mirror.compare_all({})
    mirror.compare_nodes(batch, [], {})
    assert [(row.name, row.status) for row in batch.nodes] == [("n1", "dead")]


def test_a_node_that_left_and_was_forgotten_between_two_looks_has_left() -> None:
    mirror = Mirror(nodes=node_rows([member("n1.5"), member("n2.5")], {}).values())
    batch = mirror.compare_all({})
    mirror.compare_nodes(batch, [], {"n1": 5, "n2": 4})
    assert [(row.name, row.status) for row in batch.nodes] == [("n1", "left"), ("n2", "dead")]


def test_an_earlier_incarnation_whose_processes_wait_is_not_shown_in_place_of_a_forgotten_later_one() -> None:
    mirror = Mirror(nodes=node_rows([member("n1.5")], {}).values())
    earlier, later = member("n1.4")._replace(state="dead"), member("n1.6")
    batch = mirror.compare_all({})
    mirror.compare_nodes(batch, [earlier], {"n1": 5})
    assert [(row.incarnation, row.status) for row in batch.nodes] == [(5, "left")]
    mirror.compare_nodes(batch, [earlier, later], {"n1": 5})
    assert [(row.incarnation, row.status) for row in batch.nodes] == [(6, "alive")]
    mirror.compare_nodes(batch, [member("n1.4")], {})  # a cluster of its own, with an earlier clock
    assert [(row.incarnation, row.status) for row in batch.nodes] == [(4, "alive")]


# ------------------------------------------------------------------------------------------- further names and groups


def tied(serial: int = 1) -> dict[Key, Any]:
    """A process that is found as a, and as b too; it is in two groups."""
    pid = f"n1.1.{serial}"
    own = entry(serial)
    return {"a": own, "b": own._replace(spec=None, of="a", epoch=2), (GROUP, "g", pid): "a", (GROUP, "h", pid): "a"}


def test_a_further_name_shows_what_runs_under_the_own_one_and_the_own_one_the_groups() -> None:
    mirror = Mirror()
    one = replica("s", {N1: tied()})
    batch = mirror.compare_all({"s": one})
    rows = {row.name: row for row in batch.upserts}
    assert rows["a"].target == rows["b"].target == "examples.counters:Counter"
    assert (rows["a"].groups, rows["b"].groups) == (("g", "h"), ())
    assert rows["a"].pid == rows["b"].pid
    assert (rows["a"].of, rows["b"].of) == ("", "a")
    assert batch.joined == {("s", "g", "n1.1.1"): "a", ("s", "h", "n1.1.1"): "a"}


def test_a_process_counts_once_however_many_names_it_has() -> None:
    mirror = Mirror()
    one = replica("s", {N1: tied() | {"c": entry(2)}})
    counts = []
    for change in ({}, {"b": None}, {"a": None}, {"c": None}):
        one.write(N1, change)
        batch = mirror.compare_all({"s": one})
        mirror.compare_nodes(batch, [member(N1)], {})
        mirror.written(batch)
        counts.append(mirror.nodes["n1"].processes)
    assert counts == [2, 2, 1, 0]


def test_memberships_follow_a_restart_a_leave_and_the_end() -> None:
    mirror = Mirror()
    one = replica("s", {N1: tied()})
    mirror.written(mirror.compare_all({"s": one}))
    assert not mirror.compare_all({"s": one})
    gone: dict[Key, Any] = dict.fromkeys(key for key in tied() if not isinstance(key, str))
    one.write(N1, gone | tied(2))
    batch = mirror.compare_all({"s": one})
    assert batch.left == {("s", "g", "n1.1.1"), ("s", "h", "n1.1.1")}
    assert batch.joined == {("s", "g", "n1.1.2"): "a", ("s", "h", "n1.1.2"): "a"}
    mirror.written(batch)
    one.write(N1, {(GROUP, "g", "n1.1.2"): None})
    batch = mirror.compare(({"s": one}), {"s": one.changed})
    assert (batch.left, batch.joined) == ({("s", "g", "n1.1.2")}, {})
    mirror.written(batch)
    one.write(N1, dict.fromkeys(tied(2)))
    batch = mirror.compare_all({"s": one})
    assert (batch.left, sorted(batch.removed)) == ({("s", "h", "n1.1.2")}, [("s", "a"), ("s", "b")])
