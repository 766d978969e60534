"""What people see of a real split: a node whose cable is pulled and plugged in again.

Law: agents in network namespaces of their own, a real observer, the real web part. The broker is reached by all, so
that both sides can be asked while they do not see each other; the page knows what the observer's side knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from registry import scopes
from registry.models import Sworm
from supervisor.core.spec import Definition
from tests.live.lands import PORT, Lands, lands
from tests.supervisor.processes import KEY, until

from .web import Stage, Web

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.django_db(transaction=True)]

NAMES = [f"name{number}" for number in range(30)]

#: Patient enough that a busy machine is not taken for a second split.
PRESET = "lan"

#: ms within which a split or its end is noticed and told, on a busy machine.
NOTICED = 60_000


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Lands]:
    """Three agents, each with a cable of its own."""
    with lands(3, tmp_path, Definition("rooms", 1, handoff=True), SWORM_MESH_PRESET=PRESET) as three:
        yield three


@pytest.fixture
def visit(
    _orm_beside_a_loop: None, transactional_db: None, three: Lands, tmp_path: Path, _stage: Stage, page: Page
) -> Iterator[Callable[[str], Page]]:
    """Open a page of the control plane that observes them."""
    Sworm.objects.create(name="rooms", handoff=True)
    mesh = {"SWORM_CLUSTER_KEY": KEY, "SWORM_MESH_PRESET": PRESET, "REDIS_URL": three.redis_url}
    web = Web(tmp_path, str(settings.DATABASES["default"]["NAME"]), **mesh)
    joins = [word for land in three.lands.values() for word in ("--join", f"ws://{land.address}:{PORT}")]
    here = three.lands["n1"].address.rpartition(".")[0] + ".254"  # of this machine, on their bridge
    observer = web.observer("--listen", f"{here}:0", *joins)
    try:
        web.start()
        page.goto(web.url + _stage.sign_in_path(scopes.OPERATOR))

        def open_page(path: str) -> Page:
            page.goto(web.url + path)
            return page

        yield open_page
    finally:
        observer.kill()
        observer.wait()
        web.stop()


def test_a_split_and_its_healing_are_told(visit: Callable[[str], Page], three: Lands) -> None:
    page = visit("/")
    assert all(result["ok"] for result in three.register("n1", NAMES))
    expect(page.locator("#health")).to_have_text(re.compile("^3 nodes · 30 processes"), timeout=NOTICED)
    assert three.processes("n3")
    three.lands["n3"].pull()
    block = page.locator(".block[data-node='n3']")
    expect(block).to_have_attribute("data-status", "dead", timeout=NOTICED)
    told = r"n3 lost .*: (\d+) of \1 processes back on n.* 2 nodes · 30 processes"
    expect(page.locator("#health")).to_have_text(re.compile(told), timeout=NOTICED)
    until(lambda: three.processes("n3") == len(NAMES), "the other side runs them all, too")
    assert three.register("n3", ["island"])[0]["ok"]
    page.get_by_role("button", name="Table").click()
    expect(page.locator("#twin tbody tr")).to_have_count(30)
    three.lands["n3"].plug()
    expect(page.locator("#health")).to_have_text(re.compile("^3 nodes · 31 processes"), timeout=NOTICED)
    expect(page.locator("#twin tbody tr", has_text="island")).to_contain_text("n3")
    until(lambda: sum(three.processes(at) for at in three.lands) == len(NAMES) + 1, "each runs once")
    true = three.pids("n1")
    rows = "rows => Object.fromEntries(rows.map(row => [row.cells[2].innerText, row.cells[4].innerText]))"
    for _ in range(int(NOTICED / 50)):
        if page.locator("#twin tbody tr").evaluate_all(rows) == true:
            break
        page.wait_for_timeout(50)
    assert page.locator("#twin tbody tr").evaluate_all(rows) == true
    page = visit("/events?kind=conflict")
    expect(page.locator("tbody tr").first).to_contain_text("outranks", timeout=NOTICED)
    name = page.locator("tbody tr a[href^='/process']").first
    page = visit(name.get_attribute("href") or "")
    expect(page.locator(".life")).to_contain_text("Gave way to another after a split")
