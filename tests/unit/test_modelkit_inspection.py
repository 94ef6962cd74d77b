"""Inspection of ONNX files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnx import TensorProto
from onnx_zoo import SIDE, classifier, save
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.errors import ModelkitError
from modelkit.inspection import inspect_file

ENDS = [
    (None, 1, "logit"),
    ("Sigmoid", 1, "probability"),
    (None, 3, "logits"),
    ("Softmax", 3, "probabilities"),
    ("Sigmoid", 3, "multilabel-probabilities"),
    ("LogSoftmax", 3, "logits"),
    ("Softmax", 1, None),
    ("ArgMax", 3, None),
    ("Tanh", 1, None),
]


@pytest.mark.parametrize(("end", "outputs", "kind"), ENDS)
def test_the_end_of_a_graph_determines_its_kind(tmp_path: Path, end: str | None, outputs: int, kind: str) -> None:
    inspection = inspect_file(save(classifier(end, outputs=outputs), tmp_path / "model.onnx"))
    assert inspection.ends["scores"].kind == kind
    assert inspection.ends["scores"].reason.endswith(".")


def test_reshapes_do_not_hide_the_end(tmp_path: Path) -> None:
    inspection = inspect_file(save(classifier(outputs=3, spatial=True), tmp_path / "model.onnx"))
    assert (inspection.ends["scores"].kind, inspection.ends["scores"].operator) == ("logits", "Gemm")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", [1, 3])
def test_layout_channels_and_size_are_read(tmp_path: Path, layout: str, channels: int) -> None:
    inspection = inspect_file(save(classifier(layout=layout, channels=channels), tmp_path / "model.onnx"))
    assert inspection.image is not None
    assert (inspection.image.layout, inspection.image.channels) == (layout, channels)
    assert (inspection.image.width, inspection.image.height) == (SIDE, SIDE)


def test_types_dynamic_axes_and_cost_are_read(tmp_path: Path) -> None:
    inspection = inspect_file(save(classifier(dtype=TensorProto.UINT8, side="side"), tmp_path / "model.onnx"))
    assert inspection.inputs[0].dtype == "uint8"
    assert inspection.inputs[0].shape == ("batch", 3, "side", "side")
    assert inspection.inputs[0].dynamic == (0, 2, 3)
    assert inspection.multiply_adds is None
    fixed = inspect_file(save(classifier(), tmp_path / "fixed.onnx"))
    # Convolution, the wide layer, the last layer.
    assert fixed.multiply_adds == SIDE * SIDE * 3 * 3 * 9 + 3 * 64 + 64
    assert fixed.parameters == 81 + 3 * 64 + 64 + 64 + 1
    assert fixed.load_bytes == (tmp_path / "fixed.onnx").stat().st_size


def test_float64_and_float16_are_named(tmp_path: Path) -> None:
    for dtype, name in ((TensorProto.DOUBLE, "float64"), (TensorProto.FLOAT16, "float16")):
        assert inspect_file(save(classifier(dtype=dtype), tmp_path / "model.onnx")).inputs[0].dtype == name


def test_external_data_is_whole_missing_truncated_or_renamed(tmp_path: Path) -> None:
    path = save(classifier(), tmp_path / "model.onnx", external="weights.data")
    data = tmp_path / "weights.data"
    assert inspect_file(path).external[0].state == "whole"
    whole = data.read_bytes()
    data.write_bytes(whole[:-100])
    assert "weights.data is cut off" in inspect_file(path).missing[0].error_message("model.onnx")
    data.write_bytes(whole)
    data.rename(tmp_path / "renamed.data")
    renamed = inspect_file(path).missing[0]
    assert renamed.state == "missing"
    assert "rename renamed.data to weights.data" in renamed.error_message("model.onnx")
    (tmp_path / "renamed.data").unlink()
    assert "in a file of exactly that name" in inspect_file(path).missing[0].error_message("model.onnx")


def test_data_outside_the_folder_is_rejected(tmp_path: Path) -> None:
    proto = classifier()
    tensor = proto.graph.initializer[1]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelkitError, match="outside its own folder"):
        inspect_file(path)


def test_a_long_name_of_external_data_is_not_repeated(tmp_path: Path) -> None:
    proto = classifier()
    tensor = proto.graph.initializer[1]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w" * 5000)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelkitError, match="name has 5,000 characters") as caught:
        inspect_file(path)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("key", ["length", "offset"])
@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 5000, "\u00b2"])
def test_a_place_in_external_data_that_is_no_number_is_reported_clearly(tmp_path: Path, key: str, value: str) -> None:
    proto = classifier()
    tensor = proto.graph.initializer[1]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.data")
    tensor.external_data.add(key=key, value=value)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelkitError, match=f"with the {key}") as caught:
        inspect_file(path)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"<!DOCTYPE html>", "web page"),
        (b'{"message": "Not Found"}', "is JSON"),
        (b"\x00\x01garbage", "not an ONNX model, or it is cut off"),
        (classifier().SerializeToString()[:-40], "not an ONNX model, or it is cut off"),
    ],
)
def test_a_file_that_is_not_a_model_is_reported(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelkitError, match=sentence):
        inspect_file(path)


def test_a_folder_or_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelkitError, match="is a folder"):
        inspect_file(tmp_path)
    with pytest.raises(ModelkitError, match="cannot be read"):
        inspect_file(tmp_path / "none.onnx")


def test_the_command_prints_text_and_json(tmp_path: Path) -> None:
    path = save(classifier("Softmax", outputs=3), tmp_path / "model.onnx", external="weights.data")
    shown = CliRunner().invoke(app, ["inspect", str(path)])
    assert shown.exit_code == 0
    for part in ("output 'scores': float32 [batch, 3]", "read as: probabilities", "layout NCHW", "weights.data"):
        assert part in shown.output
    report = json.loads(CliRunner().invoke(app, ["inspect", str(path), "--json"]).stdout)
    assert report["ends"]["scores"]["kind"] == "probabilities"
    assert report["external"][0]["state"] == "whole"


def test_missing_data_is_traced_to_the_card_that_has_its_address(tmp_path: Path) -> None:
    path = save(classifier(), tmp_path / "model.onnx", external="hair_classifier_v1.onnx.data")
    (tmp_path / "hair_classifier_v1.onnx.data").unlink()
    shown = CliRunner().invoke(app, ["inspect", str(path)])
    assert shown.exit_code == 0
    assert "python -m modelkit fetch hair-type-course" in shown.output
    rejected = CliRunner().invoke(app, ["add", str(path), "--name", "x", "--models-dir", str(tmp_path / "models")])
    assert rejected.exit_code == 3
    assert "python -m modelkit fetch hair-type-course" in rejected.output
