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
from .hands import cell, drag
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
    page = visit("/operations?state=failed")
    expect(page.locator("caption")).to_have_text("No operation passes these filters")
    page.get_by_label("State").select_option("running")
    expect(page.locator("tbody tr")).to_contain_text("0 of 1")
    page.get_by_role("link", name="rebalance").click()
    expect(page).to_have_url(re.compile(path(operation)))
    expect(page.locator("h1")).to_contain_text("Rebalance counters")
    expect(page.locator(".rail [aria-current]")).to_have_text("Operations")


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


# ------------------------------------------------------------------------------------------------- dragging, and marks


def filled(visit: Visit, stage: Stage, role: str = scopes.OPERATOR) -> Page:
    stage.fill({"n1": ["a", "b", "c"], "n2": ["d"]})
    stage.define("counters")
    page = visit("/", role)
    expect(page.locator("#health")).to_contain_text("4 processes")
    return page


def test_a_cell_dragged_to_another_block_proposes_a_handoff(visit: Visit, stage: Stage) -> None:
    page = filled(visit, stage)
    drag(page, cell(page, "n1"), "n2")
    expect(page.locator(".drag-ghost")).to_have_text("a")
    expect(page.locator(".block[data-node='n2']")).to_have_class(re.compile("drop-yes"))
    page.mouse.up()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Hand off a?")
    dialog.get_by_text("The same for scripts").click()
    expect(dialog).to_contain_text("./sworm handoff counters a --to n2")
    assert not Operation.objects.exists()
    dialog.get_by_role("button", name="Hand off a to n2").click()
    action = page.locator("#moves .action")
    expect(action.get_by_role("link")).to_have_attribute("href", re.compile("^/operations/"))
    made = Operation.objects.get()
    assert (made.kind, made.target, made.params["to"]) == ("handoff", "counters/a", "n2")
    assert action.get_by_role("link").get_attribute("href") == path(made)
    stage.put("a", "n2")
    expect(action).to_contain_text("runs on n2")
    expect(page.locator("#drawer")).to_be_hidden()


def test_a_drag_that_ends_nowhere_proposes_nothing(visit: Visit, stage: Stage) -> None:
    page = filled(visit, stage)
    stage.node("n3", "draining")
    expect(page.locator(".block[data-node='n3']")).to_have_attribute("data-status", "draining")
    drag(page, cell(page, "n1"), "n3")
    expect(page.locator(".block[data-node='n3']")).to_have_class(re.compile("drop-no"))
    page.mouse.up()
    drag(page, cell(page, "n1"), "n2")
    page.keyboard.press("Escape")
    expect(page.locator(".drag-ghost")).to_have_count(0)
    page.mouse.up()
    drag(page, cell(page, "n1"), "n1")
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#drawer")).to_be_hidden()
    page.mouse.click(*cell(page, "n1"))
    expect(page.locator("#drawer")).to_contain_text("running on n1")


def test_the_marked_move_together_after_a_confirmation_that_counts(visit: Visit, stage: Stage) -> None:
    page = filled(visit, stage)
    page.keyboard.down("Shift")
    for number in (0, 2):
        page.mouse.click(*cell(page, "n1", number))
    page.keyboard.up("Shift")
    expect(page.locator("#marked")).to_contain_text("2 processes marked")
    expect(page).to_have_url(re.compile(r"#m=counters%2Fa&m=counters%2Fc$"))
    drag(page, cell(page, "n1"), "n3")
    expect(page.locator(".drag-ghost")).to_have_text("2 processes")
    page.mouse.up()
    page.get_by_role("dialog").get_by_role("button", name="Hand off 2 processes to n3").click()
    expect(page.locator("#moves .action").get_by_role("link")).to_be_visible()
    made = Operation.objects.get()
    names = made.processes.order_by("name").values_list("name", flat=True)
    assert (made.kind, list(names), made.params["to"]) == ("migrate", ["a", "c"], "n3")
    page.reload()
    expect(page.locator("#marked")).to_contain_text("2 processes marked")
    page.get_by_role("button", name="Unmark all").click()
    expect(page.locator("#marked")).to_be_hidden()


