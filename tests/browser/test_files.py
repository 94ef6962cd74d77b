"""Files of every kind: what is sent, what is rejected in the browser by its content, and uploads."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.actions import choose
from tests.browser.chromium import Open
from tests.browser.gateway import Answer, Gateway
from tests.browser.image_files import BLUE, RED, File, image_file, noise

HEIC = File("IMG_0001.HEIC", "image/heic", (Path(__file__).parents[1] / "unit" / "heic" / "tile.heic").read_bytes())
MP4 = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(200)
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
MAX_BYTES = 10 * 1024 * 1024


def limits(**changes: object) -> Answer:
    """``GET /v1/models`` of a deployment with other limits."""
    model = {"name": "tiny", "version": "1.0.0", "labels": ["blue", "red"], "default": True}
    values = {"max_image_bytes": MAX_BYTES, "max_image_pixels": 25_000_000, "formats": ["jpeg", "png"], **changes}
    return Answer(200, json.dumps({"models": [model], "limits": values}).encode())


def test_a_heic_photo_is_sent_as_it_is_with_a_placeholder(page: Page, gateway: Gateway) -> None:
    choose(page, HEIC)
    expect(page.locator(".answer")).to_be_visible()
    # Chromium cannot show it.
    expect(page.locator(".thumb")).to_have_text("HEIC: no preview")
    (sent,) = gateway.classified()
    assert (sent.body, sent.headers["content-type"]) == (HEIC.data, "image/heic")


def test_an_avif_image_is_sent_unchanged(page: Page, gateway: Gateway) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), RED).save(out, "AVIF")
    # Neither its name nor the type that the browser states decide.
    choose(page, File("photo.jpg", "image/jpeg", out.getvalue()))
    expect(page.locator(".answer")).to_have_text("red")
    (sent,) = gateway.classified()
    assert (sent.body, sent.headers["content-type"]) == (out.getvalue(), "image/avif")


def test_the_deployments_formats_decide_what_is_accepted(open_page: Open, gateway: Gateway) -> None:
    gateway.at["/live/v1/models"] = limits()
    page = open_page(gateway.url)
    expect(page.locator("#accepted")).to_have_text("JPEG or PNG")
    choose(page, HEIC, image_file("a.webp", BLUE))
    failed = page.locator(".picture[data-state=failed]")
    expect(failed.locator("strong")).to_have_text("HEIC images are not supported")
    expect(failed.locator(".problem")).to_contain_text("Choose a JPEG or PNG image")
    # The browser can show WebP, so it makes a JPEG of it.
    expect(page.locator(".answer")).to_have_text("blue")
    (sent,) = gateway.classified()
    assert Image.open(io.BytesIO(sent.body)).format == "JPEG"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"dear diary", "a text file"),
        ("ein Brief, aber mit Umlauten: äöü".encode(), "a text file"),
        (b"%PDF-1.7\n" + bytes(99), "a PDF document"),
        (b"PK\x03\x04" + bytes(99), "an archive or an office document"),
        (MP4, "a video or a sound"),
        (SVG, "a drawing (SVG)"),
        (b"", "empty"),
        (bytes(300), "Choose a JPEG"),
    ],
)
def test_a_file_that_is_no_image_is_rejected_in_the_browser(
    page: Page, gateway: Gateway, data: bytes, words: str
) -> None:
    choose(page, File("photo.jpg", "image/jpeg", data))
    expect(page.locator(".problem strong")).to_have_text("This file is not a supported image")
    expect(page.locator(".problem")).to_contain_text(words)
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    assert not gateway.classified()


def test_a_damaged_image_is_reported_without_retry(page: Page, gateway: Gateway) -> None:
    choose(page, File("cut.jpg", "image/jpeg", b"\xff\xd8\xff\xe0" + bytes(200)))
    expect(page.locator(".problem strong")).to_have_text("The image cannot be read")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    assert len(gateway.classified()) == 1
    problem = page.locator(".problem")
    assert "image_undecodable" not in problem.inner_text()
    problem.get_by_text("Details for support").click()
    expect(problem).to_contain_text(re.compile(r"Request [0-9a-f-]{36}"))


def test_an_image_larger_than_a_request_is_uploaded_with_progress(open_page: Open, gateway: Gateway) -> None:
    storage = f"{gateway.url.removesuffix('live/')}storage"
    upload = {
        "upload": {"url": storage, "fields": {"key": "uploads/1", "policy": "signed"}, "max_bytes": MAX_BYTES},
        "s3": {"bucket": "uploads", "key": "uploads/1"},
    }
    gateway.at |= {
        "/live/v1/models": limits(uploads=True),
        "/live/v1/uploads": Answer(200, json.dumps(upload).encode()),
        "/storage": Answer(204, b""),
    }
    result = {"label": "red", "probability": 0.8, "scores": {"red": 0.8, "blue": 0.2}}
    gateway.instead.append(Answer(200, json.dumps(result).encode()))
    page = open_page(gateway.url)
    expect(page.locator("#accepted")).to_have_text("JPEG or PNG")
    page.evaluate(
        """() => new MutationObserver(() => {
            for (const bar of document.querySelectorAll("progress"))
                (window.labels ??= new Set()).add(bar.getAttribute("aria-label"));
        }).observe(document.body, { childList: true, subtree: true })"""
    )
    page.get_by_label("Scale down large images").uncheck()
    large = noise("noise.png", (1500, 1000))
    assert len(large.data) > 4_400_000
    choose(page, large)
    expect(page.locator(".answer")).to_have_text("red")
    assert page.evaluate("[...window.labels]") == ["Upload of noise.png"]
    (stored,) = [request for request in gateway.received if request.path == "/storage"]
    assert large.data in stored.body
    assert b'name="policy"\r\n\r\nsigned' in stored.body
    assert b'name="Content-Type"\r\n\r\nimage/png' in stored.body
    (sent,) = gateway.classified()
    assert json.loads(sent.body) == {"s3": {"bucket": "uploads", "key": "uploads/1"}}


def test_a_failed_upload_can_be_retried_and_loses_nothing_else(open_page: Open, gateway: Gateway) -> None:
    storage = f"{gateway.url.removesuffix('live/')}storage"
    upload = {"upload": {"url": storage, "fields": {}}, "s3": {"bucket": "uploads", "key": "1"}}
    gateway.at |= {
        "/live/v1/models": limits(uploads=True),
        "/live/v1/uploads": Answer(200, json.dumps(upload).encode()),
        "/storage": Answer(403, b"<Error/>"),
    }
    page = open_page(gateway.url)
    expect(page.locator("#accepted")).to_have_text("JPEG or PNG")
    page.get_by_label("Scale down large images").uncheck()
    choose(page, noise("noise.png", (1500, 1000)), image_file("red.jpg", RED))
    expect(page.locator("#summary")).to_have_text("1 classified, 1 failed")
    expect(page.locator(".problem")).to_contain_text("The upload failed")
    expect(page.get_by_role("button", name="Retry noise.png")).to_be_visible()
    # The storage's 403 is not about the API key.
    expect(page.get_by_label("API key")).to_be_hidden()


def test_without_uploads_an_image_larger_than_a_request_is_rejected_with_the_remedy(
    page: Page, gateway: Gateway
) -> None:
    page.get_by_label("Scale down large images").uncheck()
    choose(page, noise("noise.png", (1500, 1000)))
    expect(page.locator(".problem")).to_contain_text(
        re.compile(r"at most 4\.4\sMB can be sent\. Turn on scaling of large images")
    )
    assert not gateway.classified()
