"""Graphs with further inputs or without a batch axis: bound, rewritten or rejected at `add`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from loupe.classifier import Classifier
from loupe.prediction import Prediction
from loupe.stages import Stages
from onnx import TensorProto, helper, numpy_helper
from onnx_zoo import SIDE, classifier, save, write_image
from typer.testing import CliRunner, Result

from modelkit.checks import passed
from modelkit.cli import app
from modelkit.inspection import inspect_file
from modelkit.labelled_images import UNLIMITED
from modelkit.single_image import lacks_batch_axis
from modelkit.verify import verify

COMMON = ("--labels", "red,blue", "--preprocess", "unit", "--resize", "bilinear")


def add(tmp_path: Path, proto: onnx.ModelProto, *options: str) -> Result:
    file = save(proto, tmp_path / "net.onnx")
    command = ["add", str(file), "--name", "mine", *COMMON, *options, "--models-dir", str(tmp_path / "models")]
    return CliRunner().invoke(app, command)


def with_further_inputs(
    dtype: int = TensorProto.FLOAT, shape: tuple[object, ...] = (1,), weight: float = 25.0
) -> onnx.ModelProto:
    """The zoo's classifier, its logit multiplied by a further input."""
    proto = classifier(gain=weight)
    proto.graph.node[-1].output[0] = "numbers"
    proto.graph.node.append(helper.make_node("Cast", ["gain"], ["gain_float"], to=TensorProto.FLOAT))
    proto.graph.node.append(helper.make_node("Mul", ["numbers", "gain_float"], ["scores"]))
    proto.graph.input.append(helper.make_tensor_value_info("gain", dtype, list(shape)))
    return proto


def without_batch_axis(layout: str, *, rank: int = 1, opset: int = 17) -> onnx.ModelProto:
    """The zoo's classifier for one image, as a model that adds the batch axis itself is exported."""
    proto = classifier(layout=layout, batch=1, opset=opset)
    proto.graph.node[0].input[0] = "batch_of_one"
    shape = [3, SIDE, SIDE] if layout == "NCHW" else [SIDE, SIDE, 3]
    for name, sides in (("batched", [1, *shape]), ("result", [1] * rank)):
        proto.graph.initializer.append(numpy_helper.from_array(np.array(sides, np.int64), name))
    proto.graph.node.insert(0, helper.make_node("Reshape", ["image", "batched"], ["batch_of_one"]))
    proto.graph.node[-1].output[0] = "numbers"
    proto.graph.node.append(helper.make_node("Reshape", ["numbers", "result"], ["scores"]))
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1] * rank))
    return proto


def logit(tmp_path: Path) -> float:
    model = Classifier.load(tmp_path / "models" / "mine", UNLIMITED).model
    return float(model.run(np.full((1, 3, SIDE, SIDE), 0.7, np.float32))[0, 0])


def probability(tmp_path: Path, label: str) -> float:
    served = Classifier.load(tmp_path / "models" / "mine", UNLIMITED)
    return dict(served.classify(write_image(tmp_path, label).read_bytes()).scores)["blue"]


@pytest.mark.parametrize(("dtype", "shape", "value"), [
    (TensorProto.FLOAT, (1,), "2"), (TensorProto.FLOAT, (), "2.0"), (TensorProto.INT64, ("batch", 1), "2"),
    (TensorProto.FLOAT16, (1, 1), "2"),
])  # fmt: skip
def test_a_further_input_is_bound_into_the_graph(
    tmp_path: Path, dtype: int, shape: tuple[object, ...], value: str
) -> None:
    result = add(tmp_path, with_further_inputs(dtype, shape), "--bind", f"gain={value}", "--kind", "logit")
    assert result.exit_code == 0, result.output
    assert f"input 'gain' is bound to {value}" in result.output
    folder = tmp_path / "models" / "mine"
    assert [item.name for item in inspect_file(folder / "model.onnx").inputs] == ["image"]
    assert passed(verify(folder))
    bound = logit(tmp_path)
    assert add(tmp_path, classifier(gain=25.0), "--replace").exit_code == 0
    assert bound == pytest.approx(2 * logit(tmp_path), rel=1e-5)


