"""Draw the golden images: people's heads with curly or with straight hair.

The project owns these images, so they can be published and tested with; the photos cannot. Every image is
thousands of single strands, placed lock by lock over a head. All of it is seeded: the same script, NumPy and Pillow
draw the same images. The model has never seen a drawing: it learned from photos alone.

    python models/hair-type/draw.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Array = npt.NDArray[np.float64]
Rgb = tuple[int, int, int]

OVERSAMPLING = 2
# Points of a strand that share one brightness.
STROKE = 3
MAX_BYTES = 60_000
EXIF_ORIENTATION = 0x0112

HAIR: tuple[Rgb, ...] = ((34, 25, 22), (58, 38, 28), (92, 60, 38), (128, 84, 48), (178, 138, 88), (112, 50, 30))
SKIN: tuple[Rgb, ...] = ((236, 200, 176), (222, 178, 146), (190, 138, 102), (142, 96, 68), (96, 62, 46))


@dataclass(frozen=True)
class Scene:
    """One image: what is drawn and how it is stored."""

    label: str
    seed: int
    width: int
    height: int
    hair: Rgb
    skin: Rgb
    length: float
    """How far the hair falls below the chin, in head heights."""
    from_behind: bool = False
    orientation: int = 1
    """EXIF orientation that the file is stored with; the image is upright once it is applied."""
    transparent: bool = False
    quality: int = 80
    looseness: float = 1.0
    """Of curls: how many times longer a turn is, and by its square root flatter."""


GOLDEN: dict[str, Scene] = {
    "curly-1.jpg": Scene("curly", 1, 440, 520, HAIR[1], SKIN[2], 0.75),
    "curly-2.jpg": Scene("curly", 2, 480, 480, HAIR[3], SKIN[0], 0.45, quality=76),
    # Its probability is well below 1, so that a wrong preprocessing shows in it.
    "curly-loose.jpg": Scene("curly", 12, 420, 500, HAIR[5], SKIN[1], 0.6, looseness=2.6),
    "curly-rotated.jpg": Scene("curly", 3, 400, 500, HAIR[0], SKIN[3], 0.3, orientation=6),
    "straight-1.jpg": Scene("straight", 4, 440, 560, HAIR[2], SKIN[1], 0.9),
    "straight-2.jpg": Scene("straight", 5, 900, 1080, HAIR[0], SKIN[0], 1.0, from_behind=True, quality=62),
    "straight-alpha.png": Scene("straight", 6, 200, 240, HAIR[5], SKIN[1], 0.8, transparent=True),
}

LOOSENESS = {"hair-type": 2.6, "hair-type-large": 3.05}


@dataclass(frozen=True)
class Head:
    """Centre and half axes of the skull, in pixels of the oversampled image."""

    x: float
    y: float
    a: float
    b: float


def _shaded(color: Rgb, factor: float) -> Rgb:
    red, green, blue = (int(min(255, max(0, channel * factor))) for channel in color)
    return (red, green, blue)


def _muted(rng: np.random.Generator, low: float, high: float) -> Rgb:
    red, green, blue = rng.uniform(low, high) + rng.normal(0, 24, 3)
    return _shaded((int(red), int(green), int(blue)), 1.0)


def _background(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A wall or a blurred room: a gradient and a few large soft shapes."""
    width, height = size
    top, bottom = rng.uniform(90, 245) + rng.normal(0, 16, 3), rng.uniform(90, 235) + rng.normal(0, 16, 3)
    if rng.random() < 0.5:
        top = bottom = np.full(3, rng.uniform(170, 250)) + rng.uniform(-6, 6, 3)
    ramp = np.linspace(0, 1, height)[:, None, None]
    pixels = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (height, width, 3))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 9))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.06, 0.3, 2) * width
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x - w, y - h, x + w, y + h), fill=_muted(rng, 60, 235))
    return image.filter(ImageFilter.GaussianBlur(width / 28))


def _body(draw: ImageDraw.ImageDraw, head: Head, skin: Rgb, cloth: Rgb, height: int) -> None:
    neck = 0.42 * head.a
    draw.rectangle((head.x - neck, head.y, head.x + neck, head.y + 1.75 * head.b), fill=_shaded(skin, 0.72))
    shoulder = head.y + 1.5 * head.b
    draw.ellipse((head.x - 2.1 * head.a, shoulder, head.x + 2.1 * head.a, shoulder + 2.6 * head.b), fill=cloth)
    draw.rectangle((head.x - 2.0 * head.a, shoulder + 1.2 * head.b, head.x + 2.0 * head.a, 2 * height), fill=cloth)
    draw.ellipse(
        (head.x - 0.7 * head.a, shoulder - 0.3 * head.b, head.x + 0.7 * head.a, shoulder + 0.35 * head.b),
        fill=_shaded(skin, 0.86),
    )


