"""What axe finds on every page, in both themes, full, empty and when nothing can be read: nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from registry import scopes
from registry.models import Node
from supervisor.operations import Move
from swormweb.views import LISTS

from .conftest import Complaints
from .web import Stage, Web

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]

PROBLEM = '{"title": "x", "detail": "PostgreSQL does not answer", "code": "database_unavailable"}'
PAGES = [f"/{name}" for name in LISTS]


class Look:
    """Runs axe on what is shown, in both themes, and remembers what it finds."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.axe = Axe()
        self.found: dict[str, object] = {}

    def __call__(self, what: str) -> None:
        for theme in ("light", "dark"):
            self.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
            problems = self.axe.run(self.page).response["violations"]
            if problems:
                told = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in problems]
                self.found[f"{what}, {theme}"] = told


def fill(stage: Stage) -> None:
    for name in LISTS:
        if name not in ("processes", "groups"):
            stage.record(name)
    stage.fill({"n1": ["a", "b"]})
    stage.fill({"n2": ["c"]}, state="failed")
    stage.join("everybody", "a", "b")
    stage.replica("n2", "", {"n1.1": 3, "n2.1": 4})
    stage.event("crashed", "a", detail="Traceback\nboom")
    stage.node("n3", "dead")


def test_full_pages(visit: Visit, stage: Stage, web: Web, page: Page) -> None:
    fill(stage)
    look = Look(page)
    visit("/processes#m=counters/a")
    for path in PAGES:
        if path != "/processes":
            page.goto(web.url + path)
        expect(page.locator("table").first).to_be_visible()
        expect(page.locator("#cluster, caption").first).to_contain_text(re.compile(r"\w"))
        look(path)
    page.goto(f"{web.url}/groups?sworm=counters&group=everybody")
    expect(page.locator("tbody tr")).to_have_count(2)
    look("a group")
    page.goto(f"{web.url}/process?sworm=counters&name=a")
    expect(page.locator(".life > li").first).to_be_visible()
    look("a process")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    look("keys")
    assert look.found == {}


def test_empty_pages(visit: Visit, stage: Stage, web: Web, page: Page, complaints: Complaints) -> None:
    complaints.expected = ("404",)
    look = Look(page)
    visit("/processes")
    for path in PAGES:
        if path == "/nodes":
            continue  # there are some here; see below
        page.goto(web.url + path)
        expect(page.locator(".empty:visible, caption:visible, p.faint:visible").first).to_be_visible()
        look(path)
    page.goto(f"{web.url}/process?sworm=counters&name=nobody")
    expect(page.locator(".process-state")).to_contain_text("nothing is recorded")
    look("no process")
    assert look.found == {}


def test_what_is_beside_the_lists(visit: Visit, stage: Stage, web: Web, page: Page, complaints: Complaints) -> None:
    """The map without processes, without nodes and without its stream; one operation; what was asked for in vain."""
    complaints.expected = ("403", "404", "Failed to load", "WebSocket")
    look = Look(page)
    operation = stage.operation("migrate", [Move("counters", "a", "n1", "n2", "it is to leave n1")])
    visit("/")
    expect(page.locator("#empty-processes")).to_be_visible()
    look("a map without processes")
    Node.objects.all().delete()
    page.goto(web.url)
    expect(page.locator("#empty-nodes")).to_be_visible()
    look("a map without nodes")
    page.goto(f"{web.url}/nodes")
    expect(page.locator("main h2")).to_have_text("No node has joined")
    look("no nodes")
    page.goto(f"{web.url}/operations/{operation.pk}")
    expect(page.locator("tbody tr")).to_have_count(1)
    look("an operation")
    page.goto(f"{web.url}/operations/01234567-89ab-4def-8123-456789abcdef")
    expect(page.get_by_role("alert")).to_contain_text("There is no such operation")
    look("no operation")
    page.goto(f"{web.url}/api/docs")
    expect(page.locator("h1")).to_be_visible()
    look("the reader of the API")
    page.route_web_socket(re.compile("/ws/map"), lambda route: route.close())
    page.goto(web.url)
    expect(page.locator("#health")).to_contain_text("The live stream does not answer")
    look("a map without its stream")
    page.goto(f"{web.url}/no/such/page")
    expect(page.locator("h1")).to_have_text("There is nothing here")
    look("404")
    User.objects.get(username=scopes.OPERATOR).groups.clear()
    page.goto(f"{web.url}/nodes")
    expect(page.locator("h1")).to_have_text("You may not see this")
    look("403")
    page.context.clear_cookies()
    page.goto(f"{web.url}/signin/nonsense")
    expect(page.get_by_role("alert")).to_contain_text("This link does not sign you in")
    look("a link that is none")
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    look("a wrong password")
    assert look.found == {}


def test_pages_that_cannot_be_read(visit: Visit, stage: Stage, web: Web, page: Page, complaints: Complaints) -> None:
    complaints.expected = ("503", "Failed to load")
    page.route("**/api/v1/**", lambda route: route.fulfill(status=503, body=PROBLEM))
    look = Look(page)
    visit("/processes")
    for path in (*PAGES, "/process?sworm=counters&name=a", "/operations/01234567-89ab-4def-8123-456789abcdef"):
        page.goto(web.url + path)
        expect(page.locator("[role=alert]:visible").first).to_contain_text("PostgreSQL does not answer")
        look(path)
    assert look.found == {}
