"""Preprocessing that a card can express, against what the training libraries make of it (preprocessing/make.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import images
import memory
import numpy as np
import pytest
import tinymodel
from loupe.bilinear import resize_bilinear
from loupe.card import CardError, InputSpec, Resize, parse_card
from loupe.classifier import Classifier
from loupe.image import Limits, decode
from loupe.tensor import fit, from_pixels, resize_bytes, to_tensor
from onnx import TensorProto
from PIL import Image

REFERENCES = np.load(Path(__file__).parent / "preprocessing" / "references.npz")
IMAGE = REFERENCES["picture"]
SIZES = {"down": (13, 9), "far-down": (5, 4), "up": (90, 80), "mixed": (20, 64), "thin": (1, 30)}
LINEAR = Resize(antialias=False)


def spec(width: int = 20, height: int = 20, **changes: Any) -> InputSpec:
    return InputSpec("input", width, height, **changes)


def served(fields: InputSpec) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(fit(Image.fromarray(IMAGE), fields), np.float64)


def furthest(first: Any, second: Any) -> float:
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).max())


@pytest.mark.parametrize("name", SIZES)
def test_without_antialias_equals_opencv_within_one_level(name: str) -> None:
    assert furthest(served(spec(*SIZES[name], resize=LINEAR)), REFERENCES[f"cv2-{name}"]) <= 1


@pytest.mark.parametrize("name", SIZES)
def test_without_antialias_equals_tensorflow_and_torchvision_tensors_within_rounding(name: str) -> None:
    assert furthest(served(spec(*SIZES[name], resize=LINEAR)), REFERENCES[f"float-{name}"]) <= 0.501


def test_antialiasing_makes_a_difference_that_the_references_show() -> None:
    """The check can fail: the antialiased image is far from OpenCV's."""
    assert furthest(served(spec(*SIZES["far-down"])), REFERENCES["cv2-far-down"]) > 60


@pytest.mark.parametrize("align", ["center", "top-left"])
def test_letterbox_equals_ultralytics_and_opencv(align: Any) -> None:
    resize = Resize(fit="pad", pad_color=(114, 114, 114), align=align, antialias=False)
    assert furthest(served(spec(32, 32, resize=resize)), REFERENCES[f"letterbox-{align}"]) <= 1


def test_a_resize_to_both_sides_before_the_crop_with_floored_offset_equals_opencv() -> None:
    resize = Resize(fit="crop", size=(40, 36), crop_offset="floor", antialias=False)
    assert furthest(served(spec(27, 21, resize=resize)), REFERENCES["cv2-center"]) <= 1


@pytest.mark.parametrize(("name", "width", "height", "resize"), [
    ("center", 27, 21, Resize(fit="crop", size=(40, 36), crop_offset="floor", antialias=False)),
    ("shortest", 21, 21, Resize(fit="crop", shortest=25, crop_offset="floor", antialias=False)),
])  # fmt: skip
def test_crops_equal_albumentations(name: str, width: int, height: int, resize: Resize) -> None:
    assert furthest(served(spec(width, height, resize=resize)), REFERENCES[f"albumentations-{name}"]) <= 1


def test_normalisation_equals_albumentations() -> None:
    numbers = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    tensor = from_pixels(IMAGE[:9, :13], spec(13, 9, layout="NHWC", **numbers))
    assert furthest(tensor, REFERENCES["albumentations-normalize"]) < 1e-5


@pytest.mark.parametrize(("offset", "left", "top"), [("round", 6, 8), ("floor", 6, 7)])
def test_a_resize_to_both_sides_then_center_crop_is_torchvisions(offset: Any, left: int, top: int) -> None:
    """Resize((36, 40)), CenterCrop((21, 27)) on a PIL image: margins 13 and 15, halves round to even: 6 and 8."""
    whole = Image.fromarray(IMAGE).resize((40, 36), Image.Resampling.BILINEAR)
    expected = whole.crop((left, top, left + 27, top + 21))
    assert np.array_equal(served(spec(27, 21, resize=Resize(fit="crop", size=(40, 36), crop_offset=offset))), expected)


