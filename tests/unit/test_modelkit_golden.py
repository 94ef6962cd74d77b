"""Golden cases: what they prove, and what their failures single out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from loupe.card import load_card
from loupe.classifier import Classifier
from loupe.input_spec import InputSpec, Resize
from onnx import TensorProto, helper, numpy_helper
from onnx_zoo import classifier, save, write_image
from PIL import Image
from typer.testing import CliRunner, Result

from modelkit.alternatives import input_changes
from modelkit.cli import app
from modelkit.errors import ModelkitError
from modelkit.golden import parse_golden, read_answer, read_golden_file
from modelkit.label_order import derive
from modelkit.labelled_images import UNLIMITED

PALETTE = {
    "red": (220, 60, 60), "green": (60, 220, 60), "blue": (60, 60, 220), "yellow": (220, 220, 60),
    "cyan": (60, 220, 220), "white": (240, 240, 240), "black": (15, 15, 15),
}  # fmt: skip


def palette_graph(path: Path, names: tuple[str, ...], side: int = 16) -> Path:
    """A classifier that gives the nearest colour: logits 40 (2 c x - |c|^2) over the mean pixel x."""
    centres = np.array([PALETTE[name] for name in names], np.float32) / 255
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["scores"]),
    ]
    weights = {"w": (80 * centres.T).astype(np.float32), "b": (-40 * (centres**2).sum(axis=1)).astype(np.float32)}
    graph = helper.make_graph(
        nodes,
        "palette",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(names)])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def photo(folder: Path, name: str, file: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (file or f"{name}.png")
    Image.new("RGB", (24, 20), PALETTE[name]).save(path)
    return path


def add(file: Path, models: Path, labels: str, *options: str) -> Result:
    common = ["--labels", labels, "--preprocess", "unit", "--resize", "bilinear"]
    return CliRunner().invoke(app, ["add", str(file), "--name", "mine", "--models-dir", str(models), *common, *options])


def probability(folder: Path, image: Path, label: str) -> float:
    prediction = Classifier.load(folder, UNLIMITED).classify(image.read_bytes())
    return dict(prediction.scores)[label]


def test_a_probability_of_training_detects_drift_within_a_label(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    blue = write_image(tmp_path, "blue")
    assert add(file, tmp_path / "models", "red,blue").exit_code == 0
    right = probability(tmp_path / "models" / "mine", blue, "blue")
    fine = add(file, tmp_path / "models", "red,blue", "--replace", "--golden", f"{blue}=blue:{right:.4f}")
    assert fine.exit_code == 0, fine.output
    assert "proves the label only" not in fine.output
    assert load_card(tmp_path / "models" / "mine").golden[0].probability == pytest.approx(right, abs=1e-4)

    # The label is the same with raw pixels; the probability is not.
    wrong = add(file, tmp_path / "other", "red,blue", "--preprocess", "raw", "--golden", f"{blue}=blue:{right:.4f}")
    assert wrong.exit_code == 3
    assert "comes out as blue with 1.0000, not the stated" in wrong.output
    assert "preprocessing 'unit'" in wrong.output


def test_golden_cases_without_a_probability_prove_the_label_only(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    options = ["--golden", f"{write_image(tmp_path, 'blue')}=blue"]
    assert "proves the label only" in add(file, tmp_path / "models", "red,blue", *options).output
    value = json.loads(add(file, tmp_path / "models", "red,blue", *options, "--replace", "--json").stdout)
    assert "proves the label only" in value["notes"][0]


def test_golden_images_with_equal_file_names_get_distinct_names(tmp_path: Path) -> None:
    names = ("red", "blue", "green")
    file = palette_graph(tmp_path / "net.onnx", names)
    options = [part for name in names for part in ("--golden", f"{photo(tmp_path / name, name, 'first.png')}={name}")]
    result = add(file, tmp_path / "models", ",".join(names), *options)
    assert result.exit_code == 0, result.output
    images = [case.image for case in load_card(tmp_path / "models" / "mine").golden]
    assert images == ["golden/first.png", "golden/blue-first.png", "golden/green-first.png"]


def test_a_file_of_golden_cases_is_read_relative_to_its_folder(tmp_path: Path) -> None:
    names = ("red", "blue")
    file = palette_graph(tmp_path / "net.onnx", names)
    for name in names:
        photo(tmp_path / "cases", name)
    (tmp_path / "cases" / "lines.txt").write_text("# of training\nred.png=red:1.0\n\nblue.png=blue\n")
    (tmp_path / "cases" / "table.csv").write_text('image,label,probability\nred.png,red,1.0\n"blue.png",blue,\n')
    for number, source in enumerate(("lines.txt", "table.csv")):
        models = tmp_path / f"models{number}"
        result = add(file, models, "red,blue", "--golden-file", str(tmp_path / "cases" / source))
        assert result.exit_code == 0, result.output
        assert "golden case blue.png: proves the label only" in result.output
        assert [case.label for case in load_card(models / "mine").golden] == ["red", "blue"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("red.png", "must be IMAGE=LABEL"), ("", "holds no golden case"), ("image,label\nred.png,\n", "has no image or")],
)
def test_a_golden_file_that_cannot_be_read_is_reported_clearly(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "cases.txt"
    path.write_text(text)
    with pytest.raises(ModelkitError, match=sentence):
        read_golden_file(path)


def test_labels_and_names_may_hold_the_separators(tmp_path: Path) -> None:
    assert read_answer("ratio 1:0.5", ["ratio 1:0.5", "other"]) == ("ratio 1:0.5", None)
    assert read_answer("a:b:0.25", ["a:b"]) == ("a:b", 0.25)
    odd = photo(tmp_path, "red", "x=1.png")
    assert parse_golden(f"{odd}=a=b:0.5") == (odd, "a=b:0.5")
    for answer, sentence in (("c", "not one of the labels"), ("a:2", "from 0 to 1"), ("a:x", "from 0 to 1")):
        with pytest.raises(ModelkitError, match=sentence):
            read_answer(answer, ["a", "b"])


def test_the_same_golden_image_twice_is_rejected(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    blue = write_image(tmp_path, "blue")
    result = add(file, tmp_path / "models", "red,blue", "--golden", f"{blue}=blue", "--golden", f"{blue}=red")
    assert result.exit_code == 3
    assert "is given twice" in result.output


def test_the_label_order_of_five_classes_is_singled_out(tmp_path: Path) -> None:
    names = ("red", "green", "blue", "yellow", "cyan")
    file = palette_graph(tmp_path / "net.onnx", names)
    options = [part for name in names for part in ("--golden", f"{photo(tmp_path, name)}={name}")]
    result = add(file, tmp_path / "models", ",".join(sorted(names)), *options)
    assert result.exit_code == 3
    assert f"output.labels {list(names)!r} (5 of 5" in result.output
    assert "with no other single change that was tried" in result.output
    assert "input.color" not in result.output


def test_labels_without_a_golden_case_leave_the_order_open(tmp_path: Path) -> None:
    names = ("red", "green", "blue", "yellow", "cyan", "white", "black")
    file = palette_graph(tmp_path / "net.onnx", names)
    options = [part for name in names[2:5] for part in ("--golden", f"{photo(tmp_path, name)}={name}")]
    labels = "red,green,cyan,blue,yellow,black,white"
    result = add(file, tmp_path / "models", labels, *options)
    assert result.exit_code == 3
    assert "output 2 is 'blue', output 3 is 'yellow', output 4 is 'cyan'" in result.output
    assert "the places of the other labels are not shown" in result.output
    assert "do not single one out" in result.output
    assert "change the card accordingly" not in result.output


def test_two_explanations_are_listed_and_neither_is_recommended(tmp_path: Path) -> None:
    """Red and blue swapped is a label order as well as BGR: no golden case of the third label tells them apart."""
    file = palette_graph(tmp_path / "net.onnx", ("red", "blue", "green"))
    options = [part for name in ("red", "blue") for part in ("--golden", f"{photo(tmp_path, name)}={name}")]
    result = add(file, tmp_path / "models", "blue,red,green", *options)
    assert result.exit_code == 3
    assert result.output.index("output.labels ['red', 'blue', 'green']") < result.output.index("input.color 'BGR'")
    assert "do not single one out. Look up the label order first" in result.output
    assert "change the card accordingly" not in result.output


@pytest.mark.parametrize(
    ("labels", "predicted", "expected", "order", "complete"),
    [
        ("abc", [0, 1], [1, 0], "bac", True),
        ("abcd", [0], [3], "dbca", False),
        ("abcdef", [0, 1], [1, 2], "bcdefa", True),
        ("dcba", [0, 1, 2], [3, 2, 1], "abcd", True),
        ("ab", [0, 1], [0, 1], None, False),
        ("abc", [0, 0], [1, 2], None, False),
        ("abc", [0, 1], [2, 2], None, False),
    ],
)
def test_a_label_order_is_derived_from_predictions(
    labels: str, predicted: list[int], expected: list[int], order: str | None, complete: bool
) -> None:
    derived = derive(tuple(labels), predicted, expected)
    if order is None:
        assert derived is None
    else:
        assert derived is not None
        assert "".join(derived.labels) == order
        assert derived.complete is complete


def test_a_permutation_of_a_thousand_labels_is_derived() -> None:
    labels = tuple(f"class {number}" for number in range(1000))
    order = np.random.default_rng(3).permutation(1000)
    derived = derive(labels, list(range(1000)), [int(label) for label in order])
    assert derived is not None
    assert derived.labels == tuple(labels[label] for label in order)
    assert derived.complete
    assert len(derived.change()) < 600


def updown(path: Path) -> Path:
    """Brighter above than below is 'up'."""
    rows = np.zeros((1, 3, 16, 16), np.float32)
    rows[:, :, :8], rows[:, :, 8:] = 1 / 384, -1 / 384
    weights = {"mask": rows, "w": np.array([[9, -9]], np.float32), "axes": np.array([1, 2, 3], np.int64)}
    nodes = [
        helper.make_node("Mul", ["image", "mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "axes"], ["sum"], keepdims=0),
        helper.make_node("Unsqueeze", ["sum", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "w"], ["scores"]),
    ]
    weights["last"] = np.array([1], np.int64)
    graph = helper.make_graph(
        nodes,
        "updown",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def halves(path: Path, orientation: int) -> Path:
    """Stored bright above dark, with an EXIF orientation."""
    pixels = np.full((32, 32, 3), 40, np.uint8)
    pixels[:16] = 220
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    return path


def test_training_on_stored_pixels_is_detected_and_swapped_labels_are_not_recommended(tmp_path: Path) -> None:
    file = updown(tmp_path / "net.onnx")
    turned, upright = halves(tmp_path / "turned.jpg", 3), halves(tmp_path / "upright.jpg", 1)
    result = add(file, tmp_path / "models", "up,down", "--golden", f"{turned}=up", "--golden", f"{upright}=up")
    assert result.exit_code == 3
    assert "input.exif 'ignore' (2 of 2" in result.output
    assert "with no other single change that was tried" in result.output
    assert "output.labels" not in result.output

    # The turned image alone fits with swapped labels as well: neither is recommended.
    alone = add(file, tmp_path / "models", "up,down", "--golden", f"{turned}=up")
    assert "input.exif 'ignore'" in alone.output
    assert "do not single one out" in alone.output
    assert "change the card accordingly" not in alone.output


def test_every_change_that_is_tried_is_a_card_that_can_be_written() -> None:
    for spec in (
        InputSpec("x", 64, 64),
        InputSpec("x", 64, 64, color="L", mean=(0.0,), std=(1.0,)),
        InputSpec("x", 64, 64, resize=Resize("bilinear", "pad", antialias=False)),
        InputSpec("x", 64, 64, resize=Resize("bicubic", "crop", shortest=80)),
    ):
        changes = input_changes(spec)
        assert len({change.text for change in changes}) == len(changes)
        for change in changes:
            other = change.apply(spec)
            assert other != spec
            resize = other.resize
            assert resize.antialias or (resize.filter == "bilinear" and not other.jpeg_draft)
            assert resize.fit == "crop" or (resize.shortest is None and resize.size is None)
            assert resize.shortest is None or resize.size is None
