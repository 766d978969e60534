"""Takes the pictures of the main pages: the live map in both themes for the README, the others in the light one.

Law: what is shown is a running cluster, as it is at that moment; nothing is staged here. All pictures are taken by one
sign-in, so that a one-time link is enough.

    .venv/bin/python docs/screenshots.py "$(./sworm signin)"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Page, ViewportSize, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
FOLDER = Path(__file__).resolve().parent / "img"

#: Large enough to read in a README, small enough to load.
SIZE = ViewportSize(width=1440, height=800)
#: Bytes that a picture may have.
LIMIT = 200_000
#: ms for the animations of the last changes to end.
SETTLE = 1_500


#: Page -> (its address, what must be there before the picture is taken). `{process}` is the one with the most restarts.
PAGES = {
    "processes": ("/processes", "tbody tr"),
    "process": ("{process}", ".life > li"),
    "events": ("/events", "tbody tr"),
    "replicas": ("/replicas", ".replica-block"),
}


def save(page: Page, name: str) -> Path:
    """Take one picture; raises when it is larger than it may be."""
    page.wait_for_timeout(SETTLE)
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    if path.stat().st_size > LIMIT:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes; at most {LIMIT} are wanted")
    return path


def pictures(page: Page, link: str, opened: str) -> Iterator[Path]:
    """The map in both themes, then the other pages."""
    page.goto(link)
    if opened:
        page.goto(urljoin(link, f"/?{opened}"))
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.wait_for_selector("#badge[data-state='live']")
        page.wait_for_selector(".block")
        yield save(page, f"map-{theme}")
    page.goto(urljoin(link, "/processes?sort=restarts&order=desc"))
    process = page.locator("tbody th a").first.get_attribute("href") or ""
    for name, (path, there) in PAGES.items():
        page.goto(urljoin(link, path.format(process=process)))
        page.wait_for_selector(there)
        yield save(page, name)


def main(arguments: list[str]) -> None:
    """Sign in by the link and take every picture."""
    parser = argparse.ArgumentParser(description="Take the pictures of the main pages.")
    parser.add_argument("link", help="a one-time sign-in link, as ./sworm signin prints it")
    parser.add_argument("--open", default="", help="what to open on the map, as p=counters/counter-7 or n=n1")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for path in pictures(browser.new_page(viewport=SIZE), options.link, options.open):
            sys.stdout.write(f"{path}\n")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
