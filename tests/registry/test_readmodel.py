"""The read model's SQL against a real PostgreSQL: terms, revisions, rows, history."""

from __future__ import annotations

import time

import pytest

from registry.models import (
    Counter,
    Event,
    Membership,
    Node,
    ObservedVersion,
    ObserverTerm,
    Process,
    Removal,
    ReplicaSnapshot,
    Sworm,
)
from registry.projection import Batch, Mirror, node_rows
from registry.readmodel import EventRow, ReadModel, SnapshotRow, Stats, TermLost, Work, packed
from tests.registry.rows import entry, member, replica, spec

pytestmark = pytest.mark.django_db

N1, N2 = "n1.1", "n2.1"


@pytest.fixture
def model() -> ReadModel:
    made = ReadModel("observer.1")
    assert made.take_term(made.read_term())
    return made


def rows(names: dict[str, dict[str, object]]) -> Batch:
    return Mirror().compare_all({"s": replica("s", names)})  # type: ignore[arg-type]


def write(model: ReadModel, **work: object) -> int:
    return model.write(Work(**work)).last  # type: ignore[arg-type]


def test_a_term_is_taken_once_from_the_state_that_was_seen(model: ReadModel) -> None:
    other = ReadModel("other.1")
    seen = other.read_term()
    assert seen is not None
    assert seen[:2] == (1, "observer.1")
    assert seen.age < 60
    assert other.take_term(seen)
    assert not ReadModel("third.1").take_term(seen)
    with pytest.raises(TermLost):
        model.renew_term()


def test_a_writer_without_its_term_writes_nothing(model: ReadModel) -> None:
    other = ReadModel("other.1")
    other.take_term(other.read_term())
    with pytest.raises(TermLost):
        write(model, rows=rows({N1: {"a": entry()}}), events=[EventRow(1.0, "started")])
    with pytest.raises(TermLost):
        model.write_seen(["n1"])
    assert not Process.objects.exists()
    assert Counter.objects.get().revision == 0


def test_a_released_term_is_old_at_once(model: ReadModel) -> None:
    model.release_term()
    term = model.read_term()
    assert term is not None
    assert (term.holder, term.age > 1e6) == ("", True)
    assert ReadModel("other.1").take_term(term)


def test_rows_of_one_write_share_a_revision_and_each_event_has_its_own(model: ReadModel) -> None:
    batch = rows({N1: {"a": entry(1), "b": entry(2)}})
    written = model.write(Work(rows=batch, events=[EventRow(1.0, "started", "s", "a"), EventRow(2.0, "crashed", "s")]))
    assert written == (1, 3)
    assert set(Process.objects.values_list("revision", flat=True)) == {1}
    assert list(Event.objects.values_list("revision", "kind")) == [(2, "started"), (3, "crashed")]
    assert model.revision() == 3


def test_a_row_comes_back_as_it_went(model: ReadModel) -> None:
    batch = rows({
        N1: {"a": entry(7, 9, restarts=3, spec=spec(args=[1.5, {"z": 1, "aa": [b"x"]}, "ä"], meta={"k": None}))},
        N2: {"b / c": entry(spec=None)},
    })  # fmt: skip
    batch.nodes = list(node_rows([member(N1, labels={"zone": "a"}), member(N2, "left")], {"n1": 1}).values())
    write(model, rows=batch)
    processes, nodes = model.load()
    assert sorted(processes, key=lambda row: row.name) == sorted(batch.upserts, key=lambda row: row.name)
    assert nodes == batch.nodes
    row = Process.objects.get(name="a")
    assert (row.pid, row.args, row.meta) == ("n1.1.7", [1.5, {"z": 1, "aa": [{"$bytes": "eA=="}]}, "ä"], {"k": None})
    assert row.started_at.timestamp() == pytest.approx(1_763_906_329.123, abs=1e-3)


def test_a_later_write_replaces_a_row_and_a_removal_leaves_a_trace(model: ReadModel) -> None:
    write(model, rows=rows({N1: {"a": entry(1), "b": entry(2)}}))
    batch = rows({N2: {"a": entry(5, 2)}})
    batch.removed = [("s", "b")]
    write(model, rows=batch)
    assert list(Process.objects.values_list("name", "pid", "revision")) == [("a", "n2.1.5", 2)]
    assert list(Removal.objects.values_list("revision", "sworm", "name")) == [(2, "s", "b")]


def test_versions_are_raised_and_forgotten(model: ReadModel) -> None:
    write(model, versions={"s": {N1: 1, N2: 4}, "": {N1: 2}})
    write(model, versions={"s": {N1: 7}})
    model.forget_versions({"s": {N1: 7}, "": {N1: 2}})
    rows_ = ObservedVersion.objects.order_by("sworm").values_list("sworm", "origin", "version")
    assert list(rows_) == [("", N1, 2), ("s", N1, 7)]
    assert model.revision() == 0


def test_a_node_is_last_seen_while_it_is_there(model: ReadModel) -> None:
    write(model, rows=Batch(nodes=list(node_rows([member(N1)], {}).values())))
    seen = Node.objects.get().last_seen
    write(model, rows=Batch(nodes=list(node_rows([member(N1, "dead")], {}).values())))
    assert Node.objects.get().last_seen == seen
    model.write_seen(["n1"])
    node = Node.objects.get()
    assert node.last_seen > seen
    assert (node.status, node.revision) == ("dead", 2)


