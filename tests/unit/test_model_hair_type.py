"""The model that ships: its card against its files, its graph, its golden pictures and the code that made them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType
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

FOLDER = Path(__file__).resolve().parents[2] / "models" / "hair-type"
CARD = load_card(FOLDER)
GOLDEN = pytest.mark.parametrize("case", CARD.golden, ids=lambda case: Path(case.image).stem)


def _load(name: str) -> ModuleType:
    """A script of the model's folder, which is no package, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"hair_type_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def draw() -> ModuleType:
    return _load("draw")


@pytest.fixture(scope="module")
def training() -> ModuleType:
    """What training reads pictures with; it must load where torch is not installed."""
    return _load("pictures")


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(CARD.graph_path), providers=["CPUExecutionProvider"])


def tensor(case: GoldenCase, spec: InputSpec = CARD.input) -> np.ndarray[Any, Any]:
    return to_tensor(decode((FOLDER / case.image).read_bytes(), Limits(), spec), spec)


def probability(session: onnxruntime.InferenceSession, item: np.ndarray[Any, Any], label: str) -> float:
    (rows,) = session.run(None, {CARD.input.name: item[None]})
    return float(dict(read(rows[0], CARD.output).scores)[label])


def test_the_files_are_those_of_the_card() -> None:
    (file,) = CARD.files
    content = (FOLDER / file.path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert len(content) == file.bytes
    assert len(content) <= 1_000_000


def test_the_graph_is_what_the_card_says() -> None:
    model = onnx.load(CARD.graph_path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    shapes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [CARD.input.name, CARD.output.name]
    assert shapes == [["batch", *CARD.input.shape], ["batch", CARD.output.size]]


def test_a_batch_answers_as_single_pictures_do(session: onnxruntime.InferenceSession) -> None:
    items = np.stack([tensor(case) for case in CARD.golden])
    (together,) = session.run(None, {CARD.input.name: items})
    singles = np.concatenate([session.run(None, {CARD.input.name: item[None]})[0] for item in items])
    np.testing.assert_allclose(together, singles, atol=1e-4)


@GOLDEN
@pytest.mark.parametrize("scaled", [True, False], ids=["scaled decoding", "full decoding"])
def test_golden_pictures(session: onnxruntime.InferenceSession, case: GoldenCase, scaled: bool) -> None:
    spec = CARD.input if scaled else CARD.input._replace(jpeg_draft=0)
    found = probability(session, tensor(case, spec), case.label)
    assert found == pytest.approx(case.probability, abs=case.tolerance)
    assert found >= 0.75


def test_golden_pictures_cover_what_serving_must_get_right() -> None:
    labels = [case.label for case in CARD.golden]
    assert min(labels.count(label) for label in CARD.output.labels) >= 2
    opened = [Image.open(BytesIO((FOLDER / case.image).read_bytes())) for case in CARD.golden]
    assert any(image.getexif().get(0x0112, 1) in {6, 8} for image in opened), "one is stored rotated"
    assert any(image.mode == "RGBA" for image in opened), "one has alpha"
    scaled_from = [2 * CARD.input.jpeg_draft * side for side in (CARD.input.width, CARD.input.height)]
    assert any(
        image.format == "JPEG" and all(side >= least for side, least in zip(image.size, scaled_from, strict=True))
        for image in opened
    ), "one is decoded at a smaller scale"
    assert all((FOLDER / case.image).stat().st_size <= 60_000 for case in CARD.golden)


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
def test_golden_pictures_tell_wrong_preprocessing(
    session: onnxruntime.InferenceSession, change: dict[str, Any]
) -> None:
    """A golden gate that passes whatever the pixels are is no gate."""
    wrong = CARD.input._replace(**change)
    off = [abs(probability(session, tensor(case, wrong), case.label) - case.probability) for case in CARD.golden]
    assert any(error > case.tolerance for error, case in zip(off, CARD.golden, strict=True))


@GOLDEN
def test_the_drawing_script_draws_the_golden_pictures(draw: ModuleType, case: GoldenCase) -> None:
    """Pixel by pixel, and not byte by byte: JPEG and PNG encoders differ between builds of Pillow."""
    path = FOLDER / case.image
    drawn = Image.open(BytesIO(draw.encoded(draw.GOLDEN[path.name])))
    kept = Image.open(BytesIO(path.read_bytes()))
    assert (drawn.size, drawn.mode, drawn.getexif()) == (kept.size, kept.mode, kept.getexif())
    difference = np.abs(np.asarray(drawn, np.int16) - np.asarray(kept, np.int16))
    assert difference.mean() < 1.0
    assert draw.GOLDEN[path.name].label == case.label


def test_the_rotated_picture_is_decoded_upright(draw: ModuleType) -> None:
    (case,) = (case for case in CARD.golden if "rotated" in case.image)
    image = decode((FOLDER / case.image).read_bytes(), Limits(), CARD.input._replace(jpeg_draft=0))
    scene = draw.GOLDEN[Path(case.image).name]
    assert image.size == (scene.width, scene.height)
    upright = ImageOps.exif_transpose(Image.open(BytesIO((FOLDER / case.image).read_bytes()))).convert("RGB")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(upright))


def test_training_describes_its_input_as_the_card_does(training: ModuleType) -> None:
    assert CARD.input == training.SPEC
    assert CARD.output.labels == training.LABELS


@GOLDEN
def test_training_reads_pictures_as_serving_does(training: ModuleType, case: GoldenCase) -> None:
    content = (FOLDER / case.image).read_bytes()
    expected = tensor(case)
    np.testing.assert_allclose(training.normalised(training.canvas(content)[None])[0], expected, atol=1e-5)
    np.testing.assert_allclose(training.served(content), expected, atol=1e-5)


def test_the_figures_are_whole_and_good_enough() -> None:
    card: Card = CARD
    evaluation = card.raw["evaluation"]
    confusion = np.array(evaluation["confusion"])
    assert confusion.sum() == evaluation["size"]
    assert evaluation["accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum(), abs=1e-4)
    assert evaluation["accuracy"] >= 0.92
    low, high = evaluation["accuracy_interval_95"]
    assert low < evaluation["accuracy"] < high
    assert 0 <= evaluation["ece"] <= 0.1
    assert card.raw["training"]["seed"] in [tried["seed"] for tried in card.raw["training"]["seeds_tried"]]


def test_the_readme_has_the_figures_of_the_card() -> None:
    evaluation = CARD.raw["evaluation"]
    low, high = evaluation["accuracy_interval_95"]
    (curly_as_curly, curly_as_straight), (straight_as_curly, straight_as_straight) = evaluation["confusion"]
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for text in (
        f"**{evaluation['accuracy']:.1%}** on {evaluation['size']} photos",
        f"(95 % interval {low:.1%} to {high:.1%})",
        f"{curly_as_straight} of {curly_as_curly + curly_as_straight} curly called straight",
        f"{straight_as_curly} of {straight_as_curly + straight_as_straight} straight called curly",
        f"{evaluation['ece']:.3f} ({evaluation['ece_without_temperature']:.3f} without temperature)",
    ):
        assert text in readme


def test_the_card_names_no_place_on_a_machine() -> None:
    text = json.dumps(CARD.raw)
    assert not any(part in text for part in ("/home/", "/root/", "/tmp/", "C:\\\\"))