def test_a_boolean_input_is_bound_by_name(tmp_path: Path) -> None:
    result = add(tmp_path, with_further_inputs(TensorProto.BOOL, (), 60.0), "--bind", "gain=true", "--kind", "logit")
    assert result.exit_code == 0, result.output
    assert probability(tmp_path, "blue") > 0.5


@pytest.mark.parametrize(("options", "code", "sentence"), [
    ((), 3, "has 2 inputs (image, gain)"),
    ((), 3, "--bind NAME=VALUE"),
    (("--bind", "other=1"), 3, "--bind other is none of the graph's inputs (image, gain)"),
    (("--bind", "gain=high"), 3, "the input is float32; give a number"),
    (("--bind", "gain=1,2,3"), 3, "3 values were given, and its shape [1] holds 1"),
    (("--bind", "gain"), 2, "must be NAME=VALUE"),
    (("--bind", "gain=1", "--bind", "gain=2"), 2, "bound twice"),
    (("--bind", "image=1", "--bind", "gain=1"), 3, "has 0 inputs"),
])  # fmt: skip
def test_inputs_that_cannot_be_bound_are_rejected(
    tmp_path: Path, options: tuple[str, ...], code: int, sentence: str
) -> None:
    result = add(tmp_path, with_further_inputs(), *options)
    assert result.exit_code == code
    assert sentence in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(("dtype", "value"), [(TensorProto.UINT8, "300"), (TensorProto.INT64, "1.5"),
                                              (TensorProto.STRING, "1")])  # fmt: skip
def test_a_value_that_the_type_does_not_hold_is_rejected(tmp_path: Path, dtype: int, value: str) -> None:
    result = add(tmp_path, with_further_inputs(dtype), "--bind", f"gain={value}")
    assert result.exit_code == 3
    assert "--bind gain" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("opset", [12, 17])
def test_an_input_without_a_batch_axis_is_rewritten(tmp_path: Path, layout: str, rank: int, opset: int) -> None:
    result = add(tmp_path, without_batch_axis(layout, rank=rank, opset=opset))
    assert result.exit_code == 0, result.output
    assert "input 'image' takes one image; a batch axis of 1 is added" in result.output
    folder = tmp_path / "models" / "mine"
    assert passed(verify(folder))
    served = Classifier.load(folder, UNLIMITED)
    images = [write_image(tmp_path, label, number).read_bytes() for number in range(2) for label in ("red", "blue")]
    outcomes = served.run([served.prepare(image, Stages()) for image in images])
    together = [outcome.scores for outcome in outcomes if isinstance(outcome, Prediction)]
    assert together == [served.classify(image).scores for image in images]
    assert together[0] != together[1]
    assert probability(tmp_path, "blue") > 0.5 > probability(tmp_path, "red")


@pytest.mark.parametrize(("shape", "lacks"), [
    ((3, 224, 224), True), ((224, 224, 3), True), ((3, None, None), False), ((28, 28, 1), True), ((1, 28, 28), False),
    ((None, 28, 28), False), ((None, 224, 3), False), ((1, 3, 224, 224), False), ((28, 28), False),
])  # fmt: skip
def test_three_axes_are_an_image_if_one_holds_colours(shape: tuple[int | None, ...], lacks: bool) -> None:
    assert lacks_batch_axis(shape) == lacks


def failing_in_batches() -> onnx.ModelProto:
    proto = with_further_inputs(shape=("batch", 1))
    proto.graph.node[-1].op_type = "Concat"
    proto.graph.node[-1].attribute.append(helper.make_attribute("axis", 1))
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2]))
    return proto


def test_verify_detects_a_graph_that_fails_with_several_images(tmp_path: Path) -> None:
    result = add(tmp_path, failing_in_batches(), "--bind", "gain=1", "--kind", "logits")
    assert result.exit_code == 1
    assert "runs with one image and fails with 8" in " ".join(result.output.split())
    card = tmp_path / "models" / "mine" / "card.json"
    raw = json.loads(card.read_bytes())
    raw["output"]["independent"] = False
    card.write_text(json.dumps(raw))
    assert passed(verify(card.parent))
