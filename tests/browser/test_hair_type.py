"""The page with the model that ships: its samples, and the image of the page that the README shows.

`make page-image` keeps a new one in docs/images/page.png.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import choose
from tests.browser.chromium import Open
from tests.browser.conftest import ROOT, load_handler
from tests.browser.gateway import Gateway, Handler
from tests.browser.image_files import File

MODEL = ROOT / "models" / "hair-type"


@pytest.fixture(scope="module")
def handler() -> Handler:
    return load_handler(MODEL.parent, MODEL.name)


@pytest.fixture
def gateway(handler: Handler) -> Iterator[Gateway]:
    with Gateway(handler).serve() as gateway:
        yield gateway


def test_samples_are_classified_right_and_do_not_name_their_label(page: Page) -> None:
    samples = page.get_by_role("group", name="Or try a sample").get_by_role("button")
    expect(samples.first).to_be_visible()
    labels = json.loads((MODEL / "card.json").read_text())["output"]["labels"]
    answers = []
    for index in range(samples.count()):
        markup = samples.nth(index).evaluate("(button) => button.outerHTML.replace(/data:[^\"]*/, '')")
        assert not any(label in markup for label in labels)
        samples.nth(index).click()
        expect(page.locator(".picture")).to_have_count(index + 1)
        # The newest result is the first.
        result = page.locator(".picture").first
        expect(result.locator(".name")).to_have_text(f"sample {index + 1}")
        answers.append(result.locator(".answer").inner_text())
    assert sorted(answers) == sorted(labels * 2)
    # Not all of one label before all of the other.
    assert answers not in (sorted(answers), sorted(answers, reverse=True))
    assert "label" not in page.locator("#sample-pictures").inner_text()


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 1366, "height": 768}])
def test_results_are_visible_without_scrolling_on_a_laptop(
    open_page: Open, gateway: Gateway, viewport: dict[str, int]
) -> None:
    page = open_page(gateway.url, viewport=viewport)
    for name in ("Classify sample 1", "Classify sample 2"):
        page.get_by_role("button", name=name).click()
    expect(page.locator(".answer")).to_have_count(2)
    assert page.evaluate("scrollY") == 0
    for part in (*page.locator(".answer").all(), *page.locator(".chart").all(), page.locator("#url")):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= viewport["height"]


def test_the_image_for_the_readme(open_page: Open, gateway: Gateway, tmp_path: Path) -> None:
    page = open_page(
        gateway.url, viewport={"width": 1200, "height": 800}, device_scale_factor=1.25, reduced_motion="reduce"
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("Curly or straight?")
    golden = [MODEL / "golden" / name for name in ("curly-rotated.jpg", "straight-1.jpg")]
    choose(page, *(File(path.name, "image/jpeg", path.read_bytes()) for path in golden))
    expect(page.locator(".answer")).to_have_text(["curly", "straight"])
    # The port of the test's gateway is nobody's address.
    page.locator("#curl").evaluate(
        "(node) => { node.textContent = node.textContent.replace(/'.*'/, ADDRESS); }".replace(
            "ADDRESS", "\"'https://abc123.execute-api.eu-west-1.amazonaws.com/live/v1/classify'\""
        )
    )
    page.evaluate("scrollTo(0, 0)")
    image = Path(os.environ.get("LOUPE_PAGE_IMAGE") or tmp_path / "page.png")
    page.screenshot(path=image, full_page=True)
    assert image.stat().st_size > 20_000
