"""Images by file, drop, paste, URL and sample, and the results and messages that the page shows."""

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
from tests.browser.image_files import BLUE, RED, File, image_file, noise
from tools.contract.problems import examples

# A throttle, the network, a fault of the service: the same image may succeed the next time.
RETRY_HELPS = {
    "deadline_exceeded",
    "internal_error",
    "jobs_unavailable",
    "model_failed",
    "s3_unavailable",
    "s3_unreachable",
    "service_unavailable",
    "timeout",
    "too_many_requests",
    "url_unreachable",
}
RED_JPEG = image_file("red.jpg", RED)
BLUE_PNG = image_file("blue.png", BLUE)
RESULT = {"label": "red", "probability": 0.8, "scores": {"red": 0.8, "blue": 0.2}}
NOT_AN_IMAGE = File("notes.jpg", "image/jpeg", b"These are notes and no picture.")


def test_a_dropped_file_shows_its_label_and_scores_and_folds_the_times(page: Page, gateway: Gateway) -> None:
    transfer(page, "drop", RED_JPEG)
    card = page.locator(".picture")
    expect(card.locator(".answer")).to_have_text("red")
    expect(card.locator(".scores li")).to_have_count(2)
    expect(card.locator(".scores li").first).to_contain_text(re.compile(r"red\s*9\d(\.\d)?\s%"))
    expect(card.locator(".meta")).to_have_count(0)
    card.get_by_text("Timings and full response").click()
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


def test_one_bad_file_does_not_spoil_a_batch(page: Page, gateway: Gateway) -> None:
    choose(page, RED_JPEG, NOT_AN_IMAGE, BLUE_PNG)
    expect(page.locator("#summary")).to_have_text("2 classified, 1 failed")
    shown = page.locator(".picture .name")
    expect(shown).to_have_text(["red.jpg", "notes.jpg", "blue.png"])
    expect(page.locator(".answer")).to_have_text(["red", "blue"])
    bad = page.locator(".picture[data-state=failed]")
    expect(bad.locator(".name")).to_have_text("notes.jpg")
    expect(bad.locator("strong")).to_have_text("This file is not a supported image")
    expect(bad.locator(".problem")).to_have_text(
        re.compile(r"The file is a text file\. Choose a JPEG, .* or HEIC image\.")
    )
    # The same file would fail again.
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    # Its content shows it, so it was not sent.
    assert {request.body for request in gateway.classified()} == {RED_JPEG.data, BLUE_PNG.data}


def test_pasted_images_are_classified(page: Page) -> None:
    transfer(page, "paste", BLUE_PNG)
    expect(page.locator(".answer")).to_have_text("blue")


@pytest.mark.parametrize(
    ("event", "target"),
    [("paste", "body"), ("paste", "#key"), ("paste", "#results"), ("drop", "body"), ("drop", "#url")],
)
def test_an_address_pasted_or_dropped_anywhere_is_fetched(
    page: Page, gateway: Gateway, event: str, target: str
) -> None:
    gateway.instead.append(Answer(200, json.dumps(RESULT).encode()))
    transfer(page, event, text="  https://pictures.example/cat.jpg\n", target=target)
    expect(page.locator(".answer")).to_have_text("red")
    assert json.loads(gateway.classified()[0].body) == {"url": "https://pictures.example/cat.jpg"}


def test_pasted_text_without_an_image_stays_in_its_field(page: Page, gateway: Gateway) -> None:
    transfer(page, "paste", text="no address")
    transfer(page, "paste", text="javascript:alert(1)")
    transfer(page, "paste", text="https://pictures.example/cat.jpg", target="#url")
    expect(page.locator(".picture")).to_have_count(0)


