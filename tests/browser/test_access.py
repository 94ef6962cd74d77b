"""For everybody: by keyboard, on a narrow screen, in light and dark, with a screen reader."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.actions import choose, transfer
from tests.browser.chromium import Open
from tests.browser.gateway import Gateway, problem
from tests.browser.image_files import BLUE, RED, File, image_file

BATCH = (
    image_file("red.jpg", RED),
    image_file("a-name-that-is-as-long-as-those-of-telephones-IMG_20260419_174455_HDR_portrait.jpg", BLUE),
    File("notes.txt", "text/plain", b"no image"),
)
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def filled(open_page: Open, gateway: Gateway, **options: object) -> Page:
    """The page with everything in it: results, a problem, the model, and the key field."""
    gateway.key = "key-of-a-tester"
    page = open_page(gateway.url, **options)
    page.get_by_label("API key").fill(gateway.key)
    page.get_by_role("button", name="Use key").click()
    page.get_by_role("button", name="Change key").click()
    choose(page, *BATCH)
    expect(page.locator("#summary")).to_have_text("2 classified, 1 failed")
    for fold in page.locator("summary").all():
        if fold.is_visible():
            fold.click()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_axe_finds_nothing(open_page: Open, gateway: Gateway, scheme: str, width: int) -> None:
    page = filled(
        open_page, gateway, color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce"
    )
    results = Axe().run(page, options={"runOnly": {"type": "tag", "values": AXE_TAGS}})
    assert results.violations_count == 0, results.generate_report()


def test_the_page_follows_the_color_scheme(open_page: Open, gateway: Gateway) -> None:
    shade = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    assert open_page(gateway.url, color_scheme="dark").evaluate(shade) < 60
    assert open_page(gateway.url, color_scheme="light").evaluate(shade) > 200


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_is_cut_off_on_a_narrow_screen(open_page: Open, gateway: Gateway, width: int) -> None:
    page = filled(open_page, gateway, viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.get_by_role("button", name="Take a photo")).to_be_visible()
    small = page.evaluate(
        "[...document.querySelectorAll('button')].filter((b) => b.offsetParent && b.offsetHeight < 36)"
        ".map((b) => b.textContent)"
    )
    assert small == []


def test_the_page_works_by_keyboard(page: Page, gateway: Gateway) -> None:
    keys = page.keyboard
    # Told before anything is pressed: a chooser that playwright learns of too late is gone.
    page.once("filechooser", lambda chooser: chooser.set_files([BATCH[0].payload(), BATCH[2].payload()]))

    def tab_to(name: str) -> None:
        for _ in range(30):
            keys.press("Tab")
            focused = page.evaluate(
                "(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
                " || document.activeElement.id).trim()"
            )
            if focused == name:
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
                return
        pytest.fail(f"no Tab leads to {name!r}")

    tab_to("Skip to the results")
    tab_to("Choose images")
    keys.press("Enter")
    expect(page.locator("#summary")).to_have_text("1 classified, 1 failed")
    tab_to("Classify test image")
    gateway.instead.append(problem(500, "internal_error", "Something went wrong on our side", "Report it."))
    keys.press("Space")
    expect(page.locator("#summary")).to_have_text("1 classified, 2 failed")
    tab_to("scale")
    keys.press("Space")
    expect(page.get_by_label("Scale down large images")).not_to_be_checked()
    tab_to("Retry test image")
    keys.press("Enter")
    expect(page.locator("#summary")).to_have_text("2 classified, 1 failed")
    # The retried image has the focus: the next Tab goes on from there.
    expect(page.locator(".picture", has_text="test image")).to_be_focused()
    tab_to("Timings and full response")
    keys.press("Enter")
    expect(page.locator(".meta").first).to_be_visible()


def test_results_are_announced(page: Page) -> None:
    log = page.get_by_role("log")
    expect(log).to_have_attribute("aria-live", "polite")
    choose(page, *BATCH)
    expect(log.locator("p")).to_have_count(3)
    expect(log).to_contain_text("red.jpg: red, ")
    expect(log).to_contain_text("notes.txt: This file is not a supported image.")


def test_reduced_motion_disables_animations(open_page: Open, gateway: Gateway) -> None:
    page = open_page(gateway.url, reduced_motion="reduce")
    transfer(page, "drop", BATCH[0])
    expect(page.locator(".answer")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
