"""What people see of a real cluster: agents that are killed, stopped and drained, processes that crash and move.

Law: everything is started by `./sworm up`, nothing is staged. What a test does to the cluster it does as anybody could,
by the page, REST or a signal; what it judges is what stands on the page, and that REST says the same.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, expect

from swormweb.launch import ports
from swormweb.launch.process import Running
from tests.live.cluster import LIMIT, OWN_WORKERS, LiveCluster

from .conftest import Complaints
from .hands import cell, drag, wait_for_cells

pytestmark = [pytest.mark.browser, pytest.mark.live]

COUNTER = "examples.counters:Counter"
NODES = ("n1", "n2", "n3")
NAMES = [f"c{number}" for number in range(30)]

#: ms within which a node's death is noticed and told, on a busy machine.
DEATH = LIMIT * 1000

# Notes where on the overlay something is drawn, frame by frame: cells that fly, and rings around what changed.
WATCH = """() => {
  const overlay = document.getElementById("overlay");
  const small = new OffscreenCanvas(288, 180).getContext("2d", { willReadFrequently: true });
  window.drawn = [];
  const look = () => {
    small.clearRect(0, 0, 288, 180);
    small.drawImage(overlay, 0, 0, 288, 180);
    const pixels = small.getImageData(0, 0, 288, 180).data;
    for (let i = 3; i < pixels.length; i += 4) {
      if (pixels[i] > 100) window.drawn.push(((i >> 2) % 288) * overlay.clientWidth / 288);
    }
    requestAnimationFrame(look);
  };
  look();
}"""

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """Three agents that may run workers of our own; each test finds them whole and empty, and hurts them."""
    cluster = LiveCluster(tmp_path_factory.mktemp("real") / "data", ports.choose(set()), 3, OWN_WORKERS)
    try:
        cluster.up()
        cluster.sworms("counters", handoff=True)
        cluster.sworms("fragile", max_restarts=1, max_seconds=600)
        yield cluster
        assert not cluster.defects()
    finally:
        cluster.sworm("down", "--now", "--data", str(cluster.data), check=False)


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, cluster: LiveCluster) -> Any:
    """The session that the link of `up` begins, for every test's browser."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(cluster.told["sign_in_url"])
    expect(page.locator(".who")).to_contain_text("admin")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def visit(cluster: LiveCluster, signed_in: Any, context: BrowserContext, page: Page) -> Visit:
    """Open a page of a whole and empty cluster, signed in as an admin."""
    cluster.make_whole()
    context.add_cookies(signed_in["cookies"])

    def open_page(path: str = "/") -> Page:
        page.goto(cluster.url + path)
        return page

    return open_page


def counters(cluster: LiveCluster) -> dict[str, int]:
    """Thirty counters, each at a value of its own, which are returned."""
    cluster.register_many("counters", NAMES, COUNTER)
    return {
        name: cluster.call("counters", name, {"op": "increment", "by": n}).body["reply"]
        for n, name in enumerate(NAMES, 1)
    }


def home(cluster: LiveCluster, name: str, sworm: str = "counters") -> str:
    """The node of a process."""
    return str(cluster.get(f"/sworms/{sworm}/processes/{name}").body["node"])


def wait_for(page: Page, what: str, look: Callable[[], bool]) -> None:
    """Poll a condition while the page goes on."""
    for _ in range(int(LIMIT * 20)):
        if look():
            return
        page.wait_for_timeout(50)
    pytest.fail(f"not within {LIMIT:.0f} s: {what}")


def succeeded(page: Page, link: str) -> None:
    """The operation's page says that it succeeded."""
    page.goto(link)
    expect(page.locator(".operation-state")).to_contain_text("Succeeded after")


# ------------------------------------------------------------------------------------------------------------ a crash


