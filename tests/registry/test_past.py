"""The map as it stood, and what retention leaves of it: never half of anything."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from registry.models import Change, Event, Horizon, IdempotencyKey, Node, Process, Removal, ReplicaSnapshot
from registry.past import events_floor, map_at
from registry.problems import Problem
from registry.projection import Batch, Mirror, node_rows
from registry.readmodel import EventRow, ReadModel, SnapshotRow, Work
from registry.retention import Keeping
from tests.asking import Asking, asking
from tests.registry.rows import entry, member, replica

pytestmark = pytest.mark.django_db

N1, N2 = "n1.1", "n2.1"


@pytest.fixture
def model() -> ReadModel:
    made = ReadModel("observer.1")
    assert made.take_term(made.read_term())
    return made


@pytest.fixture
def ask() -> Asking:
    return asking()


def rows(names: dict[str, dict[str, Any]], sworm: str = "rooms") -> Batch:
    return Mirror().compare_all({sworm: replica(sworm, names)})


def write(model: ReadModel, batch: Batch) -> datetime:
    """Write, and return a moment at which it stood."""
    model.write(Work(rows=batch))
    return timezone.now()


def seen(at: datetime, sworms: frozenset[str] | None = None) -> dict[str, str]:
    return {item["name"]: item["pid"] for item in map_at(at, sworms)["processes"]}


def backdate(days: float) -> None:
    """Everything that was written happened so long ago."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE registry_change SET at = at - make_interval(secs => %s)", [days * 86_400])
        cursor.execute("UPDATE registry_horizon SET changes = changes - make_interval(secs => %s)", [days * 86_400])


def test_each_moment_has_its_map(model: ReadModel) -> None:
    first = write(model, rows({N1: {"a": entry(1), "b": entry(2)}}))
    second = write(model, rows({N2: {"a": entry(5, 2)}}))
    third = write(model, Batch(removed=[("rooms", "b")]))
    fourth = write(model, rows({N2: {"b": entry(6, 3)}}))
    assert seen(first) == {"a": "n1.1.1", "b": "n1.1.2"}
    assert seen(second) == {"a": "n2.1.5", "b": "n1.1.2"}
    assert seen(third) == {"a": "n2.1.5"}
    assert seen(fourth) == {"a": "n2.1.5", "b": "n2.1.6"}
    assert map_at(third, None)["revision"] == 3


def test_nodes_are_part_of_it_until_they_are_forgotten(model: ReadModel) -> None:
    alive = write(model, Batch(nodes=list(node_rows([member(N1)], {}).values())))
    dead = write(model, Batch(nodes=list(node_rows([member(N1, "dead")], {}).values())))
    Node.objects.update(forgotten=True)
    forgotten = write(model, Batch(forgotten=["n1"]))
    assert [node["status"] for node in map_at(alive, None)["nodes"]] == ["alive"]
    assert [node["status"] for node in map_at(dead, None)["nodes"]] == ["dead"]
    assert map_at(forgotten, None)["nodes"] == []


def test_only_some_sworms(model: ReadModel) -> None:
    write(model, rows({N1: {"a": entry(1)}}))
    at = write(model, rows({N1: {"b": entry(2)}}, "games"))
    assert seen(at, frozenset({"games"})) == {"b": "n1.1.2"}
    assert seen(at, frozenset()) == {}