def test_a_forgotten_node_is_back_when_it_returns_and_not_before(model: ReadModel) -> None:
    write(model, rows=Batch(nodes=list(node_rows([member("n1.1", "dead")], {}).values())))
    Node.objects.update(forgotten=True)
    write(model, rows=Batch(nodes=list(node_rows([member("n1.1", "left")], {}).values())))
    assert Node.objects.get().forgotten
    write(model, rows=Batch(nodes=list(node_rows([member("n1.2")], {}).values())))
    assert not Node.objects.get().forgotten


def test_what_nodes_report_of_themselves_survives_their_rows_changes(model: ReadModel) -> None:
    write(model, rows=Batch(nodes=list(node_rows([member(N1)], {}).values())))
    model.write_stats([Stats("n1", {"load": 0.5}, {"s": 3}), Stats("unknown", {})])
    model.write_stats([Stats("n1", {"load": 0.7})])
    write(model, rows=Batch(nodes=list(node_rows([member(N1, "suspect")], {}).values())))
    node = Node.objects.get()
    assert (node.stats, node.definitions) == ({"load": 0.7}, {"s": 3})


def test_an_event_that_comes_twice_is_one(model: ReadModel) -> None:
    at = time.time()
    write(model, events=[EventRow(at, "started", "s", "a", "n1", "n1.1.1", 5, "x"), EventRow(at, "crashed", "s")])
    write(model, events=[EventRow(at, "started", "s", "a", "n1", "n1.1.1", 5, "x"), EventRow(at + 1, "crashed", "s")])
    assert list(Event.objects.values_list("revision", "kind")) == [(1, "started"), (2, "crashed"), (4, "crashed")]


def test_definitions_are_plain_values_in_the_order_of_the_wire(model: ReadModel) -> None:
    constraints = {"zone": ["a", "b"], "gpu": True}
    Sworm.objects.create(name="rooms", revision=4, allowed_modules=["chat"], deleted=True, constraints=constraints)
    assert model.definitions() == [
        ("rooms", 4, "transient", 3, 5.0, False, 5000, "uniform", "passive", 300, 5000, ("chat",), "task", True,
         (("gpu", True), ("zone", ("a", "b"))), 0, 0)
    ]  # fmt: skip


def test_snapshots_are_kept_with_their_entries(model: ReadModel) -> None:
    entries = packed({N1: [["a", [1]]]})
    model.write_snapshots([
        SnapshotRow("n1", "s", 1, "ff", {N1: "ff"}, {N1: 3}, 0),
        SnapshotRow("observer", "s", 1, "ff", {}, {N1: 3}, 2, entries),
    ])  # fmt: skip
    first, second = ReplicaSnapshot.objects.order_by("id")
    assert (first.versions, first.digests, first.entries) == ({N1: 3}, {N1: "ff"}, None)
    assert (second.behind, bytes(second.entries)[:1]) == (2, b"\x81")


def test_what_several_witnesses_tell_is_one_event(model: ReadModel) -> None:
    at = time.time()
    write(model, events=[EventRow(at, "suspect", node="n2", pid="n2.1", detail="told by n1"),
                         EventRow(at + 0.1, "suspect", node="n2", pid="n2.1", detail="told by n3")])  # fmt: skip
    write(model, events=[EventRow(at - 0.4, "suspect", node="n2", pid="n2.1", detail="told by n4")])
    assert Event.objects.count() == 1
    write(model, events=[EventRow(at + 1, "dead", node="n2", pid="n2.1"), EventRow(at + 1.2, "dead", node="n2",
                                                                                 pid="n2.1")])  # fmt: skip
    write(model, events=[EventRow(at + 0.2, "suspect", node="n2", pid="n2.1", detail="late")])
    write(model, events=[EventRow(at + 5, "refuted", node="n2", pid="n2.1")])
    # after it was told otherwise the same words are another fact; and so they are of another incarnation
    write(model, events=[EventRow(at + 6, "suspect", node="n2", pid="n2.1")])
    write(model, events=[EventRow(at + 6, "suspect", node="n2", pid="n2.2")])
    assert list(Event.objects.order_by("revision").values_list("kind", "pid")) == [
        ("suspect", "n2.1"), ("dead", "n2.1"), ("refuted", "n2.1"), ("suspect", "n2.1"), ("suspect", "n2.2"),
    ]  # fmt: skip


def test_ten_thousand_names_are_one_write(model: ReadModel) -> None:
    names = {f"name-{number}": entry(number, number, spec=spec(args=[number])) for number in range(10_000)}
    write(model, rows=rows({N1: names}))
    write(model, rows=rows({N1: {name: value._replace(restarts=1) for name, value in names.items()}}))
    assert Process.objects.filter(revision=2, restarts=1).count() == 10_000
    assert ObserverTerm.objects.get().holder == "observer.1"


def test_memberships_are_written_and_taken_away_with_their_rows(model: ReadModel) -> None:
    one = replica("s", {N1: {"a": entry(1), ("group", "g", "n1.1.1"): "a"}})  # type: ignore[dict-item]
    mirror = Mirror()
    batch = mirror.compare_all({"s": one})
    revision = write(model, rows=batch)
    mirror.written(batch)
    assert list(Membership.objects.values_list("sworm", "group", "pid", "name", "revision")) == [
        ("s", "g", "n1.1.1", "a", revision)
    ]
    assert Process.objects.get(name="a").groups == ["g"]
    assert not Mirror(*model.load()).compare_all({"s": one})
    moved = replica("s", {N2: {"a": entry(1), ("group", "g", "n2.1.1"): "a"}})  # type: ignore[dict-item]
    write(model, rows=mirror.compare_all({"s": moved}))
    assert list(Membership.objects.values_list("pid", flat=True)) == ["n2.1.1"]
