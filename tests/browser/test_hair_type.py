"""The page with the model that ships: its samples, and the picture of the page that the README shows.

Keep a new one: LOUPE_PAGE_IMAGE=docs/images/page.png .venv/bin/python -m pytest tests/browser -k readme
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import choose
from tests.browser.chromium import Open
from tests.browser.conftest import ROOT, load_handler
from tests.browser.gateway import Gateway, Handler
from tests.browser.pictures import File

MODEL = ROOT / "models" / "hair-type"


@pytest.fixture(scope="module")
def handler() -> Handler:
    return load_handler(MODEL.parent, MODEL.name)


@pytest.fixture
def gateway(handler: Handler) -> Iterator[Gateway]:
    with Gateway(handler).serve() as gateway:
        yield gateway


def test_each_sample_is_what_its_caption_says(page: Page) -> None:
    samples = page.get_by_role("group", name="Or try a sample").get_by_role("button")
    expect(samples.first).to_be_visible()
    captions = [text.strip() for text in samples.all_inner_texts()]
    assert set(captions) == {"curly", "straight"}
    for index, caption in enumerate(captions):
        samples.nth(index).click()
        # The newest result stands first.
        expect(page.locator(".picture").first.locator(".answer")).to_have_text(caption)
        expect(page.locator(".picture")).to_have_count(index + 1)


def test_the_picture_for_the_readme(open_page: Open, gateway: Gateway, tmp_path: Path) -> None:
    page = open_page(
        gateway.url, viewport={"width": 1120, "height": 900}, device_scale_factor=1.25, reduced_motion="reduce"
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("Curly or straight?")
    golden = [MODEL / "golden" / name for name in ("curly-rotated.jpg", "straight-1.jpg")]
    choose(page, *(File(path.name, "image/jpeg", path.read_bytes()) for path in golden))
    expect(page.locator(".answer")).to_have_text(["curly", "straight"])
    page.evaluate("scrollTo(0, 0)")
    image = Path(os.environ.get("LOUPE_PAGE_IMAGE") or tmp_path / "page.png")
    page.screenshot(path=image, full_page=True)
    assert image.stat().st_size > 20_000
