"""A real browser. Each page is watched: what its policy forbids, or a request to another host, fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# What a browser does on its own account would look like a request of the page.
FLAGS = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
WAIT_MS = 10_000

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for a module: while playwright runs, nothing else in this thread can run an event loop."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        executable = next(filter(None, map(shutil.which, NAMES)), own if Path(own).exists() else None)
        if executable is None:
            reason = f"no Chromium here (looked for {', '.join(NAMES)} and playwright's own)"
            # `make page-image` fails: a skipped test would leave the old image.
            (pytest.fail if os.environ.get("LOUPE_PAGE_IMAGE") else pytest.skip)(reason)
        flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        with playwright.chromium.launch(executable_path=executable, args=flags) as browser:
            yield browser


@dataclass
class Watched:
    """A page, the host that it may send to, and what it did wrong."""

    page: Page
    host: str = ""
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, browser: Browser, **options: Any) -> Watched:
        """Open an empty page in a new browser context."""
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        context.set_default_timeout(WAIT_MS)
        watched = cls(context.new_page())
        context.route("**/*", watched._watch)
        watched.page.on("console", watched._listen)
        watched.page.on("pageerror", lambda error: watched.faults.append(f"script error: {error}"))
        return watched

    def open(self, url: str, host: str) -> None:
        self.host, self.faults = host, []
        self.page.goto(url)

    def leave(self) -> None:
        """Leave no document, storage, route or setting of this test to the next one."""
        context = self.page.context
        context.set_offline(False)
        self.page.unroute_all()
        self.page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        self.page.goto("about:blank")
        context.clear_cookies()
        assert context.pages == [self.page]

    def _watch(self, route: Route) -> None:
        if urlsplit(route.request.url).netloc == self.host:
            route.continue_()
        else:
            self.faults.append(f"request to another host: {route.request.url}")
            route.abort()

    def _listen(self, message: ConsoleMessage) -> None:
        # The browser reports every answer above 399 as an error; the page has words for those.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(f"console {message.type}: {message.text}")


@pytest.fixture(scope="module")
def shared_page(browser: Browser) -> Watched:
    """A page that the tests of a module use one after the other: a new one starts a process of the browser."""
    return Watched.of(browser)


@pytest.fixture
def open_page(browser: Browser, shared_page: Watched) -> Iterator[Open]:
    """Open the page of an endpoint: ``open_page(url, **context_options)``; it may send to its host, or to ``host``.

    The first page of a test is the module's, unless it has options or another host; others have a context of their own.
    """
    opened: list[Watched] = []

    def open_page(url: str, host: str | None = None, **options: Any) -> Page:
        plain = not (opened or host or options)
        watched = shared_page if plain else Watched.of(browser, **options)
        opened.append(watched)
        watched.open(url, host or urlsplit(url).netloc)
        return watched.page

    yield open_page
    for watched in opened:
        if watched is shared_page:
            watched.leave()
        else:
            watched.page.context.close()
    faults = [fault for watched in opened for fault in watched.faults]
    assert not faults, "\n".join(faults)
