"""The table of all processes, and the page of one: what people find, mark, do and read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from registry import scopes
from registry.models import Process

from .conftest import Complaints
from .web import Stage, Web

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 3\nZeroDivisionError: division by zero'


def names(page: Page) -> list[str]:
    return page.locator("tbody tr th a").all_inner_texts()


def test_the_table_is_searched_filtered_and_sorted_by_the_server_and_the_address_says_how(
    visit: Visit, stage: Stage, web: Web
) -> None:
    stage.fill({"n1": ["lobby", "hall"], "n2": ["lobby-2"]}, sworm="rooms")
    stage.fill({"n3": ["web"]}, sworm="probes", state="failed")
    page = visit("/processes")
    expect(page.locator("caption")).to_have_text("4 processes")
    page.keyboard.press("/")
    page.keyboard.type("LOBBY")
    expect(page.locator("caption")).to_have_text("2 processes")
    expect(page).to_have_url(f"{web.url}/processes?q=LOBBY")
    page.get_by_label("Node", exact=True).select_option("n2")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert names(page) == ["lobby-2"]
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("tbody tr")).to_have_count(4)
    page.get_by_label("State", exact=True).select_option("failed")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(4)
    page.get_by_role("button", name="Name").click()
    page.get_by_role("button", name="Name").click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Name")
    expect(page.locator("tbody tr th a").first).to_have_text("web")
    expect(page).to_have_url(re.compile("sort=name&order=desc"))
    page.get_by_label("Search").fill("nobody")
    expect(page.locator("caption")).to_have_text("No process passes these filters")


def test_pages_go_on_by_the_cursor_and_back_by_the_back_button(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": [f"c{i:03}" for i in range(250)]})
    page = visit("/processes")
    expect(page.locator("caption")).to_have_text("100 processes on this page, there are more")
    page.get_by_role("button", name="Next page").click()
    expect(page.locator("tbody tr th a").first).to_have_text("c100")
    page.get_by_role("button", name="Next page").click()
    expect(page.locator("caption")).to_have_text("50 processes on this page, the last")
    page.reload()
    expect(page.locator("tbody tr th a").first).to_have_text("c200")
    page.go_back()
    expect(page.locator("tbody tr th a").first).to_have_text("c100")
    page.get_by_role("button", name="First page").click()
    expect(page.locator("tbody tr th a").first).to_have_text("c000")


def test_the_table_follows_the_cluster_and_keeps_the_focus(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b"]})
    page = visit("/processes")
    page.get_by_role("link", name="b", exact=True).focus()
    stage.put("b", "n2", "failed")
    expect(page.locator("tbody tr", has_text="failed")).to_have_count(1)
    expect(page.get_by_role("link", name="b", exact=True)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("link", name="a", exact=True)).to_be_focused()


def test_marks_stay_over_pages_filters_and_reloads(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b/c"], "n2": ["d"]})
    page = visit("/processes")
    page.get_by_label("Mark counters/a").check()
    page.get_by_role("link", name="b/c", exact=True).focus()
    page.keyboard.press("x")
    marks = page.locator(".marks")
    expect(marks).to_contain_text("2 processes marked")
    page.get_by_label("Search").fill("d")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(marks).to_contain_text("2 processes marked")
    marks.get_by_role("button", name="Hand off").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 processes move wherever placement wants each")
    dialog.get_by_role("button", name="Keep as it is").click()
    marks.get_by_role("button", name="Unmark all").click()
    expect(marks).to_be_hidden()


def test_the_marked_are_restarted_by_one_request_for_each_sworm(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b/c"], "n2": ["d"]})
    stage.define("counters")
    page = visit("/processes")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if request.method == "POST" else None)
    for name in ("a", "b/c"):
        page.get_by_label(f"Mark counters/{name}").check()
    page.locator(".marks").get_by_role("button", name="Restart").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 processes begin anew, one after the other, without state")
    dialog.get_by_role("button", name="Restart 2 processes").click()
    log = page.locator(".actions-log")
    expect(log).to_contain_text("operation ")
    expect(log).to_contain_text("Restart 2 processes of counters")
    assert asked == [{"names": ["a", "b/c"]}]


def test_a_viewer_may_not_mark(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a"]})
    page = visit("/processes", scopes.VIEWER)
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("checkbox")).to_have_count(0)


def test_a_list_that_cannot_be_read_says_so_and_keeps_what_it_showed(
    visit: Visit, stage: Stage, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ("503", "Failed to load")
    stage.fill({"n1": ["a"]})
    visit("/processes")
    expect(page.locator("tbody tr")).to_have_count(1)
    problem = '{"title": "x", "detail": "PostgreSQL does not answer", "code": "database_unavailable"}'
    page.route("**/api/v1/processes?*", lambda route: route.fulfill(status=503, body=problem))
    expect(page.get_by_role("alert").first).to_have_text(
        "The list cannot be read: PostgreSQL does not answer. What stands below is from before."
    )
    expect(page.locator("tbody tr")).to_have_count(1)
    page.unroute("**/api/v1/processes?*")
    expect(page.get_by_role("alert").first).to_be_hidden()


def test_an_empty_cluster_shows_the_command_that_ends_it(visit: Visit, stage: Stage) -> None:
    page = visit("/processes")
    empty = page.locator(".empty")
    expect(empty).to_contain_text("No sworm is defined yet")
    expect(empty.locator("code")).to_have_text("./sworm up")
    stage.define("counters")
    page.reload()
    expect(empty.locator("code")).to_have_text("./sworm register counters first examples.counters:Counter")
    stage.put("first", "n1")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".empty")).to_be_hidden()


# ---------------------------------------------------------------------------------------------------------- one process


def test_a_crash_is_told_with_its_traceback(visit: Visit, stage: Stage) -> None:
    stage.put("a/b", "n1")
    first = Process.objects.get()
    stage.event("started", "a/b", pid=first.pid, epoch=first.epoch)
    page = visit("/process?sworm=counters&name=a/b")
    expect(page.locator(".process-state")).to_have_text("running on n1")
    expect(page.locator(".life > li")).to_have_count(1)
    stage.event("crashed", "a/b", pid=first.pid, epoch=first.epoch, detail=TRACEBACK)
    stage.put("a/b", "n1")
    second = Process.objects.get()
    stage.event("restarted", "a/b", pid=second.pid, epoch=second.epoch)
    now, before = page.locator(".life > li").nth(0), page.locator(".life > li").nth(1)
    expect(before).to_contain_text("ZeroDivisionError: division by zero")
    expect(now).to_contain_text(second.pid)
    expect(now).to_contain_text("Restarted after the crash")
    expect(now).to_contain_text("Runs now")


def test_a_kill_of_the_node_and_a_handoff_are_told_as_what_they_were(visit: Visit, stage: Stage) -> None:
    stage.put("a", "n1")
    page = visit("/process?sworm=counters&name=a")
    first = Process.objects.get()
    expect(page.locator(".process-state")).to_have_text("running on n1")
    stage.node("n1", "dead")
    stage.put("a", "n2")
    second = Process.objects.get()
    stage.event("rehomed", "a", "n2", pid=second.pid, epoch=second.epoch, detail=f"{first.pid} departed with its node")
    expect(page.locator(".process-state")).to_have_text("running on n2")
    expect(page.locator("#cluster")).to_contain_text("n1 died")
    expect(page.locator(".life > li").nth(0)).to_contain_text("Started again after n1 was lost")
    expect(page.locator(".life > li").nth(1)).to_contain_text("Lost with its node")
    stage.put("a", "n3")
    third = Process.objects.get()
    stage.event("moved", "a", "n2", pid=second.pid, epoch=second.epoch, detail=f"to n3 as {third.pid}")
    expect(page.locator(".life > li").nth(0)).to_contain_text("Handed off from n2")
    expect(page.locator(".life > li").nth(1)).to_contain_text("Handed off to n3")


def test_an_action_goes_from_requested_over_accepted_to_confirmed(visit: Visit, stage: Stage, page: Page) -> None:
    stage.put("a", "n1")

    page.route("**/processes/a/restart", lambda route: route.fulfill(status=202, body='{"accepted": true}'))
    visit("/process?sworm=counters&name=a")
    page.get_by_role("button", name="Restart").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart a").click()
    steps = page.locator(".steps li.done")
    expect(steps).to_have_count(2)
    stage.put("a", "n1")
    expect(steps).to_have_count(3)
    expect(steps.nth(2)).to_contain_text(f"runs as {Process.objects.get().pid}")
    page.get_by_text("These actions as requests and commands").click()
    twins = page.locator("details.twins").first
    expect(twins).to_contain_text("./sworm handoff counters a")
    expect(twins).to_contain_text("/api/v1/sworms/counters/processes/a/handoff")


def test_a_message_is_sent_and_its_reply_or_problem_stays(
    visit: Visit, stage: Stage, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ("502",)
    stage.put("a", "n1")
    page.route("**/processes/a/call", lambda route: route.fulfill(status=200, body='{"reply": {"value": 7}}'))
    visit("/process?sworm=counters&name=a")
    page.get_by_role("button", name="Call").click()
    expect(page.locator(".reply pre")).to_have_text(re.compile(r'"value": 7'))
    page.get_by_label("Message, as JSON").fill("{nonsense")
    page.get_by_role("button", name="Call").click()
    expect(page.locator(".send .trouble")).to_contain_text("The message is not JSON")
    page.route(
        "**/processes/a/call",
        lambda route: route.fulfill(status=502, body='{"code": "worker_crashed", "detail": "ValueError: no"}'),
    )
    page.get_by_label("Message, as JSON").fill('"x"')
    page.get_by_role("button", name="Call").click()
    expect(page.locator(".send .trouble")).to_have_text("Call: ValueError: no (worker_crashed)")


def test_a_viewer_may_look_but_not_act(visit: Visit, stage: Stage) -> None:
    stage.put("a", "n1")
    page = visit("/process?sworm=counters&name=a", scopes.VIEWER)
    expect(page.locator(".process-state")).to_have_text("running on n1")
    expect(page.locator("main")).to_contain_text("You may look, not act")
    for name in ("Restart", "Unregister", "Hand off", "Call"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_a_name_without_a_process_keeps_its_page(visit: Visit, stage: Stage, complaints: Complaints) -> None:
    complaints.expected = ("404",)
    stage.put("a", "n1")
    stage.event("started", "a", pid=Process.objects.get().pid)
    page = visit("/process?sworm=counters&name=a")
    expect(page.locator(".process-state")).to_have_text("running on n1")
    stage.remove("a")
    expect(page.locator(".process-state")).to_have_text("Nothing runs under this name any more")
    expect(page.locator(".life > li")).to_contain_text("its name was freed")
    expect(page.get_by_role("button", name="Restart")).to_have_count(0)


def test_a_session_that_ends_is_said_and_leads_back_here(visit: Visit, stage: Stage, complaints: Complaints) -> None:
    complaints.expected = ("401",)
    stage.fill({"n1": ["a"]})
    page = visit("/processes?sort=name")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.context.clear_cookies()
    denied = page.locator("#denied")
    expect(denied).to_contain_text("Your session has ended")
    denied.get_by_role("link", name="Sign in again").click()
    expect(page).to_have_url(re.compile(r"/signin\?next=%2Fprocesses%3Fsort%3Dname"))


def test_keys_lead_everywhere(visit: Visit, stage: Stage) -> None:
    page = visit("/processes")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Find a process")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.locator("h1")).to_have_text("Events")
    page.keyboard.press("/")
    page.keyboard.type("g e")
    expect(page.locator("#search")).to_have_value("g e")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/processes\?q=g\+e"))


@pytest.mark.parametrize("path", ["/processes", "/process?sworm=counters&name=" + "a-name-" * 30])
def test_nothing_is_cut_off_on_a_phone(path: str, visit: Visit, stage: Stage, page: Page) -> None:
    stage.fill({"n1": ["a", "a-name-" * 30]})
    page.set_viewport_size({"width": 390, "height": 844})
    visit(path)
    expect(page.locator("main")).to_contain_text("running")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
