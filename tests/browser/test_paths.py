"""The page's base is its own address, whatever its path."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.actions import choose
from tests.browser.chromium import Open
from tests.browser.gateway import Answer, Gateway, Received
from tests.browser.image_files import RED, image_file


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("//evil.example/", "//evil.example/"),
        ("//evil.example", "//evil.example/"),
        ("/live//evil.example/", "/live//evil.example/"),
        ("/live//evil.example//", "/live//evil.example/"),
        ("/\\evil.example/", "//evil.example/"),
        ("/live//", "/live/"),
        ("/live", "/live/"),
        ("/live/?next=//evil.example/#//evil.example/", "/live/"),
        ("/live/it's/", "/live/it's/"),
    ],
)
def test_no_path_changes_the_host_of_requests_and_links(
    open_page: Open, gateway: Gateway, path: str, base: str
) -> None:
    origin = gateway.url.removesuffix("/live/")
    html = gateway.answer(Received("GET", "/", {}, b""))
    for served in (path, path.replace("\\", "/")):
        # Python's server takes slashes at the beginning together.
        gateway.at["/" + served.lstrip("/")] = html
    for call in ("models", "classify"):
        if not base.startswith("/live/"):
            gateway.at[f"/{base.lstrip('/')}v1/{call}"] = Answer(404, b"{}")
    requested: list[str] = []
    page = open_page("about:blank", host=urlsplit(origin).netloc)
    page.on("request", lambda request: requested.append(request.url))
    page.goto(origin + path)
    choose(page, image_file("red.jpg", RED))
    expect(page.locator(".picture")).to_have_attribute("data-state", "done" if base == "/live/" else "failed")
    calls = [url for url in (url.partition("?top=")[0] for url in requested) if url.endswith(("/models", "/classify"))]
    assert sorted(calls) == [f"{origin}{base}v1/classify", f"{origin}{base}v1/models"]
    for url in requested:
        if not url.startswith(("blob:", "data:")):
            assert urlsplit(url).netloc == urlsplit(origin).netloc
    assert (
        page.get_by_role("link", name="openapi.json").evaluate("(link) => link.href") == f"{origin}{base}openapi.json"
    )
    # In the shell's quotes.
    assert page.locator("#curl").inner_text().startswith(f"curl '{origin}{base.replace(chr(39), '%27')}v1/classify' ")
