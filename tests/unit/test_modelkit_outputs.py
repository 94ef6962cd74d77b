"""Outputs that are not plain scores: read, rewritten, or rejected by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from loupe.card import load_card
from loupe.classifier import Classifier
from onnx import TensorProto, helper, numpy_helper
from onnx_zoo import classifier, save, write_image
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.labelled_images import UNLIMITED
from modelkit.rewriting import served_form

THREE = ("red", "green", "blue")


def ending(*nodes: onnx.NodeProto, **graph: object) -> onnx.ModelProto:
    """The zoo's classifier, its numbers named ``numbers``, followed by other nodes; ``outputs`` are declared later."""
    proto = classifier(**graph)  # type: ignore[arg-type]
    proto.graph.node[-1].output[0] = "numbers"
    proto.graph.node.extend(nodes)
    del proto.graph.output[:]
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return proto


def declare(proto: onnx.ModelProto, name: str, shape: list[object], dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    proto.graph.output.append(helper.make_tensor_value_info(name, dtype, shape))
    return proto


def sequence_of_maps() -> onnx.ModelProto:
    """As Custom Vision and skl2onnx export: a text and a sequence of maps."""
    proto = ending(
        helper.make_node("Softmax", ["numbers"], ["s"]),
        helper.make_node("ZipMap", ["s"], ["loss"], domain="ai.onnx.ml", classlabels_strings=list(THREE)),
        helper.make_node("ArgMax", ["s"], ["index"], axis=1, keepdims=0),
        helper.make_node("LabelEncoder", ["index"], ["classLabel"], domain="ai.onnx.ml", keys_int64s=[0, 1, 2],
                         values_strings=list(THREE)),
        outputs=3,
    )  # fmt: skip
    declare(proto, "classLabel", ["batch"], TensorProto.STRING)
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    proto.graph.output.append(helper.make_value_info("loss", helper.make_sequence_type_proto(kind)))
    return proto


def shares() -> onnx.ModelProto:
    """As skl2onnx exports classifiers of scikit-learn: scores divided by their sum."""
    proto = ending(
        helper.make_node("Softmax", ["numbers"], ["s"]),
        helper.make_node("Normalizer", ["s"], ["out"], domain="ai.onnx.ml", norm="L1"),
        outputs=3,
    )
    return declare(proto, "out", ["batch", 3])


def percent(operator: str = "Mul", *, outputs: int = 3) -> onnx.ModelProto:
    squashed = "Softmax" if outputs > 1 else "Sigmoid"
    proto = ending(
        helper.make_node(squashed, ["numbers"], ["s"]), helper.make_node(operator, ["s", "k"], ["out"]), outputs=outputs
    )
    factor = 100 if operator == "Mul" else 0.01
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(factor), "k"))
    return declare(proto, "out", ["batch", outputs])


def linear_classifier() -> onnx.ModelProto:
    proto = ending(
        helper.make_node(
            "LinearClassifier", ["numbers"], ["label", "scores"], domain="ai.onnx.ml", post_transform="SOFTMAX",
            coefficients=[1.0, 0, 0, 0, 1, 0, 0, 0, 1], intercepts=[0.0, 0, 0], classlabels_ints=[0, 1, 2],
        ),
        outputs=3,
    )  # fmt: skip
    declare(proto, "label", ["batch"], TensorProto.INT64)
    return declare(proto, "scores", ["batch", 3])


def log_probabilities() -> onnx.ModelProto:
    nodes = [helper.make_node("Softmax", ["numbers"], ["s"]), helper.make_node("Log", ["s"], ["out"])]
    return declare(ending(*nodes, outputs=3), "out", ["batch", 3])


def add(tmp_path: Path, proto: onnx.ModelProto, *options: str) -> Result:
    file = save(proto, tmp_path / "net.onnx")
    arguments = [
        "--name",
        "mine",
        "--models-dir",
        str(tmp_path / "models"),
        "--preprocess",
        "unit",
        "--resize",
        "bilinear",
    ]
    return CliRunner().invoke(app, ["add", str(file), *arguments, *options])


def plain(tmp_path: Path, data: bytes, outputs: int = 3) -> dict[str, float]:
    """Return the scores of the classifier without its last operators."""
    labels = ",".join(THREE) if outputs == 3 else "red,blue"
    assert add(tmp_path / "plain", classifier(outputs=outputs), "--labels", labels).exit_code == 0
    folder = tmp_path / "plain" / "models" / "mine"
    return dict(Classifier.load(folder, UNLIMITED).classify(data).scores)


@pytest.mark.parametrize(
    ("make", "options", "outputs"),
    [
        (sequence_of_maps, (), 3),
        (shares, ("--labels", ",".join(THREE)), 3),
        (percent, ("--labels", ",".join(THREE)), 3),
        (lambda: percent("Div"), ("--labels", ",".join(THREE)), 3),
        (lambda: percent(outputs=1), ("--labels", "red,blue"), 1),
        (linear_classifier, ("--labels", ",".join(THREE)), 3),
        (log_probabilities, ("--labels", ",".join(THREE)), 3),
    ],
)
def test_unusual_graph_ends_return_the_same_probabilities(
    tmp_path: Path, make: Callable[[], onnx.ModelProto], options: tuple[str, ...], outputs: int
) -> None:
    result = add(tmp_path, make(), *options)
    assert result.exit_code == 0, result.output
    data = write_image(tmp_path, "blue").read_bytes()
    served = dict(Classifier.load(tmp_path / "models" / "mine", UNLIMITED).classify(data).scores)
    assert served == pytest.approx(plain(tmp_path, data, outputs), abs=1e-6)


