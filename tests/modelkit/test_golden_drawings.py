"""The script that drew the golden images of the shipped models draws them again."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loupe.card import Card, GoldenCase, load_card
from PIL import Image
from training_scripts import importable, script

MODELS = Path(__file__).resolve().parents[2] / "models"
CARDS = [load_card(MODELS / name) for name in ("hair-type", "hair-type-large")]
GOLDEN = pytest.mark.parametrize(
    ("card", "case"),
    [(card, case) for card in CARDS for case in card.golden],
    ids=[f"{card.name}-{Path(case.image).stem}" for card in CARDS for case in card.golden],
)


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    with importable():
        yield


@GOLDEN
def test_the_drawing_script_draws_the_golden_images(card: Card, case: GoldenCase) -> None:
    """Pixel by pixel, and not byte by byte: JPEG and PNG encoders differ between builds of Pillow."""
    draw = script("draw")
    path = card.directory / case.image
    scene = draw.scenes(card.name)[path.name]
    shipped = Image.open(BytesIO(path.read_bytes()))
    drawn = Image.open(BytesIO(_drawn(scene)))
    assert (drawn.size, drawn.mode, drawn.getexif()) == (shipped.size, shipped.mode, shipped.getexif())
    difference = np.abs(np.asarray(drawn, np.int16) - np.asarray(shipped, np.int16))
    assert difference.mean() < 1.0
    assert scene.label == case.label


@functools.cache
def _drawn(scene: Any) -> bytes:
    """Most scenes belong to both models, and a drawing takes a second."""
    return bytes(script("draw").encoded(scene))