def test_a_url_is_sent_to_the_endpoint_and_its_result_is_shown(page: Page, gateway: Gateway) -> None:
    field = page.get_by_label("Or the web address of an image")
    field.fill("pictures.example/cat.jpg")
    field.press("Enter")
    expect(page.locator("#url-state")).to_contain_text("https://")
    assert not gateway.classified()
    field.fill("https://pictures.example/cat.jpg")
    field.press("Enter")
    expect(page.locator(".picture .problem")).to_contain_text("Images from this address are not accepted")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    assert json.loads(gateway.classified()[0].body) == {"url": "https://pictures.example/cat.jpg"}
    gateway.instead.append(problem(422, "url_unreachable", "The URL could not be fetched", "The host answered 503."))
    gateway.instead.append(Answer(200, json.dumps(RESULT).encode()))
    field.fill("https://pictures.example/dog.jpg")
    page.get_by_role("button", name="Fetch").click()
    page.get_by_role("button", name="Retry https://pictures.example/dog.jpg").click()
    expect(page.locator(".answer")).to_have_text("red")


def test_a_sample_is_one_click(page: Page) -> None:
    # The page has no sample with this model's labels, so it shows the drawn one.
    page.get_by_role("button", name="Classify test image").click()
    expect(page.locator(".answer")).to_be_visible()


@pytest.mark.parametrize("scale", [True, False])
def test_large_photos_are_scaled_by_choice_and_upright(page: Page, gateway: Gateway, scale: bool) -> None:
    # Stored lying, to be turned by 90 degrees clockwise: its white top is on the right then.
    photo = image_file("phone.jpg", RED, (4000, 3000), orientation=6)
    page.get_by_label("Scale down large images").set_checked(scale)
    choose(page, photo)
    expect(page.locator(".answer")).to_have_text("red")
    (sent,) = gateway.classified()
    if not scale:
        assert sent.body == photo.data
        page.get_by_text("Timings and full response").click()
        expect(page.locator(".more")).to_contain_text("3000 × 4000 · ")
        return
    image = Image.open(io.BytesIO(sent.body))
    assert (image.format, image.size, image.getexif().get(0x0112, 1)) == ("JPEG", (1200, 1600), 1)
    assert min(image.getpixel((1150, 800))) > 240  # type: ignore[type-var]
    assert image.getpixel((100, 800))[1] < 80  # type: ignore[index]
    page.get_by_text("Timings and full response").click()
    expect(page.locator(".more")).to_contain_text(re.compile(r"3000\s×\s4000 .* sent as JPEG, 1200\s×\s1600 · "))


def test_transparent_pixels_become_white_and_other_formats_become_jpeg(page: Page, gateway: Gateway) -> None:
    choose(page, image_file("glass.png", (*RED, 0), (2000, 2000)), image_file("old.bmp", BLUE))
    expect(page.locator(".picture[data-state=done]")).to_have_count(2)
    sent = {
        Image.open(io.BytesIO(request.body)).size: Image.open(io.BytesIO(request.body))
        for request in gateway.classified()
    }
    assert sent[(1600, 1600)].getpixel((800, 800)) == (255, 255, 255)
    assert sent[(320, 240)].format == "JPEG"


def test_images_too_large_for_one_request_are_compressed(page: Page, gateway: Gateway) -> None:
    choose(page, noise("noise.png", (1500, 1000)))
    expect(page.locator(".picture[data-state=done]")).to_have_count(1)
    assert len(gateway.classified()[0].body) < 4_400_000


def test_retry_sends_the_request_again(page: Page, gateway: Gateway) -> None:
    gateway.instead.append(problem(500, "internal_error", "Something went wrong on our side", "Try again."))
    choose(page, RED_JPEG)
    expect(page.locator(".problem")).to_contain_text("The cause is not the image")
    page.get_by_role("button", name="Retry red.jpg").click()
    expect(page.locator(".answer")).to_have_text("red")
    assert len(gateway.classified()) == 2


@pytest.mark.parametrize("code", sorted(examples()))
def test_every_problem_has_words_for_people_and_retry_only_where_it_helps(
    page: Page, gateway: Gateway, code: str
) -> None:
    example = examples()[code]
    gateway.instead += [Answer(example["status"], json.dumps(example).encode(), {"Retry-After": "60"})]
    choose(page, RED_JPEG)
    if code in ("unauthorized", "api_key_invalid"):
        expect(page.get_by_label("API key")).to_be_visible()
        words = page.locator("#key-form").inner_text()
    else:
        expect(page.locator(".picture")).to_have_attribute("data-state", "failed")
        words = page.locator(".picture").inner_text()
        assert example["request_id"] not in words
        retry = page.get_by_role("button", name="Retry red.jpg")
        expect(retry).to_have_count(int(code in RETRY_HELPS))
    for technical in (code, str(example["status"]), "x-api-key", "Content-Type", "Retry-After", "JSON", "POST"):
        assert technical not in words