def test_a_crash_is_told_with_its_traceback_and_what_gave_up_is_started_again(
    visit: Visit, cluster: LiveCluster, complaints: Complaints
) -> None:
    complaints.expected = ("502",)
    cluster.register_many("fragile", ["glass"], "live_workers:Crashing")
    page = visit("/process?sworm=fragile&name=glass")
    life = page.locator(".life > li")
    expect(life).to_have_count(1)
    box = page.get_by_label("Message, as JSON")
    box.fill('"crash"')
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator(".send").get_by_role("alert")).to_contain_text("worker_crashed")
    expect(life).to_have_count(2)
    expect(life.first).to_contain_text("Restarted after the crash")
    expect(life.first).to_contain_text("Runs now")
    expect(life.last).to_contain_text("Crashed")
    expect(life.last.locator("pre")).to_contain_text("Traceback (most recent call last)")
    expect(life.last.locator("pre")).to_contain_text("RuntimeError: as asked")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator(".process-state")).to_contain_text("failed on n")
    expect(life.first).to_contain_text("was not restarted again")
    page.goto(cluster.url)
    expect(page.locator("#health")).to_contain_text("1 process has failed: fragile/glass")
    page.goto(f"{cluster.url}/process?sworm=fragile&name=glass")
    page.get_by_role("button", name="Restart").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart glass").click()
    expect(page.locator(".action")).to_contain_text("confirmed")
    expect(page.locator(".process-state")).to_contain_text("running on n")


# ------------------------------------------------------------------------------------------------------------- moving


def test_a_process_moves_with_its_state_by_button_by_drag_and_by_keyboard(visit: Visit, cluster: LiveCluster) -> None:
    page = visit()
    cluster.register_many("counters", ["lobby"], COUNTER)
    assert cluster.call("counters", "lobby", {"op": "increment", "by": 7}).body["reply"] == 7
    flown = False
    for way in (by_button, by_drag, by_keyboard):
        page.goto(f"{cluster.url}/")
        source = home(cluster, "lobby")
        target = next(node for node in NODES if node != source)
        wait_for_cells(page, source, 1)
        page.evaluate(WATCH)
        action = way(page, source, target)
        expect(action).to_contain_text("confirmed")
        expect(action).to_contain_text(f"runs on {target}")
        wait_for_cells(page, target, 1)
        wait_for_cells(page, source, 0)
        flown = flown or crossed(page, source, target)
        expect(page.locator("#lately")).to_contain_text(f"counters/lobby moved from {source} to {target}")
        href = action.get_by_role("link").get_attribute("href") or ""
        succeeded(page, cluster.url + href)
        assert home(cluster, "lobby") == target
        assert cluster.call("counters", "lobby", {"op": "get"}).body["reply"] == 7
    assert flown, "no cell was seen between two blocks"


def by_button(page: Page, source: str, target: str) -> Any:
    """From the drawer."""
    page.mouse.click(*cell(page, source))
    drawer = page.locator("#drawer")
    drawer.get_by_label("Hand off to node").select_option(target)
    drawer.get_by_role("button", name="Hand off", exact=True).click()
    return drawer.locator(".action")


def by_drag(page: Page, source: str, target: str) -> Any:
    """From one block to the other."""
    drag(page, cell(page, source), target)
    page.mouse.up()
    page.get_by_role("dialog").get_by_role("button", name=f"Hand off lobby to {target}").click()
    return page.locator("#moves .action")


def by_keyboard(page: Page, source: str, target: str) -> Any:
    """Without a pointer."""
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#spoken")).to_have_text(f"lobby, counters, running on {source}")
    page.keyboard.press("m")
    page.get_by_role("dialog").get_by_role("combobox").select_option(target)
    page.keyboard.press("Tab")
    page.get_by_role("button", name=f"Hand off lobby to {target}").press("Enter")
    return page.locator("#moves .action")


def crossed(page: Page, source: str, target: str) -> bool:
    """Whether something was drawn between the two blocks' first cells, further from both than a ring reaches."""
    places = page.evaluate("() => window.drawn")
    start, end = sorted((cell(page, source)[0], cell(page, target)[0]))
    return any(start + 30 < x < end - 30 for x in places)