def test_grey_by_average_is_the_mean_of_the_channels() -> None:
    grey = spec(61, 47, color="L", grey="average", mean=(0.0,), std=(1.0,))
    image = decode(images.png(Image.fromarray(IMAGE)), Limits(), grey)
    assert image.mode == "L"
    assert furthest(image, REFERENCES["grey-average"]) <= 0.5
    assert furthest(REFERENCES["grey-average"], REFERENCES["grey-pillow"]) > 30
    assert furthest(REFERENCES["grey-cv2"], REFERENCES["grey-pillow"]) <= 1


def test_padding_of_a_model_with_grey_by_average_is_the_colours_average() -> None:
    resize = Resize(fit="pad", pad_color=(30, 60, 120))
    grey = spec(8, 8, color="L", grey="average", mean=(0.0,), std=(1.0,), resize=resize)
    assert fit(images.solid(0, (10, 40), "L"), grey).getpixel((0, 0)) == 70


@pytest.mark.parametrize("draft", [0, 1])
@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_orientation_can_be_ignored(orientation: int, draft: float) -> None:
    data = images.jpeg(images.scene((96, 64)), exif=images.exif(orientation))
    plain = images.jpeg(images.scene((96, 64)))
    stored = decode(data, Limits(), spec(exif="ignore", jpeg_draft=draft))
    assert np.array_equal(stored, decode(plain, Limits(), spec(jpeg_draft=draft)))
    assert not np.array_equal(np.asarray(stored), np.asarray(decode(data, Limits(), spec(jpeg_draft=draft))))


def test_a_negative_scale_inverts() -> None:
    inverted = spec(61, 47, color="L", scale=-1 / 255, mean=(-1.0,), std=(1.0,))
    grey = Image.fromarray(IMAGE).convert("L")
    expected = 1 - np.asarray(grey, np.float64) / 255
    assert furthest(to_tensor(grey, inverted)[0], expected) < 1e-6


@pytest.mark.parametrize("written", ["-1/255", -1 / 255])
def test_a_negative_scale_is_read_from_the_card(written: Any) -> None:
    card = parse_card(tinymodel.card(input={"scale": written}), Path("tiny"))
    assert card.input.scale == -1 / 255


@pytest.mark.parametrize(("layout", "color", "flatten", "shape"), [
    ("NHW", "L", False, (9, 13)), ("NHW", "L", True, (117,)), ("NCHW", "L", True, (117,)),
    ("NCHW", "RGB", True, (351,)), ("NHWC", "BGR", True, (351,)),
])  # fmt: skip
def test_inputs_with_fewer_axes(layout: Any, color: Any, flatten: bool, shape: tuple[int, ...]) -> None:
    channels = 1 if color == "L" else 3
    numbers = {"mean": (0.5,) * channels, "std": (0.25,) * channels, "scale": 1 / 255}
    small = spec(13, 9, layout=layout, color=color, flatten=flatten, **numbers)
    pixels = np.asarray(images.scene((13, 9)).convert("L" if channels == 1 else "RGB"), np.float64)
    ordered = pixels.reshape(9, 13, channels)[:, :, :: -1 if color == "BGR" else 1]
    expected = ordered.transpose(2, 0, 1) if layout == "NCHW" else ordered
    tensor = from_pixels(pixels.astype(np.uint8), small)
    assert small.shape == tensor.shape == shape
    assert tensor.flags.c_contiguous
    assert furthest(tensor.ravel(), (expected.ravel() / 255 - 0.5) / 0.25) < 1e-5


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integer_inputs_take_unscaled_pixels(dtype: Any) -> None:
    tensor = from_pixels(IMAGE, spec(61, 47, dtype=dtype, layout="NHWC"))
    assert tensor.dtype == dtype
    assert np.array_equal(tensor, IMAGE)


