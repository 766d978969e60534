"""The live map in front of the real web part: what people see when something happens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from registry import scopes

from .conftest import Complaints
from .hands import wait_for_cells
from .web import Stage, Web

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]


def test_every_node_is_a_block_and_every_process_a_cell(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b", "c"], "n2": ["d"]})
    stage.fill({"n3": ["web", "valkey"]}, sworm="probes")
    page = visit()
    expect(page.locator("#health")).to_contain_text("3 nodes · 6 processes")
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    for node, n in (("n1", 3), ("n2", 1), ("n3", 2)):
        wait_for_cells(page, node, n)
    expect(page.locator("#sworms")).to_contain_text("counters 4")
    expect(page.locator("#sworms")).to_contain_text("probes 2")


def test_a_change_in_the_cluster_moves_by_itself(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b"]})
    page = visit()
    wait_for_cells(page, "n1", 2)
    stage.put("a", "n2")
    wait_for_cells(page, "n2", 1)
    wait_for_cells(page, "n1", 1)
    expect(page.locator("#lately")).to_contain_text("counters/a moved from n1 to n2")
    stage.put("c", "n3")
    wait_for_cells(page, "n3", 1)
    stage.remove("b")
    wait_for_cells(page, "n1", 0)
    stage.put("c", "n3", "failed")
    expect(page.locator("#health")).to_contain_text("1 process has failed: counters/c")


def test_news_that_the_layer_dropped_are_asked_for(visit: Visit, stage: Stage, page: Page) -> None:
    stage.fill({"n1": ["a"]})
    asked: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: asked.append(str(frame))))
    visit()
    wait_for_cells(page, "n1", 1)
    stage.put("lost", "n2", frame=False)
    stage.put("seen", "n3")
    wait_for_cells(page, "n2", 1)
    wait_for_cells(page, "n3", 1)
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")


def test_a_gap_on_the_way_to_the_browser_is_noticed_and_cured(visit: Visit, stage: Stage, page: Page) -> None:
    sent: list[dict[str, object]] = []
    dropped: list[str] = []

    def through(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        route.on_message(lambda text: (sent.append(json.loads(text)), server.send(text)))

        def back(text: str | bytes) -> None:
            if json.loads(text)["type"] == "diff" and not dropped:
                dropped.append(str(text))
            else:
                route.send(text)

        server.on_message(back)

    page.route_web_socket(re.compile("/ws/map"), through)
    stage.fill({"n1": ["a"]})
    visit()
    wait_for_cells(page, "n1", 1)
    stage.put("b", "n2")
    page.wait_for_timeout(300)
    stage.put("c", "n3")
    wait_for_cells(page, "n2", 1)
    wait_for_cells(page, "n3", 1)
    assert dropped
    assert [message["type"] for message in sent] == ["resync"]
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")


def test_a_slow_stream_shows_the_latest_and_says_nothing_untrue(visit: Visit, stage: Stage, page: Page) -> None:
    held: list[str] = []
    slow: list[WebSocketRoute] = []

    def through(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        slow.append(route)
        route.on_message(server.send)

        def back(text: str | bytes) -> None:
            if json.loads(text)["type"] == "diff":
                held.append(str(text))
            else:
                route.send(text)

        server.on_message(back)

    page.route_web_socket(re.compile("/ws/map"), through)
    stage.fill({"n1": ["a"]})
    visit()
    wait_for_cells(page, "n1", 1)
    for node in ("n2", "n3", "n1", "n2"):
        stage.put("a", node)
    page.wait_for_timeout(500)
    assert held
    for text in held:
        slow[-1].send(text)
    wait_for_cells(page, "n2", 1)
    wait_for_cells(page, "n1", 0)
    wait_for_cells(page, "n3", 0)
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")


def test_without_heartbeats_the_whole_map_says_that_it_is_stale(visit: Visit, stage: Stage, page: Page) -> None:
    def mute(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda text: route.send(text) if json.loads(text)["type"] == "snapshot" else None)

    page.route_web_socket(re.compile("/ws/map"), mute)
    page.clock.install()
    stage.fill({"n1": ["a"]})
    visit()
    wait_for_cells(page, "n1", 1)
    page.clock.fast_forward("00:14")
    expect(page.locator("#badge")).to_have_attribute("data-state", "stale")
    expect(page.locator("#badge-text")).to_have_text(re.compile(r"stale, showing what was true 1\d s ago"))
    expect(page.locator("#health")).to_contain_text("No sign of life from the observer")
    expect(page.locator("body")).to_have_class(re.compile("old-picture"))


def test_an_observer_that_no_longer_writes_makes_the_map_stale(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a"]})
    page = visit()
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    stage.silence()
    expect(page.locator("#badge")).to_have_attribute("data-state", "stale", timeout=15_000)
    expect(page.locator("#health")).to_contain_text(re.compile("The observer is \\d+ s behind"))
    stage.put("b", "n2")
    expect(page.locator("#badge")).to_have_attribute("data-state", "live", timeout=15_000)


def test_a_lost_connection_is_shown_and_comes_back_by_itself(
    visit: Visit, stage: Stage, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ("WebSocket connection",)
    page.add_init_script(
        "const Real = window.WebSocket; window.sockets = [];"
        "window.WebSocket = class extends Real { constructor(...all) { super(...all); window.sockets.push(this); } };"
    )
    stage.fill({"n1": ["a"]})
    visit()
    wait_for_cells(page, "n1", 1)
    page.context.set_offline(True)
    page.evaluate("window.sockets.at(-1).close()")
    expect(page.locator("#badge-text")).to_contain_text(re.compile("reconnecting.*showing what was true"))
    expect(page.locator("body")).to_have_class(re.compile("old-picture"))
    stage.put("b", "n2")
    page.context.set_offline(False)
    wait_for_cells(page, "n2", 1)
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")


def test_a_dead_node_stays_on_the_map_until_it_is_acknowledged(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a"], "n2": ["b", "c"]})
    page = visit()
    wait_for_cells(page, "n2", 2)
    stage.node("n2", "dead")
    block = page.locator(".block[data-node='n2']")
    expect(block).to_have_attribute("data-status", "dead")
    stage.put("b", "n1")
    expect(page.locator("#health")).to_contain_text("n2 lost")
    expect(page.locator("#health")).to_contain_text("1 of 2 processes back on n1")
    stage.put("c", "n3")
    expect(page.locator("#health")).to_contain_text("2 of 2 processes back on n1 and n3 · 2 nodes · 3 processes")
    block.get_by_role("button", name="Acknowledge").click()
    expect(block).to_have_count(0)
    expect(page.locator("#health")).to_have_text(re.compile("^2 nodes"))
    stage.node("n2", "alive")
    expect(block).to_have_attribute("data-status", "alive")


def test_a_cell_opens_its_details_under_an_address_of_their_own(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a/b c"]})
    page = visit()
    wait_for_cells(page, "n1", 1)
    page.locator(".block[data-node='n1'] canvas").click(position={"x": 7, "y": 7})
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("a/b c")
    expect(drawer).to_contain_text("running on n1")
    expect(drawer).to_contain_text("examples.counters:Counter")
    expect(page).to_have_url(re.compile(r"\?p=counters%2Fa%2Fb\+c"))
    page.reload()
    expect(drawer).to_contain_text("running on n1")
    stage.put("a/b c", "n2")
    expect(drawer).to_contain_text("running on n2")
    stage.remove("a/b c")
    expect(drawer).to_contain_text("It is gone")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/$"))
    page.go_back()
    expect(drawer).to_be_visible()


def test_a_node_opens_its_details(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b"]})
    page = visit("/?n=n1")
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("ws://127.0.0.1:1/n1")
    expect(drawer).to_contain_text("2 running")
    expect(drawer.get_by_role("button", name="Drain n1")).to_be_visible()


def test_the_keyboard_reaches_every_cell_and_opens_it(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a", "b"], "n2": ["c"]})
    page = visit()
    wait_for_cells(page, "n1", 2)
    page.locator("#map").focus()
    spoken = page.locator("#spoken")
    for name in ("a", "b", "c"):
        page.keyboard.press("ArrowRight")
        expect(spoken).to_have_text(re.compile(f"^{name}, counters, running on n"))
    page.keyboard.press("Enter")
    expect(page.locator("#drawer")).to_contain_text("running on n2")
    page.keyboard.press("Escape")
    expect(page.locator("#map")).to_be_focused()


def test_search_and_filters_dim_what_they_leave_out(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["lobby", "hall"]})
    stage.fill({"n1": ["web"]}, sworm="probes")
    page = visit()
    wait_for_cells(page, "n1", 3)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("lob")
    expect(page.locator("#matches")).to_have_text("1 match")
    expect(page).to_have_url(re.compile("q=lob"))
    page.keyboard.press("Enter")
    expect(page.locator("#drawer")).to_contain_text("lobby")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="probes 1").click()
    expect(page.locator("#matches")).to_have_text("0 matches")
    page.locator("#search").fill("")
    page.get_by_role("button", name="Table").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_the_table_holds_what_the_map_shows(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": [f"c{i}" for i in range(12)]})
    page = visit("/?view=table")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(12)
    expect(rows.nth(2)).to_contain_text("c2")  # numbers in names are ordered as numbers
    stage.put("c2", "n3", "restarting")
    expect(rows.nth(2)).to_contain_text("restarting")
    expect(rows.nth(2)).to_contain_text("n3")
    rows.nth(2).get_by_role("button").click()
    expect(page.locator("#drawer")).to_contain_text("restarting on n3")


def test_a_drain_says_first_where_everything_would_go(visit: Visit, stage: Stage) -> None:
    stage.define("counters")
    stage.fill({"n1": ["a", "b", "c"]})
    page = visit("/?n=n1")
    page.get_by_role("button", name="Drain n1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_text(re.compile(r"3 processes move: 3 to n[23]\."))
    dialog.get_by_role("button", name="Keep as it is").click()
    for node in ("n2", "n3"):
        stage.node(node, "dead")
    page.get_by_role("button", name="Drain n1").click()
    expect(dialog).to_contain_text("Nothing can move.")
    expect(dialog).to_contain_text("3 processes have nowhere to go:")
    expect(dialog.get_by_role("group")).to_contain_text(
        "counters/a: no other node that is up and takes processes hosts counters"
    )


def test_an_action_that_costs_a_state_is_asked_about(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a"]})
    page = visit("/?p=counters/a")
    drawer = page.locator("#drawer")
    for verb, told in (("Restart", "begins anew, without its state"), ("Unregister", "its name is free")):
        drawer.get_by_role("button", name=verb).click()
        expect(page.get_by_role("dialog")).to_contain_text(told)
        page.get_by_role("dialog").get_by_role("button", name="Keep as it is").click()
    expect(drawer.locator(".action")).to_have_count(0)
    drawer.get_by_role("link", name="Its whole life").click()
    expect(page).to_have_url(re.compile(r"/process\?sworm=counters&name=a$"))


def test_a_viewer_sees_no_buttons_and_is_told_why(visit: Visit, stage: Stage) -> None:
    stage.fill({"n1": ["a"]})
    page = visit("/?p=counters/a", scopes.VIEWER)
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("You may look, not act")
    for name in ("Unregister", "Restart", "Hand off"):
        expect(drawer.get_by_role("button", name=name)).to_have_count(0)
    page.goto(page.url.split("?")[0] + "?n=n1")
    expect(drawer).to_contain_text("You may look, not act")
    expect(drawer.get_by_role("button", name="Drain n1")).to_have_count(0)


def test_an_empty_cluster_shows_the_command_that_ends_the_emptiness(visit: Visit, stage: Stage, web: Web) -> None:
    page = visit()
    empty = page.locator("#empty-processes")
    expect(empty).to_contain_text(f"curl -X POST {web.url}/api/v1/sworms/hello/processes")
    stage.put("first", "n1", sworm="hello")
    expect(empty).to_be_hidden()


def test_ten_thousand_processes_fit(visit: Visit, stage: Stage) -> None:
    stage.fill(
        {node: [f"{node}-{i}" for i in range(size)] for node, size in (("n1", 3334), ("n2", 3333), ("n3", 3333))}
    )
    page = visit()
    expect(page.locator("#health")).to_contain_text("10\u202f000 processes", timeout=20_000)
    bottom = page.locator(".block").last.bounding_box()
    assert bottom is not None
    assert bottom["y"] + bottom["height"] <= 900
    stage.put("n1-7", "n2", "failed")
    expect(page.locator("#health")).to_contain_text("1 process has failed")