def test_labels_in_the_graph_are_used_and_reported(tmp_path: Path) -> None:
    result = add(tmp_path, sequence_of_maps(), "--json")
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    assert value["card"]["output"] == {"name": "loss", "kind": "probabilities", "labels": list(THREE)}
    assert "ZipMap" in value["notes"][0]
    assert load_card(tmp_path / "models" / "mine").output.labels == THREE


def test_a_graph_that_needs_no_change_is_copied_byte_for_byte(tmp_path: Path) -> None:
    proto = classifier(outputs=3)
    assert served_form(proto).proto is proto
    assert add(tmp_path, proto, "--labels", ",".join(THREE)).exit_code == 0
    assert (tmp_path / "models" / "mine" / "model.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()


def regression() -> onnx.ModelProto:
    proto = ending(helper.make_node("Mul", ["numbers", "k"], ["out"]))
    proto.graph.initializer.append(numpy_helper.from_array(np.array([50], np.float32), "k"))
    return declare(proto, "out", ["batch", 1])


def named(name: str, *nodes: onnx.NodeProto, outputs: int = 1) -> onnx.ModelProto:
    last = nodes or (helper.make_node("Identity", ["numbers"], [name]),)
    return declare(ending(*last, outputs=outputs), name, ["batch", outputs])


def shaped(shape: list[int]) -> onnx.ModelProto:
    proto = ending(helper.make_node("Reshape", ["numbers", "to"], ["out"]), outputs=12)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape], np.int64), "to"))
    return declare(proto, "out", ["batch", *shape])


def suppressed() -> onnx.ModelProto:
    node = helper.make_node("NonMaxSuppression", ["boxes", "box_scores"], ["out"])
    proto = ending(node, outputs=3)
    for name, shape in (("boxes", (1, 6, 4)), ("box_scores", (1, 1, 6))):
        proto.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    return declare(proto, "out", ["n", 3], TensorProto.INT64)


@pytest.mark.parametrize(
    ("proto", "task"),
    [
        (regression(), "a regression: output 'out' is one number that is multiplied by 50"),
        (named("age"), "a regression: its only output is one number named 'age'"),
        (
            named("out", helper.make_node("Relu", ["numbers"], ["out"])),
            "a regression: output 'out' is one number after",
        ),
        (shaped([4, 3]), "an object detector: output 'out' is [batch, 4, 3]"),
        (suppressed(), "an object detector: NonMaxSuppression"),
        (shaped([3, 2, 2]), "a segmentation (or another model of pixels): output 'out' is [batch, 3, 2, 2]"),
        (named("image_embeds", outputs=8), "an encoder: output 'image_embeds' holds an embedding (8 numbers"),
    ],
)
def test_other_tasks_are_rejected_by_name(tmp_path: Path, proto: onnx.ModelProto, task: str) -> None:
    result = add(tmp_path, proto, "--labels", "a,b")
    assert result.exit_code == 3
    assert f"net.onnx looks like {task}" in result.output
    assert "say how its numbers are read with --kind" in result.output
    assert not (tmp_path / "models").exists()
    assert f"this looks like {task}" in CliRunner().invoke(app, ["inspect", str(tmp_path / "net.onnx")]).output


def test_a_kind_overrides_the_reading_with_the_evidence(tmp_path: Path) -> None:
    result = add(tmp_path, regression(), "--labels", "young,old", "--kind", "logit")
    assert result.exit_code == 0, result.output
    assert "--kind logit although this looks like a regression" in result.output
    wrong = add(tmp_path / "second", classifier("Sigmoid"), "--labels", "red,blue", "--kind", "logit")
    assert wrong.exit_code == 1
    assert "--kind logit overrides the graph, which is read as probability. It ends in Sigmoid" in wrong.output
    assert "sigmoid would be applied twice" in wrong.output


@pytest.mark.parametrize(
    ("output", "reason"), [("classLabel", "is text (the chosen label)"), ("index", "is int64 (the chosen class)")]
)
def test_outputs_that_hold_no_scores_are_rejected_even_with_a_kind(tmp_path: Path, output: str, reason: str) -> None:
    proto = declare(sequence_of_maps(), "index", ["batch"], TensorProto.INT64)
    result = add(tmp_path, proto, "--output", output, "--kind", "logits")
    assert result.exit_code == 3
    assert reason in result.output
    assert "Traceback" not in result.output


def test_several_inputs_are_rejected_with_their_names(tmp_path: Path) -> None:
    proto = classifier()
    proto.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    result = add(tmp_path, proto, "--labels", "red,blue")
    assert result.exit_code == 3
    assert "has 2 inputs (image, mask)" in result.output


def test_four_channels_are_rejected_naming_them(tmp_path: Path) -> None:
    result = add(tmp_path, classifier(channels=4, outputs=3), "--labels", ",".join(THREE))
    assert result.exit_code == 3
    assert "takes 4 channels" in result.output


def test_an_average_of_probabilities_is_not_served_as_logits(tmp_path: Path) -> None:
    """As skl2onnx exports CalibratedClassifierCV: the sum of several classifiers, divided by their number."""
    proto = ending(
        helper.make_node("Softmax", ["numbers"], ["s"]),
        helper.make_node("Add", ["s", "s"], ["sum"]),
        helper.make_node("Div", ["sum", "two"], ["out"]),
        outputs=3,
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2], np.float32), "two"))
    declare(proto, "out", ["batch", 3])
    result = add(tmp_path, proto, "--labels", ",".join(THREE), "--kind", "logits")
    assert result.exit_code == 1
    assert "Set output.kind to 'probabilities'" in result.output
    assert add(tmp_path, proto, "--labels", ",".join(THREE), "--replace").exit_code == 0
    assert load_card(tmp_path / "models" / "mine").output.kind == "probabilities"