# ------------------------------------------------------------------------------------------------------------- people


def test_a_viewer_made_in_the_admin_sees_everything_and_may_do_nothing(
    visit: Visit, cluster: LiveCluster, chromium: Browser
) -> None:
    page = visit("/admin/auth/user/add/")
    cluster.register_many("counters", ["window"], COUNTER)
    page.get_by_label("Username").fill("looker")
    for label in ("Password:", "Password confirmation"):
        page.get_by_label(label).fill("only looking at it")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("select[name=groups]").select_option(label="viewer")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".success")).to_contain_text("looker")
    own = chromium.new_context()
    looker = own.new_page()
    looker.goto(f"{cluster.url}/?p=counters/window")
    looker.get_by_label("Name").fill("looker")
    looker.get_by_label("Password").fill("only looking at it")
    looker.get_by_role("button", name="Sign in").click()
    expect(looker.locator("#drawer")).to_contain_text("running on n")
    expect(looker.locator("#drawer")).to_contain_text("You may look, not act")
    looker.goto(f"{cluster.url}/process?sworm=counters&name=window")
    expect(looker.locator(".life > li")).to_have_count(1)
    expect(looker.get_by_role("button", name=re.compile("Call|Cast|Hand off|Restart|Unregister"))).to_have_count(0)
    refused = looker.evaluate(
        """async () => (await fetch("/api/v1/sworms/counters/processes/window", {
             method: "DELETE", headers: { "X-CSRFToken": document.body.dataset.csrf } })).status"""
    )
    assert refused == 403
    assert home(cluster, "window")
    own.close()


def test_a_session_that_ends_is_told_on_every_open_page(
    visit: Visit, cluster: LiveCluster, complaints: Complaints
) -> None:
    complaints.expected = ("401", "403", "WebSocket connection")
    visit()
    link = cluster.sworm("signin", "--data", str(cluster.data)).stdout.strip()
    page = visit()
    page.context.clear_cookies()
    page.goto(link)
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    listing, leaving = page.context.new_page(), page.context.new_page()
    listing.goto(f"{cluster.url}/processes")
    expect(listing.locator("caption")).to_contain_text("process")
    leaving.goto(f"{cluster.url}/nodes")
    leaving.get_by_role("button", name="Sign out").click()
    expect(listing.locator("#denied")).to_contain_text("Your session has ended")
    expect(listing.locator("#denied-link")).to_have_attribute("href", "/signin?next=%2Fprocesses")
    expect(page.locator("#health")).to_contain_text("Your session has ended: sign in again")
    expect(page.locator("#sign-in")).to_be_visible()


# --------------------------------------------------------------------------------------------------------- the stream


