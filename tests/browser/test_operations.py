"""Operations as people see them: the page of one, live, with its processes, its twins, and the way to stop it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from registry import scopes
from supervisor.core.operation import End
from supervisor.models import Operation
from supervisor.operations import Move

from .conftest import Complaints
from .web import Stage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]


def moves(count: int = 3) -> list[Move]:
    return [Move("counters", f"c{number}", "n1", "n2", "it is to leave n1") for number in range(count)]


def path(operation: Operation) -> str:
    return f"/operations/{operation.pk}"


def test_an_operation_is_followed_live_to_its_end(visit: Visit, stage: Stage) -> None:
    operation = stage.operation("migrate", moves(), params={"from": "n1"})
    page = visit(path(operation))
    expect(page.locator("h1")).to_have_text("Migrate counters from n1 to n2")
    expect(page.locator(".operation-state")).to_contain_text("Running for")
    expect(page.locator(".operation-progress")).to_contain_text("0 of 3 processes")
    expect(page.locator("#operation")).to_contain_text("user:somebody")
    expect(page.locator("#operation")).to_contain_text("a new disk")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("waiting")
    expect(rows.first).to_contain_text("it is to leave n1")
    stage.step(operation, 0, "done", "runs on n2 as n2.1.7")
    stage.step(operation, 1, "asked")
    expect(page.locator(".operation-progress")).to_contain_text("1 of 3 processes")
    expect(rows.nth(0)).to_contain_text("runs on n2 as n2.1.7")
    expect(rows.nth(1)).to_contain_text("under way")
    stage.step(operation, 1, "failed", "it would not freeze")
    stage.step(operation, 2, "done", "runs on n2", End("failed", "refused", "1 of 3 failed: it would not freeze"))
    expect(page.locator(".operation-state")).to_contain_text("Failed after")
    expect(page.locator(".operation .trouble")).to_contain_text("1 of 3 failed: it would not freeze (refused)")
    expect(page.locator(".events li").last).to_contain_text("1 of 3 failed")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    page.get_by_label("Show").select_option("failed")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("c1")
    expect(page).to_have_url(re.compile(r"state=failed$"))


def test_an_operation_is_cancelled_after_a_confirmation_that_counts(visit: Visit, stage: Stage) -> None:
    operation = stage.operation("migrate", moves(5))
    stage.step(operation, 0, "done")
    page = visit(path(operation))
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("4 processes are not done")
    dialog.get_by_role("button", name="Cancel migrate of counters").click()
    expect(page.locator(".operation-state")).to_contain_text("Cancelled by user:operator: what is under way finishes")
    for number in range(1, 5):
        end = End("cancelled", "", "1 done, 4 not begun") if number == 4 else None
        stage.step(operation, number, "skipped", "cancelled before its turn", end)
    expect(page.locator(".operation-state")).to_contain_text("Cancelled by user:operator after")
    expect(page.locator(".action")).to_contain_text("confirmed")
    expect(page.locator("tbody tr").last).to_contain_text("not begun")


def test_the_same_is_said_for_scripts(visit: Visit, stage: Stage) -> None:
    operation = stage.operation("migrate", moves(2))
    page = visit(path(operation))
    page.get_by_text("The same for scripts").click()
    twins = page.locator(".twins")
    expect(twins).to_contain_text("./sworm migrate counters --name c0 --name c1 --to n2")
    expect(twins).to_contain_text("/api/v1/sworms/counters/migrate")
    expect(twins).to_contain_text(f"./sworm operations cancel {operation.pk}")


def test_who_may_only_look_cannot_cancel(visit: Visit, stage: Stage) -> None:
    operation = stage.operation("restart", moves(1))
    page = visit(path(operation), scopes.VIEWER)
    expect(page.locator(".operation-state")).to_contain_text("Running for")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_an_operation_that_is_not_there_says_so(visit: Visit, stage: Stage, complaints: Complaints) -> None:
    complaints.expected = ("404",)
    page = visit("/operations/01234567-89ab-4def-8123-456789abcdef")
    expect(page.get_by_role("alert")).to_have_text("There is no such operation, or not for you.")


def test_the_list_leads_to_each(visit: Visit, stage: Stage) -> None:
    operation = stage.operation("rebalance", moves(1), params={"dwell_s": 60})
    page = visit("/operations")
    page.get_by_role("link", name="rebalance").click()
    expect(page).to_have_url(re.compile(path(operation)))
    expect(page.locator("h1")).to_contain_text("Rebalance counters")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    theme: str, width: int, visit: Visit, stage: Stage, page: Page
) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 844})
    operation = stage.operation("migrate", moves(12), params={"from": "n1", "max_per_minute": 30})
    for number, state in enumerate(("done", "done", "asked", "failed")):
        stage.step(operation, number, state, "runs on n2 as n2.1.7" if state == "done" else "")
    visit(path(operation))
    expect(page.locator("tbody tr")).to_have_count(12)
    page.get_by_text("The same for scripts").click()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
