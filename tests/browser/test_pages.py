"""Signing in and out, pages that are not there, the policy on every page, and what axe finds."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from registry import scopes
from swormweb.views import LISTS

from .conftest import Complaints
from .web import PASSWORD, Stage, Web

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]


def test_the_map_needs_a_sign_in_and_comes_back_to_where_one_wanted_to_go(page: Page, stage: Stage, web: Web) -> None:
    stage.user(scopes.VIEWER)
    page.goto(f"{web.url}/?n=n2")
    expect(page).to_have_url(re.compile(r"/signin\?next="))
    page.get_by_label("Name").fill(scopes.VIEWER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/\?n=n2$"))
    expect(page.locator(".who")).to_have_text("viewer, viewer")


def test_a_wrong_password_is_said_in_words(page: Page, stage: Stage, web: Web, complaints: Complaints) -> None:
    complaints.expected = ("403",)
    page.goto(f"{web.url}/signin")
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")


def test_a_sign_in_link_works_once(
    page: Page, stage: Stage, web: Web, chromium: Browser, complaints: Complaints
) -> None:
    link = web.url + stage.sign_in_path(scopes.ADMIN)
    page.goto(link)
    expect(page.locator(".who")).to_have_text("admin, admin")
    other = chromium.new_page()
    other.goto(link)
    expect(other.get_by_role("alert")).to_contain_text("was used already")
    other.close()


def test_signing_in_leads_nowhere_else(page: Page, stage: Stage, web: Web) -> None:
    stage.user(scopes.VIEWER)
    page.goto(f"{web.url}/signin?next=https://example.org/")
    page.get_by_label("Name").fill(scopes.VIEWER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{web.url}/")


def test_signing_out_ends_the_session(visit: Visit, stage: Stage, web: Web) -> None:
    page = visit()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{web.url}/signin")
    page.goto(web.url)
    expect(page).to_have_url(re.compile("/signin"))


def test_the_rail_has_only_what_the_user_may_open(visit: Visit, stage: Stage) -> None:
    page = visit(role=scopes.VIEWER)
    titles = [title for title, _ in LISTS.values()]
    assert page.locator(".rail li").all_inner_texts() == ["Map", *titles, "API"]


def test_an_account_without_rights_is_told_so(page: Page, stage: Stage, web: Web, complaints: Complaints) -> None:
    complaints.expected = ("403",)
    user = stage.user(scopes.VIEWER)
    user.groups.clear()
    page.goto(f"{web.url}/signin")
    page.get_by_label("Name").fill(scopes.VIEWER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("You may not see this")


def test_an_address_without_a_page_says_so(page: Page, stage: Stage, web: Web, complaints: Complaints) -> None:
    complaints.expected = ("404",)
    page.goto(f"{web.url}/no/such/page")
    expect(page.locator("h1")).to_have_text("There is nothing here")


def test_pages_forbid_scripts_and_styles_of_others_and_inline_ones(page: Page, stage: Stage, web: Web) -> None:
    answer = page.goto(f"{web.url}/signin")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_what_rest_lists(name: str, visit: Visit, stage: Stage) -> None:
    stage.record(name)
    page = visit(f"/{name}")
    expect(page.locator("h1")).to_have_text(LISTS[name][0])
    expect(page.locator("tbody tr").first).to_be_visible()
    told, said = ("p.verdict", r"\w+ was observed|agree") if name == "replicas" else ("caption", r"^\d+ ")
    expect(page.locator(told).first).to_have_text(re.compile(said))
    assert Axe().run(page).response["violations"] == []
    page.set_viewport_size({"width": 390, "height": 844})
    scroll = page.locator(".table-scroll").first
    if name != "replicas":  # a matrix of nodes and origins has no rows to stack
        assert scroll.evaluate("element => element.scrollWidth - element.clientWidth") <= 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(theme: str, visit: Visit, stage: Stage, page: Page) -> None:
    stage.fill({"n1": ["a", "b"], "n2": ["c"]})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    axe = Axe()
    found: dict[str, object] = {}

    def look(what: str) -> None:
        problems = axe.run(page).response["violations"]
        if problems:
            found[what] = [(problem["id"], problem["nodes"][0]["html"]) for problem in problems]

    visit()
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    look("map")
    page.goto(page.url + "?p=counters/a")
    expect(page.locator("#drawer")).to_contain_text("running on n1")
    look("process")
    page.goto(page.url.split("?")[0] + "?n=n1&view=table")
    expect(page.locator("tbody tr")).to_have_count(3)
    look("node and table")
    page.get_by_role("button", name="Drain n1").click()
    look("confirm")
    page.get_by_role("button", name="Keep as it is").click()
    stage.node("n2", "dead")
    expect(page.locator("#health")).to_contain_text("n2 lost")
    look("dead node")
    page.get_by_role("button", name="Sign out").click()
    look("sign in")
    assert found == {}


def test_the_theme_is_kept(visit: Visit, stage: Stage) -> None:
    page = visit()
    button = page.locator("#theme")
    expect(button).to_have_text("Theme: system")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    button.click()
    expect(button).to_have_text("Theme: system")


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_nothing_is_cut_off_at_any_width(width: int, visit: Visit, stage: Stage, page: Page) -> None:
    stage.fill({"n1": [f"c{i}" for i in range(100)], "n2": ["a-name-" + "long-" * 40]})
    page.set_viewport_size({"width": width, "height": 844})
    visit()
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    for path in ("/", "/?p=counters/" + "a-name-" + "long-" * 40, "/?n=n1"):
        page.goto(page.url.split("?")[0].rstrip("/") + path)
        expect(page.locator(".block")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path
    page.goto(page.url.split("?")[0] + "api/docs")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.go_back()
    rail = page.locator(".rail").bounding_box()
    assert rail is not None
    assert (rail["y"] > 700) is (width == 390)
