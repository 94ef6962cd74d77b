"""The page as it is deployed: behind the gateway's stage path and its API key, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.actions import choose
from tests.browser.chromium import Open, browser, open_page, shared_page
from tests.browser.image_files import File

if TYPE_CHECKING:
    from deployment import Deployed

    from localcloud.models import Golden

__all__ = ["browser", "open_page", "shared_page"]

WIDTHS = {"desktop": 1280, "phone": 320}


def as_file(case: Golden) -> File:
    mime = "image/png" if case.path.suffix == ".png" else "image/jpeg"
    return File(case.path.name, mime, case.path.read_bytes())


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_page_classifies_after_a_wrong_key_is_corrected(
    open_page: Open, deployed: Deployed, golden_cases: list[Golden], width: int
) -> None:
    page = open_page(deployed.endpoint["url"], viewport={"width": width, "height": 800})
    key = page.get_by_label("API key")
    expect(key).to_be_visible()
    choose(page, *map(as_file, golden_cases), File("notes.txt", "text/plain", b"These are notes and no picture."))
    expect(page.locator("#summary")).to_have_text(f"{len(golden_cases) + 1} waiting for the key")

    key.fill("a-wrong-key-0123456789")
    key.press("Enter")
    expect(page.locator("#key-state")).to_contain_text("not accepted")

    key.fill(deployed.endpoint["api_key"])
    key.press("Enter")
    # The usage plan may make some of them wait.
    expect(page.locator("#summary")).to_have_text(f"{len(golden_cases)} classified, 1 failed", timeout=30_000)
    expect(page.locator(".picture .name")).to_have_text([*(case.path.name for case in golden_cases), "notes.txt"])
    expect(page.locator(".answer")).to_have_text([case.label for case in golden_cases])
    expect(page.locator(".picture[data-state=failed]")).to_contain_text("The file is a text file")
    page.get_by_text("Timings and full response").first.click()
    expect(page.locator(".meta").first).to_contain_text("server ")
    expect(page.locator("#serving")).to_contain_text("hair-type")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_an_image_by_url(open_page: Open, deployed: Deployed, golden_cases: list[Golden], image_site: str) -> None:
    page = open_page(deployed.endpoint["url"])
    page.get_by_label("API key").fill(deployed.endpoint["api_key"])
    page.get_by_role("button", name="Use key").click()
    expect(page.locator("#key-state")).to_have_text("The API key is accepted.")
    field = page.get_by_label("Or the web address of an image")
    for address in (f"{image_site}/{golden_cases[0].path.name}", "http://127.0.0.1/picture.jpg"):
        field.fill(address)
        field.press("Enter")
    expect(page.locator("#summary")).to_have_text("1 classified, 1 failed", timeout=30_000)
    expect(page.locator(".answer")).to_have_text(golden_cases[0].label)
    expect(page.locator(".problem strong")).to_have_text("Images from this address are not accepted")


def large(case: Golden, size: int = 4_600_000) -> File:
    """An image file larger than a request: bytes after the end of a JPEG are ignored."""
    file = as_file(case)
    return File(file.name, file.mime, file.data.ljust(size, b"\0"))


def test_an_image_larger_than_a_request_is_uploaded_first(
    open_page: Open, deployed: Deployed, golden_cases: list[Golden]
) -> None:
    page = open_page(deployed.endpoint["url"])
    page.get_by_label("API key").fill(deployed.endpoint["api_key"])
    page.get_by_role("button", name="Use key").click()
    expect(page.locator("#key-state")).to_have_text("The API key is accepted.")
    page.locator("#scale").uncheck()
    choose(page, large(golden_cases[0]))
    expect(page.locator("#summary")).to_have_text("1 classified", timeout=30_000)
    expect(page.locator(".answer")).to_have_text(golden_cases[0].label)
    page.get_by_text("Timings and full response").click()
    expect(page.locator(".picture")).to_contain_text("uploaded first")

    # S3's response to an upload outside its policy.
    page.route(f"{deployed.account.endpoint}/loupe-local-*", lambda route: route.fulfill(status=403, body="<Error/>"))
    choose(page, large(golden_cases[0]))
    expect(page.locator("#summary")).to_have_text("1 classified, 1 failed", timeout=30_000)
    expect(page.locator(".problem strong")).to_have_text("The upload failed")
    page.get_by_text("Details for support").click()
    expect(page.locator(".problem")).to_contain_text("Storage: status 403")
    expect(page.locator("#key-state")).to_have_text("The API key is accepted.")