@pytest.mark.parametrize("kind", ["lossy", "slow"])
def test_a_bad_stream_ends_in_the_true_picture(kind: str, visit: Visit, cluster: LiveCluster, page: Page) -> None:
    passed: list[str] = []
    asked: list[str] = []

    def through(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        late: list[str] = []

        def up(text: str | bytes) -> None:
            asked.append(json.loads(text)["type"])
            server.send(text)

        def down(text: str | bytes) -> None:
            """Every second diff is lost; or what comes waits for the next three."""
            passed.append(json.loads(text)["type"])
            if kind == "lossy" and passed[-1] == "diff" and passed.count("diff") % 2:
                return
            late.append(str(text))
            if kind == "slow" and passed[-1] == "diff" and len(late) < 4:
                return
            while late:
                route.send(late.pop(0))

        route.on_message(up)
        server.on_message(down)

    page.route_web_socket(re.compile("/ws/map"), through)
    visit("/?view=table&sworm=counters")
    counters(cluster)
    for source, target in (("n1", "n2"), ("n2", "n3")):
        cluster.operation(cluster.post("/sworms/counters/migrate", {"from": source, "to": target}))
    cluster.request("DELETE", "/sworms/counters/processes/c0")
    true = {name: item["pid"] for name, item in cluster.processes("counters").items()}
    rows = "rows => Object.fromEntries(rows.map(row => [row.cells[2].innerText, row.cells[4].innerText]))"
    wait_for(page, "the table is true", lambda: page.locator("#twin tbody tr").evaluate_all(rows) == true)
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    assert passed.count("diff") > 2
    assert (kind == "lossy") == ("resync" in asked)


# ------------------------------------------------------------------------------------------------------------- leaving


def test_a_node_that_is_held_up_is_given_up_and_comes_back_without_doubles(visit: Visit, cluster: LiveCluster) -> None:
    page = visit()
    counters(cluster)
    held = cluster.signal("n1", signal.SIGSTOP)
    try:
        block = page.locator(".block[data-node='n1']")
        expect(block).to_have_attribute("data-status", "dead", timeout=DEATH)
        expect(page.locator("#health")).to_have_text(re.compile(r"n1 lost .* back on n2 and n3"), timeout=DEATH)
        wait_for(page, "all are back", lambda: cluster.running("n2", "n3") == len(NAMES))
    finally:
        os.kill(held.pid, signal.SIGCONT)
    expect(block).to_have_attribute("data-status", "alive", timeout=DEATH)
    expect(page.locator("#health")).to_have_text(re.compile("^3 nodes · 30 processes"), timeout=DEATH)
    wait_for(page, "each runs once", lambda: cluster.running(*NODES) == len(NAMES))
    for node in NODES:
        wait_for_cells(page, node, cluster.running(node))


def test_a_drain_moves_everything_and_the_agent_ends(visit: Visit, cluster: LiveCluster) -> None:
    page = visit()
    values = counters(cluster)
    page.goto(f"{cluster.url}/?n=n2")
    drawer = page.locator("#drawer")
    here = cluster.running("n2")
    expect(drawer).to_contain_text(f"{here} running")
    agent = Running.of(cluster.pid("n2"))
    drawer.get_by_role("button", name="Drain n2").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{here} process")
    dialog.get_by_role("button", name="Drain n2").click()
    action = drawer.locator(".action")
    expect(action).to_contain_text("confirmed")
    href = action.get_by_role("link").get_attribute("href") or ""
    expect(drawer.locator(".panel-state")).to_contain_text("left")
    expect(page.locator("#health")).to_contain_text("2 nodes · 30 processes")
    succeeded(page, cluster.url + href)
    expect(page.locator(".operation-progress")).to_contain_text(f"{here} of {here}")
    wait_for(page, "the agent has ended", lambda: not agent.alive)
    assert cluster.call_all("counters", NAMES, {"op": "get"}) == values
    assert {item["node"] for item in cluster.processes("counters").values()} == {"n1", "n3"}


def test_a_killed_node_is_told_hatched_and_its_processes_are_back(visit: Visit, cluster: LiveCluster) -> None:
    page = visit()
    counters(cluster)
    lost = cluster.running("n3")
    wait_for_cells(page, "n3", lost)
    cluster.kill("n3")
    block = page.locator(".block[data-node='n3']")
    expect(block).to_have_attribute("data-status", "dead", timeout=DEATH)
    assert "repeating-linear-gradient" in block.evaluate("element => getComputedStyle(element).backgroundImage")
    told = rf"n3 lost .* ago: {lost} of {lost} processes back on n1 and n2 · 2 nodes · 30 processes"
    expect(page.locator("#health")).to_have_text(re.compile(told), timeout=DEATH)
    for node in ("n1", "n2"):
        wait_for_cells(page, node, cluster.running(node))
    assert cluster.running("n1", "n2") == len(NAMES)
    block.get_by_role("button", name="Acknowledge").click()
    expect(block).to_have_count(0)
    expect(page.locator("#health")).to_have_text(re.compile("^2 nodes · 30 processes"))
