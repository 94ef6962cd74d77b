"""Images that show no hair at all, made by this script: how sure is a model about what it cannot know?

A model of two labels answers every image with one of the two. These images measure how high its probability gets when
neither is right: textures, drawings, documents and landscapes, 40 of each, seeded.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from measures import probability
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 40
SURE = 0.9
_WIDTH, _HEIGHT = 420, 480
_WORDS = [
    "invoice",
    "total",
    "amount",
    "date",
    "number",
    "street",
    "account",
    "order",
    "paid",
    "item",
    "tax",
    "sum",
    "page",
    "of",
    "and",
    "the",
    "to",
    "in",
    "for",
]

Rng = np.random.Generator


def _color(rng: Rng, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = rng.integers(low, high, 3).tolist()
    return (red, green, blue)


def _smooth_noise(rng: Rng, cells: int) -> np.ndarray:
    """Noise of a given coarseness from 0 to 1, ``(height, width)``."""
    small = Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8))
    return np.asarray(small.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), np.float64) / 255


def texture(rng: Rng) -> Image.Image:
    """Stripes, checks, wood or plain noise in two colours."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.float64)
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
    across = x * np.cos(angle) + y * np.sin(angle)
    along = y * np.cos(angle) - x * np.sin(angle)
    patterns = (
        lambda: np.sin(2 * np.pi * across / period) > 0,
        lambda: (np.sin(2 * np.pi * across / period) > 0) ^ (np.sin(2 * np.pi * along / period) > 0),
        lambda: 0.5 + 0.5 * np.sin(2 * np.pi * (across / period + 3 * _smooth_noise(rng, 5))),
        lambda: _smooth_noise(rng, int(rng.integers(20, 120))),
    )
    share = np.asarray(patterns[int(rng.integers(len(patterns)))](), np.float64)[:, :, None]
    pixels = (
        share * np.array(_color(rng)) + (1 - share) * np.array(_color(rng)) + rng.normal(0, 6, (_HEIGHT, _WIDTH, 1))
    )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def drawing(rng: Rng) -> Image.Image:
    """Flat shapes and thick lines, as in a child's drawing or a logo."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), _color(rng, 200))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 14))):
        left, top = int(rng.integers(0, _WIDTH - 40)), int(rng.integers(0, _HEIGHT - 40))
        box = (left, top, left + int(rng.integers(30, 200)), top + int(rng.integers(30, 200)))
        kind, color = int(rng.integers(3)), _color(rng)
        if kind == 0:
            draw.ellipse(box, fill=color, outline=(0, 0, 0), width=4)
        elif kind == 1:
            draw.rectangle(box, fill=color, outline=(0, 0, 0), width=4)
        else:
            draw.line(rng.integers(0, 400, 8).tolist(), fill=color, width=int(rng.integers(4, 18)), joint="curve")
    return image


def document(rng: Rng) -> Image.Image:
    """Lines of text on paper, slightly rotated."""
    paper = _color(rng, 225)
    image = Image.new("RGB", (_WIDTH, _HEIGHT), paper)
    draw = ImageDraw.Draw(image)
    y, size = 24, int(rng.integers(10, 22))
    while y < _HEIGHT - 30:
        words = " ".join(str(word) for word in rng.choice(_WORDS, int(rng.integers(2, 9))))
        draw.text((24, y), words + f" {rng.integers(1, 9999)}", fill=_color(rng, 0, 70), font_size=size)
        y += int(size * rng.uniform(1.3, 2.2))
    return image.rotate(rng.uniform(-5, 5), Image.Resampling.BILINEAR, fillcolor=paper)


def landscape(rng: Rng) -> Image.Image:
    """A sky, ranges of hills and a meadow or water, softened like a photo."""
    top, bottom = np.array([90, 140, 210]) + rng.normal(0, 25, 3), np.array([215, 215, 220]) + rng.normal(0, 20, 3)
    ramp = np.linspace(0, 1, _HEIGHT)[:, None, None]
    pixels = top * (1 - ramp) + bottom * ramp + 40 * (_smooth_noise(rng, 6)[:, :, None] - 0.5)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x = np.arange(0, _WIDTH + 4, 4)
    for depth in range(int(rng.integers(2, 5))):
        base = _HEIGHT * (0.45 + 0.13 * depth)
        waves = (rng.uniform(5, 40) * np.sin(x / rng.uniform(20, 120) + rng.uniform(0, 6)) for _ in range(3))
        ridge = base + sum(waves) + rng.normal(0, 2, len(x))
        points = [(float(px), float(py)) for px, py in zip(x, ridge, strict=True)]
        red, green, blue = (np.array([95, 120, 75]) + rng.normal(0, 25, 3)) * (1.2 - 0.2 * depth)
        draw.polygon([*points, (_WIDTH, _HEIGHT), (0, _HEIGHT)], fill=(int(red), int(green), int(blue)))
    noisy = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), np.float64) + rng.normal(0, 5, (_HEIGHT, _WIDTH, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


KINDS: dict[str, Callable[[Rng], Image.Image]] = {
    "textures": texture,
    "drawings": drawing,
    "documents": document,
    "landscapes": landscape,
}


def jpeg(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def images(kind: str, count: int = COUNT) -> list[bytes]:
    """The first JPEG files of one kind; the same ones every time."""
    seed = list(KINDS).index(kind)
    return [jpeg(KINDS[kind](np.random.default_rng([seed, number]))) for number in range(count)]


def confidence(answer: Callable[[bytes], float], temperature: float, count: int = COUNT) -> dict[str, Any]:
    """Return, for each kind, how sure the model is and what it says; ``answer`` gives the logit of a file."""
    result: dict[str, Any] = {"images_of_each_kind": count, "sure": SURE}
    for kind in KINDS:
        of_straight = probability(np.array([answer(data) for data in images(kind, count)]), temperature)
        winning = np.maximum(of_straight, 1 - of_straight)
        result[kind] = {
            "median_probability": round(float(np.median(winning)), 4),
            "share_sure": round(float((winning >= SURE).mean()), 4),
            "share_curly": round(float((of_straight < 0.5).mean()), 4),
        }
    return result
