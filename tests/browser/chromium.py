"""A real browser. Each page is watched: what its policy forbids, or a request to another host, fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
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


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open the page of an endpoint: ``open_page(url, **context_options)``; it may send to its host, or to ``host``."""
    faults: list[str] = []
    contexts = []

    def open_page(url: str, host: str | None = None, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        host = host or urlsplit(url).netloc

        def watch(route: Route) -> None:
            if urlsplit(route.request.url).netloc == host:
                route.continue_()
            else:
                faults.append(f"request to another host: {route.request.url}")
                route.abort()

        def listen(message: ConsoleMessage) -> None:
            # The browser reports every answer above 399 as an error; the page has words for those.
            if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
                faults.append(f"console {message.type}: {message.text}")

        context.route("**/*", watch)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)
