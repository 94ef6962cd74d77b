"""Endings of scikit-learn's exports: probabilities where the graph proves them, questions and rejections elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.graph_end import GraphEnd, graph_end
from modelkit.label_forms import join_labels, split_labels

ML = "ai.onnx.ml"
PIXELS = 12
CLASSES = ("blue", "green", "red")
Node = onnx.NodeProto


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> Node:
    """A node of names with spaces between; classifiers and regressors are those of ai.onnx.ml."""
    ml = operator.endswith(("Classifier", "Regressor")) or operator in {"Normalizer", "ArrayFeatureExtractor", "ZipMap"}
    return helper.make_node(operator, inputs.split(), outputs.split(), domain=ML if ml else "", **attributes)


def model(
    *nodes: Node, out: str = "out", size: int = 3, label: bool = True, producer: str = "skl2onnx", **constants: object
) -> onnx.ModelProto:
    """A graph over 2x2 colour images; ``W`` is a matrix to ``size`` numbers."""
    weights = np.random.default_rng(3).normal(0, 1, (PIXELS, size)).astype(np.float32)
    arrays = {"W": weights, **{name: np.asarray(value) for name, value in constants.items()}}
    outputs = [helper.make_tensor_value_info(out, TensorProto.FLOAT, [None, size])]
    steps = list(nodes)
    if label:
        steps.append(node("ArgMax", out, "label", axis=1, keepdims=0))
        outputs.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [None]))
    image = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, PIXELS])
    tensors = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(steps, "g", [image], outputs, tensors)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name=producer)


def linear(transform: str, size: int = 3, *, opposite: bool = False) -> Node:
    row = [0.5, -0.25] * (PIXELS // 2)
    other = [-value for value in row] if opposite else [value / 3 for value in row]
    rows = [row, other, [0.1] * PIXELS][:size]
    return node(
        "LinearClassifier", "X", "chosen out", post_transform=transform, coefficients=[v for r in rows for v in r],
        intercepts=[0.5, -0.5, 0.0][:size], classlabels_ints=list(range(size)),
    )  # fmt: skip


def forest(leaves: list[list[float]], transform: str = "NONE", classes: int = 3) -> Node:
    """One tree for two leaves each; a leaf has a weight for each class, or one weight alone."""
    trees = len(leaves) // 2
    ids = [(tree, place) for tree in range(trees) for place in (1, 2)]
    return node(
        "TreeEnsembleClassifier", "X", "chosen out", post_transform=transform,
        nodes_treeids=[tree for tree in range(trees) for _ in range(3)], nodes_nodeids=[0, 1, 2] * trees,
        nodes_featureids=[0, 0, 0] * trees, nodes_values=[0.5, 0.0, 0.0] * trees,
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * trees, nodes_truenodeids=[1, 0, 0] * trees,
        nodes_falsenodeids=[2, 0, 0] * trees, nodes_hitrates=[1.0] * 3 * trees,
        nodes_missing_value_tracks_true=[0] * 3 * trees,
        class_treeids=[tree for (tree, _), leaf in zip(ids, leaves, strict=True) for _ in leaf],
        class_nodeids=[place for (_, place), leaf in zip(ids, leaves, strict=True) for _ in leaf],
        class_ids=[index for leaf in leaves for index in range(len(leaf))],
        class_weights=[weight for leaf in leaves for weight in leaf], classlabels_int64s=list(range(classes)),
    )  # fmt: skip


def support_vectors(*, platt: bool) -> Node:
    pairs: dict[str, object] = {"prob_a": [-1.5], "prob_b": [0.1]} if platt else {}
    return node(
        "SVMClassifier", "X", "chosen out", classlabels_ints=[0, 1], coefficients=[0.5, -0.5], kernel_type="RBF",
        kernel_params=[0.5, 0.0, 3.0], rho=[0.1], support_vectors=[0.2] * PIXELS + [0.7] * PIXELS,
        vectors_per_class=[1, 1], post_transform="NONE", **pairs,
    )  # fmt: skip


SCORES = node("MatMul", "X W", "scores")
SIGMOIDS = node("Sigmoid", "scores", "p")
AXIS = {"axis": [1]}
ONE = np.array([1], np.float32)


def votes() -> onnx.ModelProto:
    """k-nearest neighbours: truth values, counted, divided by their sum."""
    return model(
        SCORES, node("Greater", "scores zero", "won"), node("Cast", "won", "counted", to=TensorProto.FLOAT),
        node("Add", "counted one", "counts"), node("ReduceSum", "counts axis", "sum", keepdims=1),
        node("Div", "counts sum", "out"), zero=np.float32(0), one=ONE, **AXIS,
    )  # fmt: skip


def naive_bayes() -> onnx.ModelProto:
    return model(
        SCORES, node("ReduceLogSumExp", "scores", "flat", axes=[1], keepdims=0), node("Reshape", "flat shape", "total"),
        node("Sub", "scores total", "log"), node("Exp", "log", "out"), shape=np.array([-1, 1]),
    )  # fmt: skip


def one_vs_rest() -> onnx.ModelProto:
    """With the mask that skl2onnx adds for rows that are all 0."""
    return model(
        SCORES, SIGMOIDS, node("ReduceSum", "p axis", "sum"), node("Cast", "sum", "any", to=TensorProto.BOOL),
        node("Not", "any", "none"), node("Cast", "none", "mask", to=TensorProto.FLOAT), node("Add", "p mask", "filled"),
        node("Mul", "mask three", "count"), node("Add", "sum count", "total"), node("Div", "filled total", "out"),
        three=np.float32(3), **AXIS,
    )  # fmt: skip


def pair() -> onnx.ModelProto:
    """MLPClassifier of two classes: 1 - p and p."""
    return model(
        node("MatMul", "X V", "scores"), SIGMOIDS, node("Sub", "one p", "rest"),
        node("Concat", "rest p", "out", axis=1), size=2, one=ONE, V=np.full((PIXELS, 1), 0.3, np.float32),
    )  # fmt: skip


def calibrated() -> onnx.ModelProto:
    return model(
        SCORES, node("Softmax", "scores", "p"), node("Sum", "p p", "sum"), node("Div", "sum two", "out"),
        two=np.float32(2),
    )  # fmt: skip


def bagged() -> onnx.ModelProto:
    return model(
        SCORES, node("Softmax", "scores", "p"), node("Reshape", "p shape", "one"),
        node("Concat", "one one", "all", axis=0),
        node("ReduceMean", "all", "out", axes=[0], keepdims=0), shape=np.array([1, -1, 3]),
    )  # fmt: skip


def normalized(squash: str) -> onnx.ModelProto:
    return model(SCORES, node(squash, "scores", "p"), node("Normalizer", "p", "out", norm="L1"))


THIRDS = [[0.5, 0, 0], [0, 0.25, 0.25], [0.5, 0, 0], [0.1, 0.2, 0.2]]


def read(proto: onnx.ModelProto, out: str = "out") -> GraphEnd:
    size = proto.graph.output[-1].type.tensor_type.shape.dim[1].dim_value
    return graph_end(proto.graph, out, size, proto.producer_name)


@pytest.mark.parametrize(
    "make",
    [
        votes, naive_bayes, one_vs_rest, pair, calibrated, bagged,
        lambda: normalized("Sigmoid"),
        lambda: model(forest(THIRDS)),
        lambda: model(forest([[0.5], [0.25], [0.5], [0.0]], classes=2), size=2),
        lambda: model(forest([[1.5], [-0.25]], "LOGISTIC", classes=2), size=2),
        lambda: model(forest([[1.5, -1, 0], [-0.25, 3, 1]], "SOFTMAX")),
        lambda: model(linear("SOFTMAX")),
        lambda: model(linear("LOGISTIC", 2, opposite=True), size=2),
        lambda: model(support_vectors(platt=True), size=2),
    ],
)  # fmt: skip
def test_proved_probabilities_are_distributions_in_the_runtime(make: Callable[[], onnx.ModelProto]) -> None:
    proto = make()
    assert read(proto).kind == "probabilities"
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    rows = session.run(["out"], {"X": np.random.default_rng(1).random((64, PIXELS), np.float32)})[0]
    assert rows.min() >= 0
    assert rows.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: model(node("MatMul", "X W", "out")),  # Perceptron, SGDClassifier with hinge loss
        lambda: model(linear("NONE")),  # LinearSVC, RidgeClassifier
        lambda: model(linear("LOGISTIC", 2), size=2),  # two sigmoids that add up to anything
        lambda: model(support_vectors(platt=False), size=2),
        lambda: model(forest([[0.5, 0, 0], [0, 0.25, 0.2], [0.5, 0, 0], [0.1, 0.2, 0.2]])),
        lambda: model(forest([[1.5, -1, 0], [-0.25, 3, 1]])),
        lambda: model(forest([[0.9], [0.25], [0.5], [0.0]], classes=2), size=2),
        lambda: model(forest([[1.5], [0.25]], "LOGISTIC", classes=2), size=2),
        lambda: normalized("Identity"),
        lambda: model(SCORES, node("Neg", "scores", "less"), node("Sum", "scores less", "out")),
    ],
)
def test_the_kind_of_uncertain_numbers_is_prompted_for(make: Callable[[], onnx.ModelProto]) -> None:
    end = read(make())
    assert end.kind is None
    assert "decision values" in end.reason


def test_a_linear_end_is_logits_outside_of_scikit_learn_only() -> None:
    assert read(model(node("MatMul", "X W", "out"), producer="pytorch")).kind == "logits"
    gated = model(SCORES, SIGMOIDS, node("Mul", "scores p", "out"), producer="pytorch", label=False)
    assert read(gated).kind is None
    mean = model(SCORES, SIGMOIDS, node("Add", "p p", "out"), producer="pytorch", label=False)
    assert read(mean).kind is None
    assert "numbers from 0 to 1" in read(mean).reason
    hidden = model(SCORES, SIGMOIDS, node("MatMul", "p V", "out"), producer="pytorch", V=np.eye(3, dtype=np.float32))
    assert read(hidden).kind == "logits"


def test_sigmoids_of_several_classes_are_multilabel() -> None:
    assert read(model(linear("LOGISTIC"))).kind == "multilabel-probabilities"


def test_a_cast_to_truth_values_is_no_change_of_shape() -> None:
    proto = model(
        SCORES, node("Softmax", "scores", "p"), node("Cast", "p", "b", to=TensorProto.BOOL),
        node("Cast", "b", "out", to=TensorProto.FLOAT),
    )  # fmt: skip
    assert read(proto).kind is None


def test_a_chain_of_many_operators_is_left_unproved() -> None:
    steps = [node("Softmax", "X", "v0")]
    steps += [node("Sum", f"v{index} v{index}", f"v{index + 1}") for index in range(5000)]
    assert read(model(*steps, node("Identity", "v5000", "out"), size=PIXELS)).kind is None


def add(tmp_path: Path, proto: onnx.ModelProto, *options: str) -> Result:
    file = tmp_path / "net.onnx"
    onnx.save(proto, file)
    required = ["--name", "mine", "--models-dir", str(tmp_path / "models"), "--preprocess", "unit", "--resize",
                "bilinear", "--size", "2x2", "--layout", "NHWC", "--color", "RGB"]  # fmt: skip
    return CliRunner().invoke(app, ["add", str(file), *required, *options])


def test_a_forest_is_added_without_a_kind(tmp_path: Path) -> None:
    result = add(tmp_path, model(forest(THIRDS)), "--labels", ",".join(CLASSES))
    assert result.exit_code == 0, result.output
    assert "output 'out': probabilities of blue, green, red" in result.output


REGRESSOR = node(
    "LinearRegressor", "X", "variable", coefficients=[0.1] * PIXELS, intercepts=[1.0], targets=1, post_transform="NONE"
)


@pytest.mark.parametrize(
    ("proto", "task"),
    [
        (model(REGRESSOR, out="variable", size=1, label=False), "a regression: output 'variable' holds the numbers of"),
        (
            model(REGRESSOR, node("Sum", "variable variable", "sum"), out="sum", size=1, label=False, producer="other"),
            "a regression: output 'sum' holds the numbers of LinearRegressor",
        ),
        (
            model(SCORES, node("Exp", "scores", "variable"), out="variable", size=1, label=False),
            "a regression (or a transformer): its only output is named 'variable'",
        ),
        (
            model(SCORES, node("Identity", "scores", "out"), node("ArgMin", "scores", "label", axis=1, keepdims=0),
                  label=False),
            None,
        ),
    ],
)  # fmt: skip
def test_regressions_are_rejected_by_name(tmp_path: Path, proto: onnx.ModelProto, task: str | None) -> None:
    if task is None:
        proto.graph.output.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [None]))
        task = "a clustering: output 'label' is the index of the smallest distance"
    result = add(tmp_path, proto, "--labels", "a,b")
    assert result.exit_code == 3
    assert f"looks like {task}" in result.output


def test_outputs_without_scores_are_rejected_before_any_prompt(tmp_path: Path) -> None:
    proto = model(SCORES, node("Softmax", "scores", "out"), node("ZipMap", "out", "maps"))
    del proto.graph.output[1]
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    proto.graph.output.append(helper.make_value_info("maps", helper.make_sequence_type_proto(kind)))
    result = add(tmp_path, proto)
    assert result.exit_code == 3
    assert "Output 'label' is int64 (the chosen class)" in result.output
    assert "Output 'maps' is a sequence, not a tensor" in result.output


def test_one_output_for_each_class_is_rejected(tmp_path: Path) -> None:
    proto = model(
        SCORES, node("Split", "scores", "blue green", axis=1), node("Concat", "blue green", "out", axis=1), size=2
    )
    del proto.graph.output[1]
    for name in ("blue", "green"):
        proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]))
    result = add(tmp_path, proto)
    assert result.exit_code == 3
    assert "Outputs blue, green look like one class each (zipmap='columns' in skl2onnx)" in result.output


def test_labels_with_commas_are_printed_as_they_are_given() -> None:
    labels = ("a, b", 'say "x"', "plain")
    assert split_labels(join_labels(labels)) == labels