def _face(image: Image.Image, head: Head, skin: Rgb, rng: np.random.Generator) -> None:
    """An oval with light from one side, brows, eyes, nose and mouth."""
    a, b, x, y = 0.82 * head.a, 0.98 * head.b, head.x, head.y + 0.12 * head.b
    layer = Image.new("RGB", image.size, skin)
    draw = ImageDraw.Draw(layer)
    side = 1 if rng.random() < 0.5 else -1
    draw.ellipse((x + side * 0.5 * a - a, y - b, x + side * 0.5 * a + a, y + b), fill=_shaded(skin, 1.1))
    draw.ellipse((x - 0.55 * a, y + 0.5 * b, x + 0.55 * a, y + 1.2 * b), fill=_shaded(skin, 0.9))
    layer = layer.filter(ImageFilter.GaussianBlur(a / 4))
    draw = ImageDraw.Draw(layer)
    dark = _shaded(skin, 0.32)
    for eye in (-1, 1):
        ex, ey = x + eye * 0.4 * a, y - 0.1 * b
        draw.arc((ex - 0.25 * a, ey - 0.28 * b, ex + 0.25 * a, ey + 0.1 * b), 205, 335, fill=dark, width=int(0.07 * a))
        draw.ellipse((ex - 0.17 * a, ey - 0.06 * b, ex + 0.17 * a, ey + 0.06 * b), fill=(238, 234, 230))
        draw.ellipse((ex - 0.08 * a, ey - 0.07 * b, ex + 0.08 * a, ey + 0.07 * b), fill=(46, 34, 28))
        draw.line((ex - 0.19 * a, ey - 0.03 * b, ex, ey - 0.08 * b, ex + 0.19 * a, ey - 0.03 * b), fill=dark, width=4)
    draw.line((x + side * 0.03 * a, y, x + side * 0.1 * a, y + 0.27 * b), fill=_shaded(skin, 0.8), width=int(0.07 * a))
    draw.ellipse((x - 0.13 * a, y + 0.24 * b, x + 0.13 * a, y + 0.31 * b), fill=_shaded(skin, 0.72))
    lips = (int(skin[0] * 0.82), int(skin[1] * 0.52), int(skin[2] * 0.52))
    draw.ellipse((x - 0.3 * a, y + 0.46 * b, x + 0.3 * a, y + 0.58 * b), fill=lips)
    draw.line((x - 0.28 * a, y + 0.52 * b, x + 0.28 * a, y + 0.52 * b), fill=_shaded(lips, 0.6), width=3)
    layer = layer.filter(ImageFilter.GaussianBlur(a / 60))
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((x - a, y - b, x + a, y + b), fill=255)
    image.paste(layer, mask=mask.filter(ImageFilter.GaussianBlur(a / 50)))


def _guide(head: Head, side: float, radius: float, start: float, turn: float, end: float, part: float) -> Array:
    """The way of a lock: over the skull from the parting to the side, then down. Returns ``(160, 2)`` points."""
    angle = np.linspace(start, turn, 60)
    # Locks over the back of the head start at the crown too, however near to the middle they fall.
    crown = radius if radius > 0.85 else 0.85 + 0.2 * radius
    over = np.stack(
        [
            head.x + part * (1 - np.sin(angle)) + side * radius * head.a * np.sin(angle),
            head.y - crown * head.b * np.cos(angle),
        ],
        1,
    )
    fall = np.linspace(0, 1, 140)[1:, None]
    target = np.array([over[-1, 0] + side * 0.12 * head.a * (radius - 0.9), max(end, over[-1, 1] + 0.2 * head.b)])
    down = over[-1] + (target - over[-1]) * np.concatenate([fall**1.6, fall], 1)
    path = np.concatenate([over, down])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    even = np.linspace(0, along[-1], 160)
    return np.stack([np.interp(even, along, path[:, 0]), np.interp(even, along, path[:, 1])], 1)


def _stroke(draw: ImageDraw.ImageDraw, points: Array, color: Rgb, light: Array, width: int) -> None:
    """One strand: short lines whose brightness follows ``light`` along the path."""
    colors = (np.outer(light, color)).clip(0, 255).astype(np.int64).tolist()
    flat = points.ravel().tolist()
    for index in range(0, len(points) - STROKE, STROKE):
        draw.line(flat[2 * index : 2 * (index + STROKE + 1)], fill=tuple(colors[index]), width=width)


