"""Pictures by every way in, and what the page says of each."""

from __future__ import annotations

import io
import json
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.actions import choose, transfer
from tests.browser.chromium import Open
from tests.browser.gateway import Answer, Gateway, problem
from tests.browser.pictures import BLUE, RED, File, noise, picture

RED_JPEG = picture("red.jpg", RED)
BLUE_PNG = picture("blue.png", BLUE)
NOT_A_PICTURE = File("notes.jpg", "image/jpeg", b"These are notes and no picture.")


def test_a_dropped_file_shows_its_label_scores_and_times(page: Page, gateway: Gateway) -> None:
    transfer(page, "drop", RED_JPEG)
    card = page.locator(".picture")
    expect(card.locator(".answer")).to_have_text("red")
    expect(card.locator(".scores li")).to_have_count(2)
    expect(card.locator(".scores li").first).to_contain_text(re.compile(r"red\s*9\d(\.\d)?\s%"))
    expect(card.locator(".meta")).to_contain_text(
        re.compile(r"server [\d.]+\sms \(.*decode .*\).*round trip [\d.]+\sms")
    )
    expect(card.get_by_role("img", name="red.jpg")).to_be_visible()
    expect(page.locator("#summary")).to_have_text("1 classified")
    expect(page.locator("#log")).to_contain_text("red.jpg: red, 9")
    # It is small: the endpoint got the file itself.
    (sent,) = gateway.classified()
    assert sent.body == RED_JPEG.data
    assert sent.headers["content-type"] == "image/jpeg"


def test_one_bad_file_does_not_spoil_a_batch(page: Page) -> None:
    choose(page, RED_JPEG, NOT_A_PICTURE, BLUE_PNG)
    expect(page.locator("#summary")).to_have_text("2 classified, 1 failed")
    shown = page.locator(".picture .name")
    expect(shown).to_have_text(["red.jpg", "notes.jpg", "blue.png"])
    expect(page.locator(".answer")).to_have_text(["red", "blue"])
    bad = page.locator(".picture[data-state=failed]")
    expect(bad.locator(".name")).to_have_text("notes.jpg")
    expect(bad.locator("strong")).to_have_text("This kind of content is not accepted")
    expect(bad.locator(".problem")).to_contain_text("JPEG, PNG, WebP")
    expect(bad.locator("code")).to_contain_text(re.compile(r"^unsupported_media_type · request [0-9a-f-]{36}$"))
    expect(bad.get_by_role("button", name="Retry notes.jpg")).to_be_visible()


def test_pasted_pictures_and_addresses(page: Page) -> None:
    transfer(page, "paste", BLUE_PNG)
    expect(page.locator(".answer")).to_have_text("blue")
    transfer(page, "paste", text="https://pictures.example/cat.jpg")
    expect(page.get_by_label("Or the address of a picture")).to_have_value("https://pictures.example/cat.jpg")


def test_a_url_goes_to_the_endpoint_and_its_answer_is_told(page: Page, gateway: Gateway) -> None:
    field = page.get_by_label("Or the address of a picture")
    field.fill("pictures.example/cat.jpg")
    field.press("Enter")
    expect(page.locator("#url-state")).to_contain_text("https://")
    assert not gateway.classified()
    field.fill("https://pictures.example/cat.jpg")
    field.press("Enter")
    expect(page.locator(".picture .problem")).to_contain_text("This URL may not be fetched")
    assert json.loads(gateway.classified()[0].body) == {"url": "https://pictures.example/cat.jpg"}
    result = {"label": "red", "probability": 0.8, "scores": {"red": 0.8, "blue": 0.2}}
    gateway.instead.append(Answer(200, json.dumps(result).encode()))
    page.get_by_role("button", name="Retry https://pictures.example/cat.jpg").click()
    expect(page.locator(".answer")).to_have_text("red")


def test_a_sample_is_one_click(page: Page) -> None:
    # No picture of its own labels is in the page for this model: it is the drawn one.
    page.get_by_role("button", name="Classify a sample: test picture").click()
    expect(page.locator(".answer")).to_be_visible()


@pytest.mark.parametrize("scale", [True, False])
def test_large_photos_are_scaled_by_choice_and_upright(page: Page, gateway: Gateway, scale: bool) -> None:
    # Stored lying, to be turned by 90 degrees clockwise: its white top is on the right then.
    photo = picture("phone.jpg", RED, (4000, 3000), orientation=6)
    page.get_by_label("Scale large pictures down").set_checked(scale)
    choose(page, photo)
    expect(page.locator(".answer")).to_have_text("red")
    (sent,) = gateway.classified()
    if not scale:
        assert sent.body == photo.data
        expect(page.locator(".meta")).to_contain_text("3000 × 4000 · ")
        return
    image = Image.open(io.BytesIO(sent.body))
    assert (image.format, image.size, image.getexif().get(0x0112, 1)) == ("JPEG", (1200, 1600), 1)
    assert min(image.getpixel((1150, 800))) > 240  # type: ignore[type-var]
    assert image.getpixel((100, 800))[1] < 80  # type: ignore[index]
    expect(page.locator(".meta")).to_contain_text("3000 × 4000")
    expect(page.locator(".meta")).to_contain_text("sent as JPEG, 1200 × 1600 · ")


