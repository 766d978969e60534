"""The page of events: the history as people read it, and what is added to it while they look."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .conftest import Complaints
from .web import Stage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]


def test_what_happens_is_followed_by_the_stream(visit: Visit, stage: Stage, page: Page) -> None:
    stage.event("started", "a")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/api/v1")[2]))
    visit("/events?follow=1")
    expect(page.locator(".live")).to_have_text("live")
    expect(page.locator("tbody tr")).to_have_count(1)  # the list may come after the stream, and is not new then
    stage.event("crashed", "b")  # may come just before the stream begins, and is not new then
    expect(page.locator("tbody tr")).to_have_count(2)
    stage.event("crashed", "c")
    expect(page.locator("tr.fresh").filter(has_text="counters/c")).to_have_count(1)
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("tr.fresh")).to_have_count(0)  # marked for a moment
    expect(page.locator(".live")).to_have_text(re.compile("live, [12] new events?$"))
    assert [path for path in asked if "stream" in path] == ["/events/stream?"]
    assert not [path for path in asked if "since=" in path]
    page.get_by_role("button", name="Follow").click()
    expect(page.locator(".live")).to_have_text("")
    expect(page).to_have_url(re.compile("/events$"))


def test_following_keeps_to_the_filters(visit: Visit, stage: Stage, page: Page) -> None:
    visit("/events?follow=1")
    expect(page.locator(".live")).to_have_text("live")
    with page.expect_request(re.compile(r"/events/stream\?kind=crashed$")):
        page.get_by_label("What").select_option("crashed")
    expect(page.locator(".live")).to_have_text("live")
    stage.event("started", "a")
    stage.event("crashed", "b")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".live")).to_have_text("live, 1 new event")
    with page.expect_request(re.compile(r"/events/stream\?$")):
        page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_a_stream_that_is_refused_is_taken_up_where_it_was(
    visit: Visit, stage: Stage, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ("503",)
    refusing = [True]
    page.route("**/events/stream**", lambda route: route.fulfill(status=503) if refusing[0] else route.continue_())
    visit("/events?follow=1")
    expect(page.locator(".live")).to_contain_text("trying again")
    stage.event("crashed", "a")
    refusing[0] = False
    expect(page.locator(".live")).to_contain_text("live")
    expect(page.locator("tbody tr")).to_have_count(1)
