"""The page of replicas: agreement, lag and a split are told apart at a glance; two snapshots are compared by entry."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest
from playwright.sync_api import Page, expect

from registry.models import ReplicaSnapshot

from .web import Stage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]


def test_a_split_is_seen_where_it_is_and_its_healing_too(visit: Visit, stage: Stage) -> None:
    left, right = {"n1.1": 9, "n2.1": 4, "n3.1": 4}, {"n1.1": 5, "n2.1": 8, "n3.1": 6}

    def observe() -> None:
        stage.replica("n1", "rooms", left)
        stage.replica("n2", "rooms", right)
        stage.replica("n3", "rooms", right)

    observe()
    page = visit("/replicas")
    block = page.locator(".replica-block[data-sworm=rooms]")
    expect(block).to_have_attribute("data-kind", "apart")
    observe()
    expect(block).to_have_attribute("data-kind", "split")
    expect(block).to_contain_text("Split: n2 and n3 | n1 each hold what the others lack")
    expect(block.locator("tbody tr", has_text="n2").first.locator(".lacking")).to_have_text("5 −4")
    for node in ("n1", "n2", "n3"):
        stage.replica(node, "rooms", {"n1.1": 9, "n2.1": 8, "n3.1": 6})
    expect(block).to_have_attribute("data-kind", "agree")
    expect(block).to_contain_text("n1, n2 and n3 agree")


def test_a_node_that_is_not_observed_any_more_is_told(visit: Visit, stage: Stage) -> None:
    stage.replica("n1", "rooms", {"n1.1": 9})
    stage.replica("n3", "rooms", {"n1.1": 2}, age=120)
    page = visit("/replicas")
    expect(page.locator("tr.old")).to_contain_text("not observed since")


def test_a_node_that_died_is_not_called_behind(visit: Visit, stage: Stage) -> None:
    stage.replica("n1", "rooms", {"n1.1": 9})
    stage.replica("n3", "rooms", {"n1.1": 2})
    page = visit("/replicas")
    block = page.locator(".replica-block[data-sworm=rooms]")
    expect(block).to_have_attribute("data-kind", "behind")
    stage.node("n3", "dead")
    expect(block).to_have_attribute("data-kind", "old")
    expect(page.locator("tr.old")).to_contain_text("n3")


def test_two_snapshots_are_compared_entry_by_entry(visit: Visit, stage: Stage) -> None:
    entry = [1, 1, "c", "running", 1, 0, 5, ["m:T", b"", "task", b""], "", ""]
    failed = [*entry[:3], "failed", *entry[4:]]
    first, second = {"n1.1": [["a", entry, 1], ["b", entry, 2]]}, {"n1.1": [["a", failed, 3], ["c", entry, 4]]}
    stage.replica("n1", "rooms", {"n1.1": 2}, age=20, entries=msgspec.msgpack.encode(first))
    stage.replica("n1", "rooms", {"n1.1": 4}, entries=msgspec.msgpack.encode(second))
    page = visit("/replicas")
    ids = [str(number) for number in ReplicaSnapshot.objects.order_by("pk").values_list("pk", flat=True)]
    page.get_by_label("First", exact=True).select_option(ids[0])
    page.get_by_label("Second", exact=True).select_option(ids[1])
    compared = page.locator(".compared")
    expect(compared).to_contain_text("3 entries differ, 0 are the same.")
    expect(compared.locator("tr", has_text='state: "failed"')).to_contain_text('state: "running"')
    expect(compared).to_contain_text("only in the second")
    expect(page).to_have_url(re.compile(f"left={ids[0]}&right={ids[1]}"))
    page.reload()
    expect(compared).to_contain_text("3 entries differ")
