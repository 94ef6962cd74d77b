"""Images to tensors, compared with an independent computation in float64."""

from __future__ import annotations

import itertools
from typing import Any

import images
import numpy as np
import pytest
from loupe.card import InputSpec, Resize
from loupe.tensor import fit, to_tensor
from PIL import Image

MEAN, STD, SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1 / 255


def by_hand(image: Image.Image, spec: InputSpec) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The card's formula, one pixel and channel at a time, without the code under test."""
    expected = np.empty(spec.shape, np.float64)
    for y, x, c in itertools.product(range(spec.height), range(spec.width), range(spec.channels)):
        pixel = image.getpixel((x, y))
        value = pixel if spec.color == "L" else pixel[2 - c if spec.color == "BGR" else c]
        place = (c, y, x) if spec.layout == "NCHW" else (y, x, c)
        expected[place] = (value * spec.scale - spec.mean[c]) / spec.std[c]
    return expected


def spec_of(**changes: Any) -> InputSpec:
    channels = 1 if changes.get("color") == "L" else 3
    plain = changes.get("dtype") == "uint8"
    numbers = {} if plain else {"scale": SCALE, "mean": MEAN[:channels], "std": STD[:channels]}
    if plain:
        numbers = {"mean": (0.0,) * channels, "std": (1.0,) * channels}
    return InputSpec("input", **{"width": 13, "height": 9, **numbers, **changes})


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR", "L"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_every_layout_colour_and_dtype(layout: Any, color: Any, dtype: Any) -> None:
    spec = spec_of(layout=layout, color=color, dtype=dtype)
    image = images.scene((13, 9)).convert("L" if color == "L" else "RGB")
    tensor = to_tensor(image, spec)
    assert tensor.dtype == np.dtype(dtype)
    assert tensor.shape == spec.shape
    assert tensor.flags.c_contiguous
    tolerance = {"float32": 1e-5, "float16": 2e-3, "uint8": 0}[dtype]
    assert np.abs(tensor.astype(np.float64) - by_hand(image, spec)).max() <= tolerance


@pytest.mark.parametrize(("size", "resized", "box"), [
    ((60, 30), (26, 13), (6, 2, 19, 11)),     # wide: 26 x 13 holds 13 x 9 with the shortest side at 13
    ((30, 61), (13, 26), (0, 8, 13, 17)),     # (26 - 9) / 2 = 8.5 rounds to even, as in torchvision
    ((31, 64), (13, 26), (0, 8, 13, 17)),     # 13 * 64 / 31 = 26.8 is cut, as in torchvision
])  # fmt: skip
def test_crop_rounds_as_torchvision_does(size: Any, resized: Any, box: Any) -> None:
    spec = spec_of(resize=Resize(fit="crop", shortest=13))
    image = images.scene(size)
    assert spec.resized(*size) == resized
    expected = image.resize(resized, Image.Resampling.BILINEAR).crop(box)
    assert np.abs(to_tensor(image, spec) - by_hand(expected, spec)).max() <= 1e-5


def test_crop_without_a_shortest_side_covers_the_input() -> None:
    spec = spec_of(resize=Resize(fit="crop"))
    for size in ((100, 100), (1000, 10), (10, 1000), (13, 9), (1, 1)):
        image = images.scene(size) if min(size) > 4 else images.solid(size=size)
        fitted = fit(image, spec)
        assert fitted.size == (13, 9)
        width, height = spec.resized(*size)
        assert width == 13 or height == 9


def test_pad_centres_the_whole_image() -> None:
    spec = spec_of(resize=Resize(fit="pad", pad_color=(10, 20, 30)))
    fitted = fit(images.solid(images.RED, (40, 10)), spec)
    assert spec.resized(40, 10) == (13, 3)
    expected = Image.new("RGB", (13, 9), (10, 20, 30))
    expected.paste(images.RED, (0, 3, 13, 6))
    assert np.array_equal(np.asarray(fitted), np.asarray(expected))


def test_an_odd_pixel_of_padding_goes_right_and_bottom() -> None:
    spec = spec_of(width=9, height=9, resize=Resize(fit="pad"))
    fitted = np.asarray(fit(images.solid(images.WHITE, (2, 3)), spec))
    assert spec.resized(2, 3) == (6, 9)
    assert np.flatnonzero(fitted[4, :, 0]).tolist() == [1, 2, 3, 4, 5, 6]


def test_padding_of_a_grey_model_is_the_colours_luma() -> None:
    spec = spec_of(color="L", resize=Resize(fit="pad", pad_color=(200, 100, 50)))
    fitted = fit(images.solid(0, (10, 40), "L"), spec)
    assert fitted.getpixel((0, 0)) == Image.new("RGB", (1, 1), (200, 100, 50)).convert("L").getpixel((0, 0))


@pytest.mark.parametrize("kind", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_the_filter_is_the_one_of_the_card(kind: Any) -> None:
    image = images.scene()
    expected = image.resize((13, 9), Image.Resampling[kind.upper()])
    assert np.array_equal(np.asarray(fit(image, spec_of(resize=Resize(filter=kind)))), np.asarray(expected))


def test_bilinear_is_antialiased() -> None:
    """Against the triangle filter computed in float64: support grows with the reduction."""
    image = images.scene((96, 64))
    pixels = np.asarray(image, np.float64)

    def weights(full: int, small: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        scale = full / small
        centers = (np.arange(small)[:, None] + 0.5) * scale
        triangle = np.maximum(0, 1 - np.abs((np.arange(full)[None] + 0.5 - centers) / scale))
        return triangle / triangle.sum(1, keepdims=True)

    expected = np.einsum("ay,yxc,bx->abc", weights(64, 9), pixels, weights(96, 13))
    assert np.abs(np.asarray(fit(image, spec_of()), np.float64) - expected).max() <= 1.01


def test_image_of_the_input_size_is_not_resampled() -> None:
    image = images.scene((13, 9))
    assert fit(image, spec_of(resize=Resize(filter="lanczos"))) is image


def test_the_tensor_can_be_written_to() -> None:
    tensor = to_tensor(images.scene((13, 9)), spec_of(dtype="uint8", layout="NHWC"))
    assert tensor.flags.c_contiguous
    assert np.stack([tensor, tensor]).shape == (2, 9, 13, 3)