def _strand_color(hair: Rgb, rng: np.random.Generator) -> Rgb:
    red, green, blue = np.asarray(hair) * rng.normal(1, 0.12) + rng.normal(0, 4, 3)
    return _shaded((int(red), int(green), int(blue)), 1.0)


def _straight_lock(
    draw: ImageDraw.ImageDraw, guide: Array, head: Head, hair: Rgb, rng: np.random.Generator, shade: float, width: int
) -> None:
    """Strands side by side, almost parallel, with one long gleam where the light falls."""
    t = np.linspace(0, 1, len(guide))
    bend = rng.normal(0, 0.02) * head.a
    gleam = shade * (0.75 + 0.75 * np.exp(-(((t - rng.normal(0.26, 0.03)) / 0.10) ** 2)))
    gleam = gleam + shade * 0.25 * np.exp(-(((t - 0.7) / 0.16) ** 2))
    for _ in range(26):
        offset = rng.normal(0, 0.055) * head.a
        points = guide.copy()
        points[:, 0] += offset * (0.5 + 0.6 * t) + bend * np.sin(np.pi * t)
        points[:, 1] += rng.normal(0, 0.03) * head.b * (t > 0.5) * t
        end = int(len(points) * rng.uniform(0.95, 1.0))
        _stroke(draw, points[:end], _strand_color(hair, rng), gleam * rng.normal(1, 0.12), width)


def _curly_lock(
    draw: ImageDraw.ImageDraw,
    guide: Array,
    head: Head,
    hair: Rgb,
    rng: np.random.Generator,
    shade: float,
    width: int,
    *,
    looseness: float,
) -> None:
    """A ringlet: strands that wind about the guide together, bright where the coil turns to the viewer."""
    t = np.linspace(0, 1, len(guide))
    length = float(np.hypot(*np.diff(guide, axis=0).T).sum())
    coil = rng.uniform(0.09, 0.17) * head.a
    turns = length / (coil * rng.uniform(2.2, 3.4) * looseness)
    coil /= looseness**0.5
    phase, wander = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.12) * head.a
    direction = np.gradient(guide, axis=0)
    direction /= np.maximum(np.hypot(*direction.T), 1e-6)[:, None]
    normal = np.stack([-direction[:, 1], direction[:, 0]], 1)
    path = guide + normal * (wander * np.sin(t * rng.uniform(2, 5) + phase))[:, None]
    fine = np.linspace(0, 1, 300)
    path = np.stack([np.interp(fine, t, path[:, axis]) for axis in (0, 1)], 1)
    normal = np.stack([np.interp(fine, t, normal[:, axis]) for axis in (0, 1)], 1)
    along = np.stack([np.interp(fine, t, direction[:, axis]) for axis in (0, 1)], 1)
    grow = np.minimum(1, 0.35 + 2.2 * fine)
    for _ in range(22):
        angle = phase + 2 * np.pi * turns * fine + rng.normal(0, 0.28)
        wide = coil * grow * rng.normal(1, 0.16)
        points = path + normal * (wide * np.cos(angle))[:, None] + along * (0.7 * wide * np.sin(angle))[:, None]
        points += rng.normal(0, 0.02, 2) * head.a
        light = shade * (0.72 + 0.62 * np.clip(np.sin(angle + 0.6), -0.5, 1)) * rng.normal(1, 0.12)
        end = int(len(points) * rng.uniform(0.88, 1.0))
        _stroke(draw, points[:end], _strand_color(hair, rng), light, width)


def _hair(image: Image.Image, scene: Scene, head: Head, rng: np.random.Generator, *, front: bool) -> None:
    """Draw one layer of locks: behind the body (dark) or before it (lit)."""
    draw = ImageDraw.Draw(image)
    curly = scene.label == "curly"
    volume = 1.42 if curly else 1.14
    chin = head.y + 1.1 * head.b
    end = chin + 2 * scene.length * head.b
    part = rng.uniform(-0.25, 0.25) * head.a
    width = max(1, round(head.a / 95))
    lock = partial(_curly_lock, looseness=scene.looseness) if curly else _straight_lock
    inner = 0.0 if scene.from_behind else 0.93
    if not front:
        mass = (head.x - volume * head.a, head.y - volume * head.b, head.x + volume * head.a, end - 0.15 * head.b)
        draw.rounded_rectangle(mass, radius=volume * head.a * 0.95, fill=_shaded(scene.hair, 0.38))
        inner = 0.1
    if front and not scene.from_behind:
        # The hairline, so that no bare skull shows; the locks of the sides then cover where these end.
        for radius in rng.uniform(0.86, 1.05, 60):
            guide = _guide(head, rng.choice((-1.0, 1.0)), float(radius), abs(rng.normal(0, 0.15)), 1.4, head.y, part)
            lock(draw, _evened(guide[:105]), head, scene.hair, rng, rng.normal(1.0, 0.12), width)
    count = (150 if curly else 170) if front else 90
    evenly = np.linspace(inner, volume, count)
    radii = rng.permutation(evenly) if front else np.sort(rng.uniform(inner, volume, count))
    for radius in radii:
        side = -1.0 if rng.random() < 0.5 else 1.0
        start = rng.uniform(0.0, 0.9) if curly else abs(rng.normal(0.0, 0.12))
        turn = max(start + 0.25, rng.uniform(1.25, 1.75))
        until = end + rng.normal(0, 0.16 if curly else 0.05) * head.b
        guide = _guide(head, side, float(radius), start, turn, until, part)
        shade = (0.55 if not front else rng.normal(1.0, 0.14)) * (0.8 + 0.25 * float(radius) / volume)
        lock(draw, guide, head, scene.hair, rng, shade, width)


