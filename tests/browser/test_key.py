"""The API key: requested when the endpoint needs one, tried, and never stored."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import choose
from tests.browser.chromium import Open
from tests.browser.gateway import Gateway
from tests.browser.image_files import BLUE, RED, image_file

KEY = "k3y-of-a-tester-0123456789"


@pytest.fixture
def page(open_page: Open, gateway: Gateway) -> Page:
    gateway.key = KEY
    return open_page(gateway.url)


def test_an_open_endpoint_shows_no_key_field(open_page: Open, gateway: Gateway) -> None:
    page = open_page(gateway.url)
    expect(page.locator("#serving")).to_have_text("tiny 1.0.0")
    expect(page.get_by_label("API key")).to_be_hidden()
    expect(page.locator("#curl")).not_to_contain_text("x-api-key")


def test_a_wrong_key_can_be_corrected(page: Page, gateway: Gateway) -> None:
    field = page.get_by_label("API key")
    expect(field).to_be_visible()
    choose(page, image_file("red.jpg", RED), image_file("blue.png", BLUE))
    expect(page.locator("#summary")).to_have_text("2 waiting for the key")

    field.fill("a-wrong-key")
    field.press("Enter")
    expect(page.locator("#key-state")).to_contain_text("not accepted")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    # What waits is not sent with a key that is known to be wrong.
    assert not gateway.classified()

    field.fill(f" {KEY} ")
    page.get_by_role("button", name="Use key").click()
    expect(page.locator("#summary")).to_have_text("2 classified")
    expect(page.locator("#key-state")).to_have_text("The API key is accepted.")
    expect(page.locator("#serving")).to_have_text("tiny 1.0.0")
    expect(page.locator("#curl")).to_contain_text("x-api-key: $LOUPE_API_KEY")
    assert KEY not in page.locator("body").inner_text()


def test_a_key_is_not_stored(page: Page, gateway: Gateway) -> None:
    field = page.get_by_label("API key")
    field.fill(KEY)
    field.press("Enter")
    expect(page.locator("#key-state")).to_have_text("The API key is accepted.")
    state = page.context.storage_state()
    assert not state["cookies"]
    assert not state["origins"]
    assert all(KEY not in request.path for request in gateway.received)
    assert KEY not in page.url
    page.reload()
    expect(field).to_have_value("")
    expect(page.locator("#serving")).to_have_text("tiny 1.0.0")
    expect(page.locator("#model-state")).to_contain_text("once the API key is given")


def test_a_rejected_key_opens_the_key_field_again(page: Page, gateway: Gateway) -> None:
    field = page.get_by_label("API key")
    field.fill(KEY)
    field.press("Enter")
    expect(page.locator("#key-state")).to_have_text("The API key is accepted.")
    gateway.key = "another-key-of-the-endpoint"
    choose(page, image_file("red.jpg", RED))
    expect(page.locator("#key-state")).to_contain_text("not accepted")
    field.fill(gateway.key)
    field.press("Enter")
    expect(page.locator(".answer")).to_have_text("red")


def test_a_key_with_characters_that_no_header_carries_is_rejected(page: Page) -> None:
    field = page.get_by_label("API key")
    field.fill("schlüssel und mehr")
    field.press("Enter")
    expect(page.locator("#key-state")).to_contain_text("cannot be a key")
