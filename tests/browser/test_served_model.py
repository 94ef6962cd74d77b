"""The page's description of its model: before the API key, with many labels, and whatever a card holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.actions import choose
from tests.browser.chromium import Open
from tests.browser.conftest import load_handler
from tests.browser.gateway import Answer, Gateway
from tests.browser.image_files import BLUE, RED, image_file
from tests.unit.tinymodel import graph, write_model

HOSTILE = "</script><script>document.title='owned'</script><!-- {{facts}} & <img src=x onerror=alert(1)>"
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
THOUSAND = [
    f"class {n:03} {LONG if n % 3 == 0 else 'of a very long label, with commas' if n % 3 == 1 else 'x'}"
    for n in range(1000)
]


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Gateway]:
    write_model(tmp_path / "hostile", description=HOSTILE, license={"spdx": HOSTILE}, output={"labels": [HOSTILE, "b"]})
    with Gateway(load_handler(tmp_path, "hostile")).serve() as gateway:
        yield gateway


def thousand() -> tuple[Answer, Answer]:
    """``GET /v1/models`` and a classification with ``?top=200`` of a model with a thousand long labels."""
    raw = np.sort(np.random.default_rng(3).pareto(1.5, len(THOUSAND)))[::-1]
    scores = dict(zip(THOUSAND[:200], np.round(raw / raw.sum(), 6).tolist(), strict=False))
    model = {"name": "thousand", "version": "1.0.0", "labels": THOUSAND, "default": True}
    result = {"label": THOUSAND[0], "probability": scores[THOUSAND[0]], "scores": scores}
    return Answer(200, json.dumps({"models": [model], "limits": {}}).encode()), Answer(200, json.dumps(result).encode())


def test_a_multilabel_model_shows_every_assigned_label(open_page: Open, tmp_path: Path) -> None:
    output = {"kind": "multilabel-logits", "labels": ["warm", "red"]}
    write_model(tmp_path / "several", graph(outputs=2), output=output)
    with Gateway(load_handler(tmp_path, "several")).serve() as gateway:
        page = open_page(gateway.url)
        choose(page, image_file("red.jpg", RED), image_file("blue.jpg", BLUE))
        expect(page.locator(".answer")).to_have_text(["warm, red", "none of the labels"])


def test_the_model_and_the_samples_are_shown_before_the_key_is_entered(open_page: Open, gateway: Gateway) -> None:
    gateway.key = "key-of-a-tester"
    page = open_page(gateway.url, viewport={"width": 1280, "height": 900})
    expect(page.get_by_label("API key")).to_be_visible()
    expect(page.locator("#description")).to_have_text("Tells red pictures from blue ones.")
    expect(page.locator("#serving")).to_have_text("tiny 1.0.0")
    expect(page.locator("#accepted")).to_have_text("JPEG, PNG, WebP, GIF, AVIF or HEIC")
    sample = page.get_by_role("group", name="Or try a sample").get_by_role("button").first
    sample.click()
    expect(page.locator("#summary")).to_have_text("1 waiting for the key")
    # Labels, figures and licence are behind the key.
    html = page.content()
    for hidden in ("blue", "MIT", "95.1", "Plain pictures"):
        assert hidden not in html.replace("Tells red pictures from blue ones.", "")


def test_a_card_cannot_become_markup_or_code(open_page: Open, hostile: Gateway) -> None:
    page = open_page(hostile.url)
    expect(page.locator("#serving")).to_have_attribute("data-state", "ready")
    expect(page.locator("#description")).to_have_text(HOSTILE)
    expect(page).to_have_title("hostile · Loupe")
    choose(page, image_file("red.jpg", RED))
    expect(page.locator(".answer")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 3


def test_a_thousand_scores_are_readable(open_page: Open, gateway: Gateway) -> None:
    models, result = thousand()
    gateway.at["/live/v1/models"] = models
    gateway.instead.append(result)
    page = open_page(gateway.url)
    choose(page, image_file("red.jpg", RED))
    card = page.locator(".picture")
    expect(card.locator(".scores li")).to_have_count(5)
    assert gateway.classified()[0].query == "top=200"
    box = card.bounding_box()
    assert box is not None
    assert box["height"] < 560
    card.get_by_text("995 more labels").click()
    rest = card.get_by_role("group", name="Other scores of red.jpg")
    expect(rest.locator("li")).to_have_count(195)
    assert rest.evaluate("(node) => node.scrollHeight > node.clientHeight && node.clientHeight < 300")
    expect(card).to_contain_text("800 more, none above 0.1\u00a0%")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    labels = page.get_by_role("region", name="The model")
    expect(labels.locator(".chips li")).to_have_count(12)
    labels.get_by_text("988 more").click()
    expect(labels.locator(".chips li")).to_have_count(1000)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("labels", [("a", "b"), ("curly", "a label of more than some words"), (LONG, "b")])
def test_bars_start_at_one_place_on_one_scale(
    open_page: Open, gateway: Gateway, width: int, labels: tuple[str, str]
) -> None:
    page = open_page(gateway.url, viewport={"width": width, "height": 800}, reduced_motion="reduce")
    scores = dict(zip(labels, (0.75, 0.25), strict=True))
    result = {"label": labels[0], "probability": 0.75, "scores": scores}
    gateway.instead.append(Answer(200, json.dumps(result).encode()))
    choose(page, image_file("red.jpg", RED))
    expect(page.locator(".scores li")).to_have_count(2)
    tracks = [bar.bounding_box() for bar in page.locator(".track").all()]
    fills = [bar.bounding_box() for bar in page.locator(".fill").all()]
    axis = page.locator(".axis span").bounding_box()
    assert axis is not None
    for track, fill, share in zip(tracks, fills, (0.75, 0.25), strict=True):
        assert track is not None
        assert fill is not None
        assert (track["x"], track["width"]) == pytest.approx((axis["x"], axis["width"]), abs=0.6)
        assert (fill["x"], fill["width"]) == pytest.approx((axis["x"], axis["width"] * share), abs=0.6)


def test_a_person_chooses_among_several_models(open_page: Open, tmp_path: Path) -> None:
    write_model(tmp_path / "tiny", description="Tells red images from blue ones.")
    output = {"kind": "logit", "labels": ["cold", "warm"]}
    write_model(tmp_path / "other", graph(weight=-4.0), description="Says the opposite.", output=output)
    with Gateway(load_handler(tmp_path, "tiny", "other")).serve() as gateway:
        page = open_page(gateway.url)
        expect(page.get_by_label("Model", exact=True)).to_have_value("tiny")
        expect(page.locator("#title")).to_have_text("Blue or red?")
        choose(page, image_file("first.jpg", RED))
        expect(page.locator(".answer")).to_have_text("red by tiny")
        page.get_by_label("Model", exact=True).select_option("other")
        expect(page.locator("#serving")).to_have_text("other 1.0.0")
        expect(page.locator("#title")).to_have_text("Cold or warm?")
        expect(page.locator("#description")).to_have_text("Says the opposite.")
        expect(page.locator("#curl")).to_contain_text("v1/models/other/classify")
        choose(page, image_file("second.jpg", RED))
        expect(page.locator(".answer").filter(has_text="other")).to_have_text("cold by other")


def test_one_model_leaves_no_choice(open_page: Open, gateway: Gateway) -> None:
    page = open_page(gateway.url)
    expect(page.locator("#title")).to_have_text("Blue or red?")
    expect(page.locator("#choice-field")).to_be_hidden()
    choose(page, image_file("first.jpg", RED))
    expect(page.locator(".answer")).to_have_text("red")
    expect(page.locator("#curl")).to_contain_text("/v1/classify'")
