"""Snapshots of replicas: listed, told apart, compared entry by entry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from django.utils import timezone

from registry.api import answers
from registry.models import ReplicaSnapshot
from tests.asking import Asking, asking


def entry(name: Any, state: str = "running", changed: int = 1, epoch: int = 1) -> list[Any]:
    return [name, [1, epoch, "c", state, 1, 0, 5, ["m:T", b"", "task", b""], "", ""], changed]


def snapshot(
    node: str, versions: dict[str, int], entries: dict[str, list[Any]] | None = None, age: float = 0, **more: Any
) -> int:
    packed = None if entries is None else msgspec.msgpack.encode(entries)
    values = {"size": 1, "digest": "d", "digests": {}, "sworm": "rooms", **more}
    at = timezone.now() - timedelta(seconds=age)
    return ReplicaSnapshot.objects.create(node=node, versions=versions, entries=packed, observed_at=at, **values).pk


def compare(ask: Asking, left: int, right: int) -> dict[str, Any]:
    answer = ask.get(f"/replicas/compare?left={left}&right={right}")
    assert answer.status == 200, answer.body
    msgspec.convert(answer.body, answers.Comparison)
    told: dict[str, Any] = answer.body
    return told


def verdicts(told: dict[str, Any]) -> dict[str, str]:
    return {str(one["key"]): one["verdict"] for one in told["entries"]}


def test_every_snapshot_is_listed_newest_first(ask: Asking) -> None:
    made = [snapshot("n1", {"n1.1": n}, age=10 - n) for n in range(3)]
    snapshot("n1", {}, sworm="games")
    first = ask.get("/replicas/snapshots?sworm=rooms&limit=2").body
    second = ask.get(f"/replicas/snapshots?sworm=rooms&limit=2&cursor={first['next_cursor']}").body
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    msgspec.convert(first["items"], list[answers.Replica])


def test_what_came_went_and_changed_is_told_by_key(ask: Asking) -> None:
    group = [["group", "all", "n1.1.1"], "a", 1]
    left = snapshot("n1", {"n1.1": 3}, {"n1.1": [entry("a"), entry("b"), entry("c"), group]}, 20)
    right = snapshot("n1", {"n1.1": 6}, {"n1.1": [entry("a"), entry("b", "failed", 5), entry("d", changed=6), group]})
    told = compare(ask, left, right)
    assert verdicts(told) == {"b": "differs", "c": "only_left", "d": "only_right"}
    assert told["counts"] == {"same": 2, "only_left": 1, "only_right": 1, "differs": 1, "unknown": 0}
    (changed,) = [one for one in told["entries"] if one["key"] == "b"]
    assert (changed["left"]["state"], changed["right"]["state"]) == ("running", "failed")
    assert changed["right"]["spec"] == "m:T"


def test_a_node_that_lags_is_compared_by_the_versions_that_the_observer_recorded(ask: Asking) -> None:
    recorded = snapshot("observer", {"n1.1": 5}, {"n1.1": [entry("a", changed=2), entry("b", changed=5)]})
    behind = snapshot("n2", {"n1.1": 4}, age=1)
    told = compare(ask, behind, recorded)
    assert verdicts(told) == {"b": "unknown"}
    assert told["counts"]["same"] == 1
    assert told["origins"] == [{"origin": "n1.1", "left": 4, "right": 5, "broken": False, "known": True}]


def test_an_origin_that_one_side_lacks_is_all_on_the_other(ask: Asking) -> None:
    left = snapshot("n1", {"n1.1": 1}, {"n1.1": [entry("a")]})
    right = snapshot("n3", {"n1.1": 1, "n3.1": 1}, {"n1.1": [entry("a")], "n3.1": [entry("z")]})
    told = compare(ask, left, right)
    assert verdicts(told) == {"z": "only_right"}


def test_equal_versions_with_unequal_digests_are_called_broken(ask: Asking) -> None:
    left = snapshot("n1", {"n1.1": 1}, digests={"n1.1": "aa"})
    right = snapshot("n2", {"n1.1": 1}, digests={"n1.1": "bb"})
    assert compare(ask, left, right)["origins"][0]["broken"] is True


def test_what_cannot_be_compared_is_refused(ask: Asking) -> None:
    rooms, games = snapshot("n1", {}), snapshot("n1", {}, sworm="games")
    assert ask.get(f"/replicas/compare?left={rooms}&right={games}").fields == ["right"]
    assert ask.get(f"/replicas/compare?left={rooms}").fields == ["right"]
    assert ask.get(f"/replicas/compare?left=x&right={rooms}").fields == ["left"]
    assert ask.get(f"/replicas/compare?left={rooms}&right=999999").code == "unknown_snapshot"
    bound = asking(sworms=("games",))
    assert bound.get(f"/replicas/compare?left={rooms}&right={rooms}").code == "unknown_snapshot"
    assert [item["sworm"] for item in bound.get("/replicas/snapshots").body["items"]] == ["games"]
