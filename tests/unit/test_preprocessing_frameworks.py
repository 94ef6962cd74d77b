"""Preprocessing of a card against arrays of torchvision, fastai, TensorFlow and Keras (preprocessing/make_*.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loupe.card import InputSpec, Resize, parse_card
from loupe.tensor import fit, from_pixels, to_tensor
from PIL import Image

from modelkit.presets import PRESETS
from modelkit.sources.torchvision import read_weights

HERE = Path(__file__).parent / "preprocessing"
IMAGE = np.load(HERE / "references.npz")["picture"]
TORCHVISION, TENSORFLOW = np.load(HERE / "torchvision.npz"), np.load(HERE / "tensorflow.npz")
SIZES = {"down": (13, 9), "far-down": (5, 4), "up": (90, 80), "mixed": (20, 64)}
WEIGHTS = sorted(name for name in TORCHVISION.files if name.count(".") == 1 and "/" not in name)
STEP = 29
STRETCH, PLAIN = Resize(), Resize(antialias=False)
CROP_FIRST = Resize(fit="crop", crop_first=True, crop_offset="floor")


def spec(width: int, height: int, resize: Resize = STRETCH, **fields: Any) -> InputSpec:
    return InputSpec("input", width, height, resize=resize, **fields)


def difference(fields: InputSpec, expected: Any) -> float:
    """Largest difference of a served pixel, in levels of 255."""
    served = np.asarray(fit(Image.fromarray(IMAGE), fields), np.float64)
    assert served.shape == expected.shape
    return float(np.abs(served - np.asarray(expected, np.float64)).max())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "resize", "most"), [
    ("pil", Resize(), 0),
    ("tensor-antialias", Resize(), 1),
    ("tensor-plain", PLAIN, 1),
])  # fmt: skip
def test_resize_equals_torchvision(name: str, resize: Resize, most: float, size: str) -> None:
    assert difference(spec(*SIZES[size], resize), TORCHVISION[f"{name}-{size}"]) <= most


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "resize", "most"), [
    ("image-plain", PLAIN, 0.501),
    ("layer", PLAIN, 0.501),
    ("dataset", PLAIN, 0.501),
    ("image-antialias", Resize(), 1),
    ("load", Resize(filter="nearest"), 0),
    ("load-bilinear", Resize(), 0),
])  # fmt: skip
def test_resize_equals_tensorflow_and_keras(name: str, resize: Resize, most: float, size: str) -> None:
    assert difference(spec(*SIZES[size], resize), TENSORFLOW[f"{name}-{size}"]) <= most


@pytest.mark.parametrize(("name", "resize"), [
    ("squeezed-crop", Resize(fit="crop", size=(40, 36))),
    ("shortest-crop", Resize(fit="crop", shortest=30)),
])  # fmt: skip
def test_crops_equal_torchvision(name: str, resize: Resize) -> None:
    assert difference(spec(27, 21, resize), TORCHVISION[name]) == 0


def test_a_crop_without_a_resize_equals_keras() -> None:
    whole = Resize(fit="crop", size=(61, 47), crop_offset="floor")
    assert difference(spec(27, 21, whole), TENSORFLOW["center"]) == 0


@pytest.mark.parametrize("side", [16, 21, 60])
def test_crop_first_equals_fastai(side: int) -> None:
    assert difference(spec(side, side, CROP_FIRST), TORCHVISION[f"fastai-crop-{side}"]) == 0
    assert difference(spec(side, side), TORCHVISION[f"fastai-squish-{side}"]) == 0


def test_crop_first_equals_fastai_for_another_aspect_ratio() -> None:
    assert difference(spec(31, 12, CROP_FIRST), TORCHVISION["fastai-crop-wide"]) == 0
    after = Resize(fit="crop", crop_offset="floor")
    assert difference(spec(31, 12, after), TORCHVISION["fastai-crop-wide"]) > 20


def test_crop_first_with_shortest_takes_a_share_of_the_image() -> None:
    share = spec(16, 16, CROP_FIRST._replace(shortest=32))
    assert share.cut(61, 47) == (23, 23)
    centre = Image.fromarray(IMAGE).crop((19, 12, 42, 35)).resize((16, 16), Image.Resampling.BILINEAR)
    assert difference(share, np.asarray(centre)) == 0


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_transforms_of_weights_are_torchvisions(name: str) -> None:
    answers = read_weights(name).answers
    (width, height), resize = answers["size"], Resize(answers["resize"], answers["fit"], answers["shortest"])
    numbers = {"scale": 1 / 255, "mean": answers["mean"], "std": answers["std"]}
    large = Image.fromarray(IMAGE).resize((301, 257), Image.Resampling.LANCZOS)
    tensor = to_tensor(large, spec(width, height, resize, **numbers))
    assert tensor.shape == tuple(TORCHVISION[f"{name}/shape"])
    assert np.abs(tensor[:, ::STEP, ::STEP] - TORCHVISION[name]).max() < 1e-5


@pytest.mark.parametrize("references", [TORCHVISION, TENSORFLOW], ids=["torchvision", "tensorflow"])
def test_grey_is_within_one_level(references: Any) -> None:
    grey = np.asarray(Image.fromarray(IMAGE).convert("L"), np.float64)
    assert np.abs(grey - references["grey"]).max() <= 1


@pytest.mark.parametrize(("preset", "expected", "layout"), [
    ("imagenet", TORCHVISION["normalized"], "NCHW"),
    ("minus-one-one", TENSORFLOW["rescaled"], "NHWC"),
    ("minus-one-one", TENSORFLOW["mobilenet"], "NHWC"),
    ("caffe", TENSORFLOW["resnet"], "NHWC"),
])  # fmt: skip
def test_presets_equal_the_frameworks_numbers(preset: str, expected: Any, layout: Any) -> None:
    fields = {"name": "input", "width": 13, "height": 9, "layout": layout} | PRESETS[preset].fields(3)
    card = {
        "name": "tiny", "version": "1.0.0", "files": [{"path": "model.onnx", "sha256": "0" * 64}], "input": fields,
        "output": {"name": "y", "kind": "logit", "labels": ["a", "b"]},
    }  # fmt: skip
    tensor = from_pixels(IMAGE[:9, :13], parse_card(card, Path("tiny")).input)
    assert np.abs(tensor - expected).max() < 1e-4
