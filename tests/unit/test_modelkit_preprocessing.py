"""Every preprocessing that a card can express has an option of `add`, and `verify` tries it as an alternative."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import images
import pytest
from loupe.card import InputSpec, Resize, parse_card
from onnx import ModelProto, TensorProto, helper
from onnx_zoo import classifier, save
from typer.testing import CliRunner, Result

from modelkit.alternatives import input_changes
from modelkit.checks import passed
from modelkit.cli import app
from modelkit.verify import verify

LABELS = ["--labels", "red,blue"]


def add(file: Path, models: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["add", str(file), "--name", "mine", "--models-dir", str(models), *options])


def flat(shape: tuple[Any, ...], dtype: int = TensorProto.FLOAT) -> ModelProto:
    """Mean of all values -> one logit."""
    axes = list(range(1, len(shape)))
    nodes = [
        helper.make_node("Cast", ["input"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes, "flat", [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [shape[0], 1])],
        [helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1])],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("options", "expected"), [
    (["--resize-to", "24x20"], {"resize": {"filter": "bilinear", "fit": "crop", "size": [24, 20]}}),
    (["--shortest", "20", "--crop-offset", "floor"],
     {"resize": {"filter": "bilinear", "fit": "crop", "shortest": 20, "crop_offset": "floor"}}),
    (["--fit", "pad", "--pad-color", "114", "--align", "top-left"],
     {"resize": {"filter": "bilinear", "fit": "pad", "pad_color": [114, 114, 114], "align": "top-left"}}),
    (["--crop-first", "--crop-offset", "floor"],
     {"resize": {"filter": "bilinear", "fit": "crop", "crop_first": True, "crop_offset": "floor"}}),
    (["--no-antialias"], {"resize": {"filter": "bilinear", "antialias": False, "fit": "stretch"}}),
    (["--exif", "ignore"], {"exif": "ignore"}),
    (["--scale", "-1/255", "--mean", "-1"], {"scale": "-1/255", "mean": [-1, -1, -1]}),
    (["--mean", "0.5", "--std", "0.25"], {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}),
])  # fmt: skip
def test_each_option_reaches_the_card(tmp_path: Path, options: list[str], expected: dict[str, Any]) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    preset = ["--preprocess", "unit", "--resize", "bilinear"]
    result = add(file, tmp_path / "models", *LABELS, *preset, *options)
    assert result.exit_code == 0, result.output
    raw = json.loads((tmp_path / "models" / "mine" / "card.json").read_bytes())
    assert {key: raw["input"][key] for key in expected} == expected
    assert passed(verify(tmp_path / "models" / "mine"))


@pytest.mark.parametrize(("shape", "dtype", "options", "expected"), [
    (("N", 784), TensorProto.FLOAT, ["--size", "28x28", "--color", "L"], {"flatten": True, "color": "L"}),
    (("N", 300), TensorProto.DOUBLE, ["--size", "10x10", "--layout", "NHWC", "--color", "RGB"],
     {"flatten": True, "layout": "NHWC", "dtype": "float64"}),
    (("N", 28, 20), TensorProto.FLOAT, [], {"layout": "NHW", "color": "L", "width": 20, "height": 28}),
    (("N", 3, 9, 8), TensorProto.INT32, [], {"dtype": "int32", "scale": 1}),
])  # fmt: skip
def test_inputs_of_every_rank_and_type_are_added(
    tmp_path: Path, shape: Any, dtype: int, options: list[str], expected: dict[str, Any]
) -> None:
    file = save(flat(shape, dtype), tmp_path / "net.onnx")
    arguments = ["--resize", "bilinear", *([] if dtype == TensorProto.INT32 else ["--preprocess", "unit"])]
    result = add(file, tmp_path / "models", *LABELS, *arguments, *options)
    assert result.exit_code == 0, result.output
    raw = json.loads((tmp_path / "models" / "mine" / "card.json").read_bytes())
    assert {key: raw["input"][key] for key in expected} == expected
    assert passed(verify(tmp_path / "models" / "mine"))


@pytest.mark.parametrize(("shape", "options", "sentence"), [
    (("N", 785), ["--size", "28x28", "--color", "L"], "takes 785 numbers for an image, but --size 28x28 has 784"),
    (("N", 784), [], "WIDTHxHEIGHT of training"),
    (("N", 784), ["--size", "28x28", "--color", "RGB"], "--color RGB contradicts the graph"),
    ((3, 28, 28), [], "needs 1 number(s) for an image, but model.onnx gives 3"),
    (("N", 3, 2, 8, 8), [], "This takes no image"),
    (("N", 3, 28, 28), ["--align", "left"], "--align left is unknown; there are center, top-left"),
    (("N", 3, 28, 28), ["--exif", "no"], "--exif no is unknown; there are apply, ignore"),
])  # fmt: skip
def test_shapes_and_words_that_do_not_fit_are_sentences(
    tmp_path: Path, shape: Any, options: list[str], sentence: str
) -> None:
    file = save(flat(shape), tmp_path / "net.onnx")
    result = add(file, tmp_path / "models", *LABELS, "--resize", "bilinear", "--preprocess", "unit", *options)
    assert result.exit_code == 3, result.output
    assert sentence in result.output


def test_assumptions_are_listed_with_their_options(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    options = [*LABELS, "--preprocess", "unit", "--resize", "bilinear"]
    silent = json.loads(add(file, tmp_path / "a", *options, "--json").stdout)["assumed"]
    assert [next(word for word in ("--fit", "--no-antialias", "--exif") if word in line) for line in silent] == [
        "--fit", "--no-antialias", "--exif",
    ]  # fmt: skip
    stated = ["--fit", "stretch", "--antialias", "--exif", "apply"]
    assert json.loads(add(file, tmp_path / "b", *options, *stated, "--json").stdout)["assumed"] == []


@pytest.mark.parametrize("color", ["RGB", "L"])
def test_every_alternative_is_a_card_that_can_be_served_and_differs(color: Any) -> None:
    channels = 3 if color == "RGB" else 1
    spec = InputSpec("input", 20, 20, color=color, mean=(0.0,) * channels, std=(1.0,) * channels, jpeg_draft=2)
    for own in (
        spec,
        spec._replace(jpeg_draft=0, exif="ignore", resize=Resize(antialias=False, fit="crop", size=(23, 23))),
    ):
        changes = input_changes(own)
        assert {"filter", "fit", "exif", "pixels"} <= {change.part for change in changes}
        for change in changes:
            other = change.apply(own)
            assert other != own, change
            parse_card(_card(other), Path("tiny"))


def _card(spec: InputSpec) -> dict[str, Any]:
    """The card that a change asks for, with the keys that its fit knows."""
    resize = {"filter": spec.resize.filter, "fit": spec.resize.fit, "antialias": spec.resize.antialias}
    keys = {"crop": ("shortest", "size"), "pad": ("pad_color", "align"), "stretch": ()}[spec.resize.fit]
    resize |= {key: value for key in keys if (value := getattr(spec.resize, key)) is not None}
    resize = {key: list(value) if isinstance(value, tuple) else value for key, value in resize.items()}
    fields = spec._asdict() | {"resize": resize, "mean": list(spec.mean), "std": list(spec.std)}
    if spec.color != "L":
        del fields["grey"]
    return {
        "name": "tiny", "version": "1.0.0", "files": [{"path": "model.onnx", "sha256": "0" * 64}], "input": fields,
        "output": {"name": "y", "kind": "logit", "labels": ["a", "b"]},
    }  # fmt: skip


def test_verify_finds_stored_orientation_by_the_golden_probabilities(tmp_path: Path) -> None:
    """A net that looks at the upper half only: red above in the stored pixels, blue above when turned by EXIF 3."""
    top = helper.make_node("Slice", ["input", "zero", "ten", "axis"], ["top"])
    nodes = [
        top,
        helper.make_node("GlobalAveragePool", ["top"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
    ]
    whole = [("zero", [0]), ("ten", [10]), ("axis", [2])]
    graph = helper.make_graph(
        nodes, "top", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 20, 20])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor(name, TensorProto.INT64, [1], values) for name, values in whole]
        + [helper.make_tensor("w", TensorProto.FLOAT, [3, 1], [3.0, 0.0, -3.0])],
    )  # fmt: skip
    file = save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "n.onnx"
    )
    image = images.solid(images.BLUE, (40, 40))
    image.paste(images.RED, (0, 0, 40, 20))
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(images.jpeg(image, exif=images.exif(3)))
    arguments = [
        "--labels",
        "blue,red",
        "--preprocess",
        "unit",
        "--resize",
        "bilinear",
        "--golden",
        f"{photo}=red:0.95",
    ]
    wrong = add(file, tmp_path / "models", *arguments)
    assert wrong.exit_code == 3, wrong.output
    assert "input.exif 'ignore'" in wrong.output
    assert add(file, tmp_path / "models", *arguments, "--exif", "ignore").exit_code == 0