def test_problems_of_the_gateway_are_shown_in_plain_words(page: Page, gateway: Gateway) -> None:
    later = {"Retry-After": "3600"}
    for answer, words in [
        (Answer(413, b'{"message":"Request Too Long"}'), "The image is too large"),
        (Answer(413, b"<html>413</html>"), "The image is too large"),
        (Answer(502, b'{"message":"Internal server error"}'), "Something went wrong"),
        (Answer(504, b'{"message":"Endpoint request timed out"}'), "The response took too long"),
        (Answer(200, b"<html>Sign in</html>"), "The response cannot be read"),
        (Answer(418, b""), "Something went wrong"),
        (Answer(429, b'{"message":"Limit Exceeded"}', later), "Try again in 3,600 seconds"),
        (
            problem(429, "quota_exceeded", "The key's quota is used up", "Try again in the next period."),
            "The quota of this key is used up",
        ),
        (
            problem(403, "forbidden", "This is not allowed", "The firewall rejected the request."),
            "The request was rejected",
        ),
    ]:
        gateway.instead.append(answer)
        choose(page, RED_JPEG)
        expect(page.locator(".problem")).to_contain_text(words)
        page.get_by_role("button", name="Clear").click()
    expect(page.get_by_label("API key")).to_be_hidden()


def test_a_throttled_request_is_retried_after_retry_after(page: Page, gateway: Gateway) -> None:
    gateway.instead.append(Answer(429, b'{"message":"Too Many Requests"}', {"Retry-After": "2"}))
    choose(page, RED_JPEG)
    expect(page.locator(".picture")).to_contain_text("trying again in 2 seconds")
    expect(page.locator(".answer")).to_have_text("red")


def test_a_lost_connection_is_shown_and_retried(page: Page) -> None:
    expect(page.locator("#serving")).to_have_text("tiny 1.0.0")
    page.context.set_offline(True)
    choose(page, RED_JPEG)
    expect(page.locator(".problem")).to_contain_text("This device is offline")
    page.context.set_offline(False)
    page.get_by_role("button", name="Retry red.jpg").click()
    expect(page.locator(".answer")).to_have_text("red")


def test_many_images_are_sent_a_few_at_a_time_and_can_be_cleared(page: Page, gateway: Gateway) -> None:
    choose(page, *[image_file(f"{n}.png", (n * 20, 0, 200)) for n in range(12)])
    expect(page.locator("#summary")).to_have_text("12 classified")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".picture")).to_have_count(0)
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#summary")).to_have_text("")


def test_the_page_shows_the_served_model(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Blue or red?")
    model = page.get_by_role("region", name="The model")
    expect(model).to_contain_text("95.1 % (95 % interval 88.1 % to 98.1 %)")
    expect(model).not_to_contain_text("MIT")
    model.get_by_text("Evaluation, limits and licence").click()
    for text in ("tiny · 1.0.0", "20 × 20 pixels", "82 images", "MIT"):
        expect(model).to_contain_text(text)
    expect(model.get_by_role("row", name="red 2 38")).to_be_visible()


def test_the_page_works_without_a_trailing_slash(open_page: Open, gateway: Gateway) -> None:
    page = open_page(gateway.url.rstrip("/"))
    choose(page, RED_JPEG)
    expect(page.locator(".answer")).to_have_text("red")
    expect(page.locator("#curl")).to_contain_text(f"{gateway.url}v1/classify")
    expect(page.get_by_role("link", name="openapi.json")).to_have_attribute("href", f"{gateway.url}openapi.json")


def test_names_cannot_become_markup(page: Page) -> None:
    choose(page, File("<img src=x onerror=alert(1)>.jpg", "image/jpeg", RED_JPEG.data))
    expect(page.locator(".picture .name")).to_have_text("<img src=x onerror=alert(1)>.jpg")
    expect(page.locator(".answer")).to_have_text("red")
