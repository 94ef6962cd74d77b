"""Peak memory of decoding and resizing is bounded for every shape of image, fit, filter and format."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import images
import memory
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loupe.card import InputSpec, Resize
from loupe.errors import ImageTooLarge, ImageUndecodable
from loupe.image import Limits, decode
from loupe.tensor import fit, resize_bytes, to_tensor
from PIL import Image
from test_image_memory import CASES, FIXED

needs_peak = pytest.mark.skipif(not memory.can_measure(), reason="this kernel does not tell a process's peak memory")
# The most that any format takes for each pixel (docs/api.md, 'Memory').
MOST_FOR_A_PIXEL = max(bound for _, _, bound in CASES.values())
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
# Longest side that each encoder writes.
LONGEST = {"JPEG": 65_500, "PNG": 65_535, "GIF": 65_535, "WEBP": 16_383}


@cache
def encoded(kind: str, size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, images.RED).save(out, kind)
    return out.getvalue()


@st.composite
def sizes(draw: st.DrawFn, longest: int, pixels: int = 1_000_000) -> tuple[int, int]:
    long = draw(st.one_of(st.integers(1, longest), st.integers(longest - 9, longest)))
    short = draw(st.integers(1, max(1, min(long, pixels // long))))
    return (long, short) if draw(st.booleans()) else (short, long)


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    width, height = draw(st.tuples(st.integers(1, 512), st.integers(1, 512)))
    kind = draw(st.sampled_from(["crop", "pad", "stretch"]))
    shortest = draw(st.none() | st.integers(max(width, height), 600)) if kind == "crop" else None
    size = None
    if kind == "crop" and shortest is None:
        size = draw(st.none() | st.tuples(st.integers(width, 8192), st.integers(height, 8192)))
    antialias = draw(st.booleans())
    crop_first = kind == "crop" and size is None and draw(st.booleans())
    resize: Any = Resize(
        fit=kind, filter=draw(st.sampled_from(FILTERS)) if antialias else "bilinear", shortest=shortest, size=size,
        antialias=antialias, align=draw(st.sampled_from(["center", "top-left"])),
        crop_offset=draw(st.sampled_from(["round", "floor"])), crop_first=crop_first,
    )  # fmt: skip
    draft = draw(st.sampled_from([0, 1])) if antialias else 0
    exif: Any = draw(st.sampled_from(["apply", "ignore"]))
    return InputSpec("input", width, height, resize=resize, jpeg_draft=draft, exif=exif)


@needs_peak
@pytest.mark.parametrize("kind", LONGEST)
def test_memory_is_bounded_for_every_aspect_ratio(kind: str) -> None:
    @settings(max_examples=60)
    @given(sizes(LONGEST[kind]), specs())
    def check(size: tuple[int, int], spec: InputSpec) -> None:
        data, pixels = encoded(kind, size), size[0] * size[1]
        result = 4 * spec.width * spec.height * (1 + 3 + 1)  # as an image, as float32, and padded
        bound = MOST_FOR_A_PIXEL * pixels + resize_bytes(pixels, spec) + result + FIXED
        assert memory.growth(lambda: to_tensor(decode(data, Limits(), spec), spec)) <= bound

    check()


@needs_peak
@pytest.mark.parametrize("size", [(1, 8000), (8000, 1), (1, 65_500), (65_500, 1)])
def test_a_thin_jpeg_for_a_cropping_model_takes_little(size: tuple[int, int]) -> None:
    """1 x 8000 pixels took 2.07 GiB: the whole image, resized to 256 x 2,048,000."""
    spec = InputSpec("input", 224, 224, resize=Resize(fit="crop", shortest=256))
    data = encoded("JPEG", size)
    assert len(data) < 20_000 or max(size) > 8000
    assert memory.growth(lambda: to_tensor(decode(data, Limits(), spec), spec)) <= 24 << 20


@pytest.mark.parametrize("size", [(25_000_000, 1), (1, 25_000_000), (65_536, 1), (1, 65_536)])
def test_a_side_longer_than_a_jpeg_can_have_is_too_large(size: tuple[int, int]) -> None:
    data = images.png_of(*size, bytes(10))
    with pytest.raises(ImageTooLarge, match="a side may have 65,535 at most"):
        decode(data, Limits(), InputSpec("input", 20, 20))


def whole_then_crop(image: Image.Image, spec: InputSpec) -> np.ndarray[Any, np.dtype[Any]]:
    """Resize all, then crop the centre, in the arithmetic of torchvision's Resize and CenterCrop, in float64."""
    pixels = np.asarray(image, np.float64)
    width, height = spec.resized(*image.size)
    left, top = round((width - spec.width) / 2), round((height - spec.height) / 2)

    def weights(full: int, resized: int, first: int, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        scale = full / resized
        centers = (first + np.arange(count)[:, None] + 0.5) * scale
        triangle = np.maximum(0, 1 - np.abs((np.arange(full)[None] + 0.5 - centers) / max(scale, 1)))
        return triangle / triangle.sum(1, keepdims=True)

    down = weights(image.height, height, top, spec.height)
    across = weights(image.width, width, left, spec.width)
    return np.einsum("ay,yxc,bx->abc", down, pixels, across, optimize=True)


@pytest.mark.parametrize("size", [(4, 5000), (3000, 2), (1, 8000), (8000, 1), (3, 8001), (7001, 5)])
def test_the_centre_of_a_thin_image_equals_that_of_the_whole_resized(size: tuple[int, int]) -> None:
    spec = InputSpec("input", 224, 200, resize=Resize(fit="crop", shortest=256))
    width, height = spec.resized(*size)
    assert width * height > 4 << 20
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), np.uint8))
    assert np.abs(np.asarray(fit(image, spec), np.float64) - whole_then_crop(image, spec)).max() <= 1.05


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 300), (301, 999), (224, 224), (256, 256), (100, 90)])
def test_an_ordinary_image_is_cropped_exactly_as_from_the_whole(kind: Any, size: tuple[int, int]) -> None:
    spec = InputSpec("input", 224, 224, resize=Resize(fit="crop", shortest=256, filter=kind))
    image = images.scene(size)
    resized = spec.resized(*size)
    left, top = round((resized[0] - 224) / 2), round((resized[1] - 224) / 2)
    whole = image.resize(resized, Image.Resampling[kind.upper()])
    assert np.array_equal(np.asarray(fit(image, spec)), np.asarray(whole.crop((left, top, left + 224, top + 224))))


def test_a_failure_while_resizing_is_a_client_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: Exception) -> Any:
        def resize(*_: object, **__: object) -> Image.Image:
            raise error

        return resize

    image, spec = images.scene(), InputSpec("input", 20, 20)
    monkeypatch.setattr(Image.Image, "resize", fails(MemoryError()))
    with pytest.raises(ImageTooLarge, match="more memory") as caught:
        to_tensor(image, spec)
    assert caught.value.cause == "MemoryError"
    monkeypatch.setattr(Image.Image, "resize", fails(ValueError("size")))
    with pytest.raises(ImageUndecodable):
        to_tensor(image, spec)
