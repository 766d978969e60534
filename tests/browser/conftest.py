"""A real browser for the tests of what people see.

Law: one Chromium for the folder, one fresh context a test. A page that logs an error, throws, or breaks its Content
Security Policy fails its test, whatever else was looked at. The browser ends with the folder: Playwright keeps an event
loop in this thread, which the asynchronous tests elsewhere must not meet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import django
import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

django.setup()  # this file may be read before pytest-django has done so, and what follows needs the models

from registry import scopes  # noqa: E402

from .web import Stage, Web  # noqa: E402

#: As in `tests/live`: network namespaces are root's to make.
collect_ignore = [] if os.geteuid() == 0 or os.environ.get("CI") == "true" else ["test_partition.py"]

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

#: Longest wait for anything to be seen, in ms: other tests may share the processors.
TIMEOUT = 15_000

STATIC = Path(settings.BASE_DIR) / "static"

#: Modules without a DOM of their own, loaded into `lib` for the tests that call them.
PURE = (
    "filter", "health", "history", "journal", "keyboard", "keys", "life", "losses", "model",
    "operation_words", "replica_words", "slots", "sprites", "stream", "words",
)  # fmt: skip


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser."""
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Complaints:
    """What a page should never say: errors on the console, exceptions, breaches of its policy."""

    def __init__(self, context: BrowserContext) -> None:
        self.heard: list[str] = []
        self.expected: tuple[str, ...] = ()
        context.on("console", self._console)
        context.on("weberror", lambda error: self.heard.append(f"exception: {error.error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.heard.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def unexpected(self) -> list[str]:
        """Everything heard that the test did not announce."""
        return [said for said in self.heard if not any(part in said for part in self.expected)]


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile, wide as a desk."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="no-preference")
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@pytest.fixture
def complaints(context: BrowserContext) -> Iterator[Complaints]:
    """Fails the test at its end when a page complained; a test that means to annoy sets `expected`."""
    complaints = Complaints(context)
    yield complaints
    assert complaints.unexpected() == []


@pytest.fixture
def page(context: BrowserContext, complaints: Complaints) -> Page:
    """A tab."""
    return context.new_page()


class _Files(SimpleHTTPRequestHandler):
    """The static files, and an empty page at /."""

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>modules</title><link rel=icon href='data:,'>")

    def log_message(self, *args: Any) -> None:
        """Silence: the tests say what they found."""


@pytest.fixture(scope="package")
def static_site() -> Iterator[str]:
    """The static files over HTTP, as they lie."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(STATIC)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


Run = Callable[..., Any]


@pytest.fixture(scope="package")
def modules(chromium: Browser, static_site: str) -> Iterator[Page]:
    """A tab that has loaded the pure modules into `lib`."""
    page = chromium.new_page()
    page.goto(static_site)
    loads = ", ".join(f"{name}: await import('/js/{name}.js')" for name in PURE)
    page.evaluate(f"async () => {{ window.lib = {{ {loads} }}; }}")
    yield page
    page.close()


@pytest.fixture
def run(modules: Page) -> Run:
    """Call `code`, the text of a JavaScript function of (lib, argument), and return what it returns."""

    def call(code: str, argument: Any = None) -> Any:
        return modules.evaluate(f"(argument) => ({code})(window.lib, argument)", argument)

    return call


@pytest.fixture(scope="package")
def _orm_beside_a_loop() -> Iterator[None]:
    """Lets Django's database layer work in the thread in which Playwright keeps its loop."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    yield
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="package")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The web part on the test database."""
    web = Web(tmp_path_factory.mktemp("web"), str(settings.DATABASES["default"]["NAME"]))
    web.start()
    yield web
    web.stop()


@pytest.fixture(scope="package")
def _stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def stage(_orm_beside_a_loop: None, transactional_db: None, web: Web, _stage: Stage) -> Iterator[Stage]:
    """An empty cluster of three nodes, and the means to let things happen to it."""
    _stage.begin()
    yield _stage
    _stage.silence()


@pytest.fixture
def visit(page: Page, web: Web, stage: Stage) -> Callable[..., Page]:
    """Sign in by a one-time link and open a page of the site."""

    def open_page(path: str = "/", role: str = scopes.OPERATOR) -> Page:
        page.goto(web.url + stage.sign_in_path(role))
        if path != "/":
            page.goto(web.url + path)
        return page

    return open_page
