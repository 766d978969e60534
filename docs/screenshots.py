"""Takes the pictures of the live map for the README: docs/img/map-light.png and docs/img/map-dark.png.

Law: what is shown is a running cluster, as it is at that moment; nothing is staged here. Both pictures are taken by one
sign-in, so that a one-time link is enough.

    .venv/bin/python docs/screenshots.py "$(./sworm signin)"
"""

from __future__ import annotations

import argparse
import sys
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


def picture(page: Page, theme: str) -> Path:
    """Take one picture of the map in a theme; raises when it is larger than it may be."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.wait_for_selector("#badge[data-state='live']")
    page.wait_for_selector(".block")
    page.wait_for_timeout(SETTLE)
    path = FOLDER / f"map-{theme}.png"
    page.screenshot(path=path)
    if path.stat().st_size > LIMIT:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes; at most {LIMIT} are wanted")
    return path


def main(arguments: list[str]) -> None:
    """Sign in by the link and take both pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of the live map for the README.")
    parser.add_argument("link", help="a one-time sign-in link, as ./sworm signin prints it")
    parser.add_argument("--open", default="", help="what to open on the map, as p=counters/counter-7 or n=n1")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport=SIZE)
        page.goto(options.link)
        if options.open:
            page.goto(urljoin(options.link, f"/?{options.open}"))
        for theme in ("light", "dark"):
            sys.stdout.write(f"{picture(page, theme)}\n")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