def test_moments_outside_of_the_memory_are_refused() -> None:
    Horizon.objects.all().delete()
    with pytest.raises(Problem) as problem:
        map_at(timezone.now(), None)
    assert problem.value.status == 410  # nothing was ever observed
    Horizon.objects.create(changes=timezone.now())
    with pytest.raises(Problem) as problem:
        map_at(timezone.now() - timedelta(hours=1), None)
    assert problem.value.code == "compacted"
    with pytest.raises(Problem) as problem:
        map_at(timezone.now() + timedelta(hours=1), None)
    assert problem.value.status == 422


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_pruning_never_changes_a_map_that_can_still_be_asked_for(model: ReadModel, chunk: int) -> None:
    write(model, rows({N1: {"a": entry(1), "b": entry(2), "c": entry(3)}}))
    write(model, rows({N2: {"a": entry(5, 2)}}))
    write(model, Batch(removed=[("rooms", "b")]))
    backdate(10)
    now = write(model, rows({N2: {"c": entry(7, 2)}}))
    keeping = Keeping(map_days=7)
    while model.prune(keeping, chunk)["changes"] >= chunk:
        oldest = Horizon.objects.get().changes
        assert seen(oldest + timedelta(seconds=1)) == {"a": "n2.1.5", "c": "n1.1.3"}
    assert seen(now) == {"a": "n2.1.5", "c": "n2.1.7"}
    assert sorted(Change.objects.values_list("name", flat=True)) == ["a", "c", "c"]


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_round_that_goes_on_from_the_last_one_leaves_what_a_first_one_would(model: ReadModel, chunk: int) -> None:
    Horizon.objects.update(changes=timezone.now() - timedelta(days=40))
    for number in range(60):  # five keys, each gone now and then, a change each half day
        Change.objects.create(
            revision=number + 1, at=timezone.now() - timedelta(days=30 - number / 2), sworm="rooms",
            name="abcde"[number * 7 % 5], row=None if number % 4 == 3 else {"started_at": 0, "pid": f"n1.1.{number}"},
        )  # fmt: skip
    for days in (29.0, 20.0, 19.9, 11.0, 3.0, 0.2):
        moment = timezone.now() - timedelta(days=days - 0.1)
        before = seen(moment)
        while model.prune(Keeping(map_days=days), chunk)["changes"] >= chunk:
            assert seen(moment) == before
        assert seen(moment) == before
        fresh = ReadModel(model.holder)
        fresh.term = model.term
        assert fresh.prune(Keeping(map_days=days))["changes"] == 0


def test_pruning_events_moves_the_horizon_first(model: ReadModel, ask: Asking) -> None:
    old, now = time.time() - 40 * 86_400, time.time()
    model.write(Work(events=[EventRow(old, "started"), EventRow(old + 1, "crashed"), EventRow(now, "moved")]))
    assert events_floor() == 0
    assert ask.get("/events?since=0").status == 200
    assert model.prune(Keeping(event_days=30), 1)["events"] == 1
    assert events_floor() == 2
    assert model.prune(Keeping(event_days=30), 10)["events"] == 1
    answer = ask.get("/events?since=0")
    assert (answer.status, answer.code) == (410, "compacted")
    assert [item["kind"] for item in ask.get("/events?since=2").body["items"]] == ["moved"]
    assert [item["kind"] for item in ask.get("/events").body["items"]] == ["moved"]


def test_all_events_old_is_a_horizon_too(model: ReadModel) -> None:
    model.write(Work(events=[EventRow(1.0, "started")]))
    model.prune(Keeping())
    assert (events_floor(), Event.objects.count()) == (1, 0)
    model.prune(Keeping())
    assert events_floor() == 1


def test_snapshots_removals_and_keys_go_by_age_and_in_chunks(model: ReadModel) -> None:
    for name in "abcd":
        write(model, Batch(removed=[("rooms", name)]))
    model.write_snapshots([SnapshotRow("n1", "rooms", 0, "", {}, {}, 0)] * 3)
    ReplicaSnapshot.objects.update(observed_at=timezone.now() - timedelta(hours=2))
    IdempotencyKey.objects.create(actor="a", key="old", request_hash="")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    IdempotencyKey.objects.create(actor="a", key="new", request_hash="")
    keeping = Keeping(snapshot_hours=1, removals=2)
    assert model.prune(keeping, 2)["snapshots"] == 2
    assert model.prune(keeping, 2)["snapshots"] == 1
    assert list(Removal.objects.order_by("revision").values_list("name", flat=True)) == ["b", "c", "d"]
    assert IdempotencyKey.objects.get().key == "new"


def test_the_map_over_rest(model: ReadModel, ask: Asking) -> None:
    at = write(model, rows({N1: {"a": entry(1)}}))
    text = at.isoformat().replace("+00:00", "Z")
    found = ask.get(f"/map?at={text}")
    assert found.status == 200
    assert [item["name"] for item in found.body["processes"]] == ["a"]
    assert ask.get(f"/map?at={text}&sworm=games").body["processes"] == []
    assert ask.get("/map").fields == ["at"]
    assert ask.get("/map?at=now").fields == ["at"]
    assert ask.get("/map?at=2999-01-01T00:00:00Z").fields == ["at"]
    assert ask.get("/map?at=1999-01-01T00:00:00Z").status == 410
    bound = asking(sworms=("games",))
    assert bound.get(f"/map?at={text}").body["processes"] == []
    assert bound.get(f"/map?at={text}&sworm=rooms").status == 403
    assert Process.objects.count() == 1