def test_a_float64_input_is_computed_in_float64() -> None:
    numbers = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    tensor = from_pixels(IMAGE, spec(61, 47, dtype="float64", layout="NHWC", **numbers))
    expected = (IMAGE / 255 - np.array(numbers["mean"])) / np.array(numbers["std"])
    assert tensor.dtype == np.float64
    assert furthest(tensor, expected) < 1e-12


@pytest.mark.parametrize(("dtype", "onnx"), [
    ("float64", TensorProto.DOUBLE), ("int32", TensorProto.INT32), ("int64", TensorProto.INT64),
])  # fmt: skip
def test_models_of_every_input_type_are_served(tmp_path: Path, dtype: str, onnx: int) -> None:
    """The colour decides, whatever type carries it."""
    scale = {"scale": "1/255"} if dtype == "float64" else {"scale": 1}
    graph = tinymodel.graph(dtype=onnx, weight=4.0 if dtype == "float64" else 0.02)
    directory = tinymodel.write_model(tmp_path / dtype, graph, input={"dtype": dtype, **scale})
    model = Classifier.load(directory)
    assert model.classify(images.png(images.solid(images.RED))).label == "red"
    assert model.classify(images.png(images.solid(images.BLUE))).label == "blue"


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"resize": {"fit": "crop", "size": [20, 19]}}, r"resize.size must be at least \[20, 20\]"),
    ({"resize": {"fit": "crop", "size": [30, 30], "shortest": 30}}, "size and shortest exclude each other"),
    ({"resize": {"size": [30, 30]}}, "size belongs to fit 'crop' only"),
    ({"resize": {"fit": "crop", "size": [30, 1.5]}}, "width and height in pixels"),
    ({"resize": {"fit": "crop", "size": [30]}}, "width and height in pixels"),
    ({"resize": {"fit": "pad", "crop_offset": "floor"}}, "crop_offset belongs to fit 'crop' only"),
    ({"resize": {"align": "center"}}, "align belongs to fit 'pad' only"),
    ({"resize": {"filter": "bicubic", "antialias": False}}, "belongs to filter 'bilinear' only"),
    ({"resize": {"antialias": False}, "jpeg_draft": 2}, "must be 0 with resize.antialias false"),
    ({"layout": "NHW"}, "has no axis for colours"),
    ({"grey": "average"}, "grey belongs to color L only"),
    ({"exif": "upright"}, "must be one of apply, ignore"),
    ({"dtype": "int32"}, "int32, which takes pixels as they are"),
    ({"flatten": 1}, "must be true or false"),
])  # fmt: skip
def test_contradictory_card_raises_a_clear_message(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CardError, match=sentence):
        parse_card(tinymodel.card(input=changes), Path("tiny"))


@pytest.mark.skipif(not memory.can_measure(), reason="this kernel does not tell a process's peak memory")
@pytest.mark.parametrize("size", [(4000, 3000), (65_000, 200), (200, 65_000), (65_535, 1), (1, 65_535)])
@pytest.mark.parametrize("resize", [
    LINEAR, Resize(fit="pad", antialias=False), Resize(fit="crop", shortest=256, antialias=False),
    Resize(fit="crop", size=(8192, 8192), antialias=False), Resize(fit="crop", size=(8192, 8192)),
    Resize(fit="crop", size=(600, 600)),
])  # fmt: skip
def test_memory_is_bounded_without_antialias_and_for_any_size_before_a_crop(size: Any, resize: Resize) -> None:
    fields = spec(224, 224, resize=resize)
    image = Image.new("RGB", size, images.RED)
    result = 4 * 224 * 224 * 2
    assert memory.growth(lambda: fit(image, fields)) <= resize_bytes(size[0] * size[1], fields) + result


def test_blocks_of_rows_equal_the_whole() -> None:
    image = Image.fromarray(np.random.default_rng(4).integers(0, 256, (900, 700, 3), np.uint8))
    whole = np.asarray(resize_bilinear(image, (1500, 1100)))
    part = np.asarray(resize_bilinear(image, (1500, 1100), (700, 500, 720, 520)))
    assert np.array_equal(whole[500:520, 700:720], part)