def _evened(points: Array) -> Array:
    at = np.linspace(0, len(points) - 1, 160)
    index = np.arange(len(points))
    return np.stack([np.interp(at, index, points[:, axis]) for axis in (0, 1)], 1)


def draw_image(scene: Scene) -> Image.Image:
    """Draw a scene upright; mode ``RGB``, or ``RGBA`` with nothing behind the person."""
    rng = np.random.default_rng(scene.seed)
    size = (scene.width * OVERSAMPLING, scene.height * OVERSAMPLING)
    a = size[0] * rng.uniform(0.19, 0.23)
    head = Head(size[0] * rng.uniform(0.46, 0.54), size[1] * rng.uniform(0.34, 0.38), a, a * rng.uniform(1.2, 1.32))
    background = _background(rng, size)
    image = background.copy()
    cloth = _muted(rng, 25, 215)
    for front in (False, True):
        if front:
            _body(ImageDraw.Draw(image), head, scene.skin, cloth, size[1])
            if not scene.from_behind:
                _face(image, head, scene.skin, rng)
        _hair(image, scene, head, rng, front=front)
    small = image.resize((scene.width, scene.height), Image.Resampling.LANCZOS)
    if scene.transparent:
        changed = ImageChops.difference(image, background).convert("L").point(lambda value: 255 if value > 6 else 0)
        alpha = changed.filter(ImageFilter.MaxFilter(3)).resize(small.size, Image.Resampling.LANCZOS)
        return _behind_glass(small, alpha)
    grain = rng.normal(0, 1.6, (scene.height, scene.width, 1))
    return Image.fromarray((np.asarray(small) + grain).clip(0, 255).astype(np.uint8))


def _behind_glass(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Put loud green where nothing is drawn, so that a reader that drops alpha is seen at once."""
    green = Image.new("RGB", image.size, (0, 230, 60))
    green.paste(image, mask=alpha.point(lambda value: 255 if value else 0))
    # Five bits a channel: a third of the bytes, and no difference to the eye.
    coarse = green.point(lambda value: value & 0xF8)
    coarse.putalpha(alpha.point(lambda value: value & 0xF0 | value >> 4))
    return coarse


def encoded(scene: Scene) -> bytes:
    """Draw a scene and return its file: PNG where it is transparent, else JPEG stored in the scene's orientation."""
    image = draw_image(scene)
    buffer = BytesIO()
    if scene.transparent:
        image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()
    exif = Image.Exif()
    if scene.orientation != 1:
        exif[EXIF_ORIENTATION] = scene.orientation
        stored = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
        image = image.transpose(stored[scene.orientation])
    image.save(buffer, "JPEG", quality=scene.quality, optimize=True, exif=exif)
    return buffer.getvalue()


def scenes(model: str) -> dict[str, Scene]:
    """Return the golden images of a model: ``curly-loose.jpg`` is as loose as leaves that model a little unsure."""
    loose = "curly-loose.jpg"
    return GOLDEN | {loose: replace(GOLDEN[loose], looseness=LOOSENESS[model])}


def write_golden(folder: Path, model: str) -> None:
    """Write a model's golden images; each must stay small."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, scene in scenes(model).items():
        data = encoded(scene)
        if len(data) > MAX_BYTES:
            raise SystemExit(f"{name} has {len(data):,} bytes; at most {MAX_BYTES:,} are wanted. Lower its quality.")
        (folder / name).write_bytes(data)
        print(f"{name}: {len(data):,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the golden images.")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parents[1], help="the folder of the models' folders"
    )
    output: Path = parser.parse_args().output
    for model in LOOSENESS:
        write_golden(output / model / "golden", model)


if __name__ == "__main__":
    main()
