"""/events, /map, /replicas, /audit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from registry.api import answers
from registry.audit import audit
from registry.models import Counter, Event, ReplicaSnapshot
from tests.asking import Asking, asking
from tests.supervisor.agents import now


def event(revision: int, kind: str = "started", sworm: str = "rooms", **more: Any) -> Event:
    return Event.objects.create(revision=revision, at=now(), kind=kind, sworm=sworm, **more)


def test_events_come_oldest_first_and_page_within_a_revision(ask: Asking) -> None:
    for revision in (1, 2, 2, 2, 3):
        event(revision)
    first = ask.get("/events?limit=2").body
    second = ask.get(f"/events?limit=2&cursor={first['next_cursor']}").body
    third = ask.get(f"/events?limit=2&cursor={second['next_cursor']}").body
    found = first["items"] + second["items"] + third["items"]
    assert [item["revision"] for item in found] == [1, 2, 2, 2, 3]
    assert len({item["id"] for item in found}) == 5
    assert third["next_cursor"] is None
    newest = ask.get("/events?limit=2&order=desc").body
    assert [item["revision"] for item in newest["items"]] == [3, 2]
    older = ask.get(f"/events?limit=2&order=desc&cursor={newest['next_cursor']}").body
    assert [item["revision"] for item in older["items"]] == [2, 2]
    msgspec.convert(found, list[answers.Event])


def test_events_filter(ask: Asking) -> None:
    event(1, "started", name="lobby", node="n1")
    event(2, "crashed", name="lobby", node="n1")
    event(3, "started", "games", name="chess", node="n2")
    Counter.objects.update_or_create(pk=1, defaults={"revision": 3})
    assert [item["revision"] for item in ask.get("/events?since=1").body["items"]] == [2, 3]
    assert [item["revision"] for item in ask.get("/events?kind=crashed").body["items"]] == [2]
    assert [item["revision"] for item in ask.get("/events?sworm=rooms&name=lobby").body["items"]] == [1, 2]
    assert [item["revision"] for item in ask.get("/events?node=n2").body["items"]] == [3]
    assert ask.get("/events?since=-1").fields == ["since"]
    assert ask.get("/events?order=up").fields == ["order"]
    assert ask.get("/events?kind=bogus").fields == ["kind"]
    assert [item["revision"] for item in asking(sworms=("games",)).get("/events").body["items"]] == [3]


def test_what_comes_after_a_revision_to_come_is_refused_as_the_stream_refuses_it(ask: Asking) -> None:
    Counter.objects.update_or_create(pk=1, defaults={"revision": 3})
    assert ask.get("/events?since=3").body["items"] == []
    refused = ask.get("/events?since=4")
    assert (refused.status, refused.fields) == (422, ["since"])
    assert "the newest revision is 3" in refused.body["detail"]


def test_replicas_show_the_newest_of_each(ask: Asking) -> None:
    for node, sworm, age in [("n1", "rooms", 60), ("n1", "rooms", 1), ("n2", "rooms", 5), ("n1", "", 5)]:
        ReplicaSnapshot.objects.create(
            node=node,
            sworm=sworm,
            size=age,
            digest="00",
            versions={"n1.1": 3},
            observed_at=now() - timedelta(seconds=age),
        )
    found = ask.get("/replicas").body["items"]
    assert [(item["node"], item["sworm"], item["size"]) for item in found] == [
        ("n1", "", 5), ("n1", "rooms", 1), ("n2", "rooms", 5)
    ]  # fmt: skip
    assert len(ask.get("/replicas?node=n1").body["items"]) == 2
    assert len(ask.get("/replicas?sworm=rooms").body["items"]) == 2
    assert asking(sworms=("games",)).get("/replicas").body["items"] == []
    first = ask.get("/replicas?limit=2").body
    assert len(ask.get(f"/replicas?cursor={first['next_cursor']}").body["items"]) == 1
    msgspec.convert(found, list[answers.Replica])


def test_the_audit_comes_newest_first(ask: Asking) -> None:
    audit("user:ann", "sworm.create", "rooms", "opening", revision=1)
    audit("user:bob", "process.register", "rooms/lobby")
    audit("user:bob", "process.register", "roomsy/lobby")
    found = ask.get("/audit").body["items"]
    assert [item["target"] for item in found] == ["roomsy/lobby", "rooms/lobby", "rooms"]
    assert (found[2]["actor"], found[2]["reason"], found[2]["detail"]) == ("user:ann", "opening", {"revision": 1})
    assert len(ask.get("/audit?actor=user:ann").body["items"]) == 1
    assert len(asking(sworms=("rooms",)).get("/audit").body["items"]) == 2
    msgspec.convert(found, list[answers.AuditEntry])