def test_what_is_transparent_is_white_and_foreign_formats_become_jpeg(page: Page, gateway: Gateway) -> None:
    choose(page, picture("glass.png", (*RED, 0), (2000, 2000)), picture("old.bmp", BLUE))
    expect(page.locator(".picture[data-state=done]")).to_have_count(2)
    sent = {Image.open(io.BytesIO(each.body)).size: Image.open(io.BytesIO(each.body)) for each in gateway.classified()}
    assert sent[(1600, 1600)].getpixel((800, 800)) == (255, 255, 255)
    assert sent[(320, 240)].format == "JPEG"


def test_pictures_too_large_for_one_request_are_packed_smaller(page: Page, gateway: Gateway) -> None:
    choose(page, noise("noise.png", (1500, 1000)))
    expect(page.locator(".picture[data-state=done]")).to_have_count(1)
    assert len(gateway.classified()[0].body) < 4_400_000


def test_retry_asks_again(page: Page, gateway: Gateway) -> None:
    gateway.instead.append(problem(500, "internal_error", "Something went wrong on our side", "Try again."))
    choose(page, RED_JPEG)
    expect(page.locator(".problem")).to_contain_text("Something went wrong on our side")
    page.get_by_role("button", name="Retry red.jpg").click()
    expect(page.locator(".answer")).to_have_text("red")
    assert len(gateway.classified()) == 2


def test_problems_made_on_the_way_are_told_in_words(page: Page, gateway: Gateway) -> None:
    later = {"Retry-After": "3600"}
    for answer, words in [
        (Answer(413, b'{"message":"Request Too Long"}'), "The picture is too large"),
        (Answer(413, b"<html>413</html>"), "The picture is too large"),
        (Answer(502, b'{"message":"Internal server error"}'), "The gateway got no usable answer"),
        (Answer(504, b'{"message":"Endpoint request timed out"}'), "The endpoint took too long"),
        (Answer(200, b"<html>Sign in</html>"), "The answer cannot be understood"),
        (Answer(418, b""), "status 418"),
        (Answer(429, b'{"message":"Limit Exceeded"}', later), "Try again in 3,600 seconds"),
        (problem(429, "quota_exceeded", "The key's quota is used up", "Try again in the next period."), "next period"),
        (problem(403, "forbidden", "This is not allowed", "The firewall refused the request."), "The firewall refused"),
    ]:
        gateway.instead.append(answer)
        choose(page, RED_JPEG)
        expect(page.locator(".problem")).to_contain_text(words)
        page.get_by_role("button", name="Clear").click()
    expect(page.get_by_label("API key")).to_be_hidden()


def test_a_busy_endpoint_is_asked_again_when_it_says(page: Page, gateway: Gateway) -> None:
    gateway.instead.append(Answer(429, b'{"message":"Too Many Requests"}', {"Retry-After": "2"}))
    choose(page, RED_JPEG)
    expect(page.locator(".picture")).to_contain_text("asking again in 2 seconds")
    expect(page.locator(".answer")).to_have_text("red")


def test_no_connection_is_told_and_mended(page: Page) -> None:
    expect(page.locator("#serving")).to_have_text("tiny 1.0.0")
    page.context.set_offline(True)
    choose(page, RED_JPEG)
    expect(page.locator(".problem")).to_contain_text("This device is offline")
    page.context.set_offline(False)
    page.get_by_role("button", name="Retry red.jpg").click()
    expect(page.locator(".answer")).to_have_text("red")


def test_many_pictures_go_a_few_at_a_time_and_can_be_cleared(page: Page, gateway: Gateway) -> None:
    choose(page, *[picture(f"{n}.png", (n * 20, 0, 200)) for n in range(12)])
    expect(page.locator("#summary")).to_have_text("12 classified")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".picture")).to_have_count(0)
    expect(page.locator("#results")).to_be_hidden()


def test_the_model_that_serves(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Blue or red?")
    model = page.get_by_role("region", name="The model")
    for text in ("tiny · 1.0.0", "20 × 20 pixels", "95.1 % (95 % interval 88.1 % to 98.1 %)", "82 pictures", "MIT"):
        expect(model).to_contain_text(text)
    expect(model.get_by_role("row", name="red 2 38")).to_be_visible()


def test_the_address_without_its_last_slash(open_page: Open, gateway: Gateway) -> None:
    page = open_page(gateway.url.rstrip("/"))
    choose(page, RED_JPEG)
    expect(page.locator(".answer")).to_have_text("red")
    expect(page.locator("#curl")).to_contain_text(f"{gateway.url}v1/classify")
    expect(page.get_by_role("link", name="openapi.json")).to_have_attribute("href", f"{gateway.url}openapi.json")


def test_names_cannot_become_markup(page: Page) -> None:
    choose(page, File("<img src=x onerror=alert(1)>.jpg", "image/jpeg", RED_JPEG.data))
    expect(page.locator(".picture .name")).to_have_text("<img src=x onerror=alert(1)>.jpg")
    expect(page.locator(".answer")).to_have_text("red")