def test_the_keyboard_marks_and_proposes_the_same(visit: Visit, stage: Stage) -> None:
    page = filled(visit, stage)
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    expect(page.locator("#spoken")).to_have_text(re.compile("marked$"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    expect(page.locator("#marked")).to_contain_text("2 processes marked")
    page.keyboard.press("m")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("combobox")).to_be_focused()
    dialog.get_by_role("combobox").select_option("n2")
    dialog.get_by_role("button", name="Hand off 2 processes to n2").press("Enter")
    expect(page.locator("#moves .action").get_by_role("link")).to_be_visible()
    assert Operation.objects.get().total == 2


def test_who_may_only_look_neither_drags_nor_marks(visit: Visit, stage: Stage) -> None:
    page = filled(visit, stage, scopes.VIEWER)
    drag(page, cell(page, "n1"), "n2")
    expect(page.locator(".drag-ghost")).to_have_count(0)
    page.mouse.up()
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("m")
    expect(page.locator("#marked")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_while_something_is_proposed(theme: str, visit: Visit, stage: Stage, page: Page) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    filled(visit, stage)
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    assert Axe().run(page).response["violations"] == []
    page.keyboard.press("m")
    page.get_by_role("dialog").get_by_text("The same for scripts").click()
    assert Axe().run(page).response["violations"] == []


def test_the_drawers_say_the_same_for_scripts(visit: Visit, stage: Stage) -> None:
    filled(visit, stage)
    page = visit("/?p=counters/a", scopes.ADMIN)
    drawer = page.locator("#drawer")
    drawer.get_by_text("The same for scripts").click()
    expect(drawer).to_contain_text("./sworm handoff counters a --to n2")
    expect(drawer).to_contain_text("./sworm restart counters a")
    page.goto(page.url.split("?")[0] + "?n=n1")
    drawer.get_by_text("The same for scripts").click()
    expect(drawer).to_contain_text("./sworm drain n1")


# ----------------------------------------------------------------------------------------------------------- asking for


def test_a_plan_is_looked_at_before_it_is_carried_out(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b"], "n2": ["c"]})
    stage.define("counters")
    page = visit("/operations")
    page.get_by_text("Ask for an operation").click()
    form = page.get_by_role("form", name="Ask for an operation")
    form.get_by_label("Do").select_option("migrate")
    form.get_by_label("Leave").select_option("n1")
    form.get_by_label("Go to").select_option("n2")
    form.get_by_label("Why").fill("a new disk")
    form.get_by_role("button", name="Show the plan").click()
    plan = page.locator(".plan")
    expect(plan.locator("tbody tr")).to_have_count(2)
    expect(plan).to_contain_text("it is to leave n1")
    plan.get_by_text("The same for scripts").click()
    expect(plan).to_contain_text("./sworm migrate counters --from n1 --to n2")
    assert Axe().run(page).response["violations"] == []
    assert not Operation.objects.exists()
    plan.get_by_role("button", name="Migrate counters: 2 processes move").click()
    expect(page).to_have_url(re.compile("/operations/[0-9a-f-]{36}$"))
    made = Operation.objects.get()
    assert (made.kind, made.total, made.reason) == ("migrate", 2, "a new disk")


def test_a_plan_that_cannot_be_says_why(visit: Visit, stage: Stage, complaints: Complaints) -> None:
    complaints.expected = ("422",)
    stage.fill({"n1": ["a"]})
    stage.define("counters")
    page = visit("/operations")
    page.get_by_text("Ask for an operation").click()
    form = page.get_by_role("form", name="Ask for an operation")
    form.get_by_label("Leave").select_option("n1")
    form.get_by_label("Go to").select_option("n1")
    form.get_by_role("button", name="Show the plan").click()
    expect(page.locator(".ask").get_by_role("alert")).to_contain_text("where they run already")
    form.get_by_label("Do").select_option("restart")
    expect(form.get_by_label("Leave")).to_be_hidden()
    form.get_by_role("button", name="Show the plan").click()
    expect(page.get_by_role("button", name="Restart counters: 1 process begins anew")).to_be_visible()
