"""Versions and operators that the serving runtime does not have are a sentence, with the version that it reads."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from onnx_zoo import classifier, save
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.inspection import inspect_file
from modelkit.runtime_limits import obstacle_to_loading

OPTIONS = ["--name", "mine", "--labels", "red,blue", "--preprocess", "unit", "--resize", "bilinear"]


def newer_ir() -> onnx.ModelProto:
    proto = classifier()
    proto.ir_version = 99
    return proto


def newer_opset() -> onnx.ModelProto:
    proto = classifier()
    proto.opset_import[0].version = 99
    return proto


def custom_operator(domain: str = "my.ops") -> onnx.ModelProto:
    proto = classifier()
    proto.graph.node[-1].output[0] = "before"
    proto.graph.node.append(helper.make_node("Sharpen", ["before"], ["scores"], domain=domain))
    if domain:
        proto.opset_import.append(helper.make_opsetid(domain, 1))
    return proto


@pytest.mark.parametrize(
    ("proto", "sentence"),
    [
        (newer_ir(), r"has IR version 99, and ONNX Runtime \S+, which serves, reads up to (\d+)"),
        (newer_opset(), r"is written for opset 99, and ONNX Runtime \S+, which serves, reads up to (\d+)"),
        (custom_operator(), "has custom operators that ONNX Runtime .* does not know: Sharpen of 'my.ops'"),
        (custom_operator(""), "does not know: Sharpen. Export"),
        (custom_operator("com.microsoft"), "does not know: Sharpen of 'com.microsoft'"),
    ],
)
def test_graphs_that_the_runtime_cannot_load_are_reported(
    tmp_path: Path, proto: onnx.ModelProto, sentence: str
) -> None:
    file = save(proto, tmp_path / "net.onnx")
    result = CliRunner().invoke(app, ["add", str(file), "--models-dir", str(tmp_path / "models"), *OPTIONS])
    assert result.exit_code == 3
    assert re.search(sentence, result.output), result.output
    assert "onnxruntime_src" not in result.output
    shown = CliRunner().invoke(app, ["inspect", str(file)])
    assert shown.exit_code == 0
    assert re.search(sentence, shown.output)


def test_the_version_that_is_named_is_read(tmp_path: Path) -> None:
    for proto, change in ((newer_ir(), "ir"), (newer_opset(), "opset")):
        named = re.search(r"reads up to (\d+)", obstacle_to_loading(proto) or "")
        assert named
        if change == "ir":
            proto.ir_version = int(named[1])
        else:
            del proto.graph.node[:]
            proto.graph.node.append(helper.make_node("Flatten", ["image"], ["scores"]))
            del proto.graph.output[0].type.tensor_type.shape.dim[:]
            proto.opset_import[0].version = int(named[1])
        assert obstacle_to_loading(proto) is None
        options = ort.SessionOptions()
        options.log_severity_level = 4
        if change == "ir":
            assert ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def test_axis_names_of_exporters_determine_the_layout(tmp_path: Path) -> None:
    proto = classifier(side="height")
    axes = proto.graph.input[0].type.tensor_type.shape.dim
    for axis, name in zip(axes, ("batch_size", "num_channels", "height", "width"), strict=True):
        axis.dim_param = name
    del proto.graph.node[0]
    proto.graph.node[0].input[0] = "image"
    file = save(proto, tmp_path / "hf.onnx")
    image_input = inspect_file(file).image
    assert image_input is not None
    assert (image_input.layout, image_input.width) == ("NCHW", None)
    options = ["--models-dir", str(tmp_path / "models"), *OPTIONS]
    result = CliRunner().invoke(app, ["add", str(file), *options])
    assert result.exit_code == 3
    assert "--size" in result.output
    result = CliRunner().invoke(app, ["add", str(file), *options, "--size", "16x16", "--color", "RGB"])
    assert result.exit_code == 0, result.output


def test_an_input_without_a_shape_requires_layout_and_size(tmp_path: Path) -> None:
    proto = classifier()
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    file = save(proto, tmp_path / "net.onnx")
    options = ["--models-dir", str(tmp_path / "models"), *OPTIONS]
    result = CliRunner().invoke(app, ["add", str(file), *options, "--size", "16x16", "--layout", "NCHW"])
    assert result.exit_code == 0, result.output
