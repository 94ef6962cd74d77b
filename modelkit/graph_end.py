"""The last operators of a graph, which determine the kind of its output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from onnx import numpy_helper

from modelkit.classifiers import CLASSIFIERS, attribute, class_count, squashes
from modelkit.proofs import FLOATS, Proof

if TYPE_CHECKING:
    import onnx

Reading = Literal["logit", "probability", "logits", "probabilities", "multilabel-probabilities"]

# Operators that change shape or type, not what the numbers mean.
_PASSING = frozenset(
    {"Cast", "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Transpose",
     "Unsqueeze"}
)  # fmt: skip
_LINEAR = frozenset(
    {"Add", "AveragePool", "BatchNormalization", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MatMulInteger",
     "MatMulNBits", "QGemm", "QLinearAdd", "QLinearConv", "QLinearGlobalAveragePool", "QLinearMatMul", "ReduceMean",
     "FusedGemm", "FusedMatMul", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "Sum"}
)  # fmt: skip
_SCALED = frozenset({"Div", "Mul", "Sub"})
REGRESSORS = frozenset({"LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor"})
# Through these a regressor's numbers stay numbers of a regression: means, sums, medians and stacks of several.
_COMBINING = frozenset({"ArrayFeatureExtractor", "Concat", "GatherElements", "Max", "Mean", "Min"})
# Ends whose operands are numbers of the same meaning, other than those of a matrix product.
_ELEMENTWISE = frozenset({"Add", "AveragePool", "Div", "GlobalAveragePool", "Mul", "ReduceMean", "Sub", "Sum"})
_SCIKIT_LEARN = (
    "Exports of scikit-learn give probabilities if the classifier has predict_proba: say --kind probabilities then, "
    "and prove it with --golden IMAGE=LABEL:PROBABILITY. Otherwise they are decision values (SVC, LinearSVC, "
    "RidgeClassifier, Perceptron, hinge loss), no measure of confidence: train with SVC(probability=True) or "
    "CalibratedClassifierCV and export again, or have their softmax served with --kind logits."
)
_SELECTIONS = frozenset({"ArgMax", "ArgMin", "TopK", "Hardmax", "ZipMap", "NonMaxSuppression"})


@dataclass(frozen=True)
class GraphEnd:
    """``kind`` is None where the graph does not determine it; ``reason`` explains.

    ``factor`` is the constant by which the number is multiplied last, where there is one.
    """

    operator: str
    kind: Reading | None
    reason: str
    factor: float | None = None
    regressor: str = ""


def graph_end(graph: onnx.GraphProto, output: str, size: int | None, producer: str = "") -> GraphEnd:
    """Determine the kind of an output.

    Parameters
    ----------
    size
        Numbers that the output has for each image, None if unknown.
    producer
        The model's ``producer_name``. Linear ends of scikit-learn's exports are not logits of a softmax.
    """
    node = _last_node(graph, output)
    if node is None:
        return GraphEnd("", None, "No operator makes this output.")
    end, proof = _read_end(graph, node, size), Proof(graph, size)
    if regressor := _regressor(graph, output):
        return replace(end, kind=None, reason=f"Its numbers come from {regressor}.", regressor=regressor)
    if end.kind not in {None, "logit", "logits"} or end.operator == "LogSoftmax" or end.operator in _SELECTIONS:
        return end
    if size != 1 and proof.probabilities(output):
        reason = (
            f"It ends in {end.operator}: no number is negative and each row adds up to 1, so they are probabilities."
        )
        return replace(end, kind="probabilities", reason=reason)
    numbers = [name for name in node.input if not proof.is_constant(name)]
    if end.operator in _ELEMENTWISE and numbers and all(proof.at_most_one(name) for name in numbers):
        end = replace(end, kind=None, reason=f"It ends in {end.operator} of numbers from 0 to 1, which are not logits.")
    if producer == "skl2onnx" or any(node.domain == "ai.onnx.ml" for node in graph.node):
        return replace(end, kind=None, reason=f"It ends in {_named(node)}. {_SCIKIT_LEARN}")
    return end


def _named(node: onnx.NodeProto) -> str:
    if node.op_type not in CLASSIFIERS:
        return str(node.op_type)
    transform = attribute(node, "post_transform", b"NONE").decode("utf-8", "replace")
    return f"{node.op_type} with post_transform {transform}"


def _last_node(graph: onnx.GraphProto, output: str) -> onnx.NodeProto | None:
    """Return the last operator that changes what an output's numbers mean."""
    producers = {name: node for node in graph.node for name in node.output}
    node = producers.get(output)
    for _ in graph.node:
        if node is None or not _passes(node):
            break
        node = producers.get(node.input[0])
    return node


def _regressor(graph: onnx.GraphProto, output: str) -> str:
    """Return the regressor of ai.onnx.ml whose numbers an output holds, combined or not."""
    producers = {name: node for node in graph.node for name in node.output}
    waiting, visited = [output], set()
    while waiting:
        name = waiting.pop()
        node = producers.get(name)
        if node is None or name in visited:
            continue
        visited.add(name)
        if node.op_type in REGRESSORS:
            return str(node.op_type)
        if node.op_type in _PASSING | _ELEMENTWISE | _COMBINING:
            waiting += node.input
    return ""


def _read_end(graph: onnx.GraphProto, node: onnx.NodeProto, size: int | None) -> GraphEnd:
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    operator = node.op_type
    if operator in {"Sigmoid", "HardSigmoid", "QLinearSigmoid"}:
        return _bounded(operator, size)
    if operator in {"Softmax", "QLinearSoftmax"} or _is_written_out_softmax(node, producers):
        if size == 1:
            return GraphEnd(
                operator, None, "It ends in a softmax over one number, which is always 1: the export is wrong."
            )
        return GraphEnd(
            operator, "probabilities", f"It ends in {operator}: the numbers are probabilities that add up to 1."
        )
    if operator in CLASSIFIERS:
        # A sigmoid for each of several classes; everything else is left to the proof.
        several = attribute(node, "post_transform", b"NONE") == b"LOGISTIC" and class_count(node) > 2
        kind: Reading | None = "multilabel-probabilities" if several and squashes(node) else None
        return GraphEnd(operator, kind, f"It ends in {_named(node)}.")
    if operator == "Log" and (inner := producers.get(node.input[0])) is not None and inner.op_type == "Softmax":
        operator = "LogSoftmax"
    if operator == "LogSoftmax":
        return GraphEnd(operator, "logits", "It ends in LogSoftmax: softmax of its numbers gives the probabilities.")
    if operator in _SELECTIONS:
        return GraphEnd(
            operator, None, f"It ends in {operator}, which gives chosen classes, not scores: export without it."
        )
    scaled = operator in _SCALED and any(name in constants for name in node.input)
    if operator in _LINEAR or scaled:
        kind = None if size is None else ("logit" if size == 1 else "logits")
        squash = "sigmoid" if size == 1 else "softmax"
        reason = f"It ends in {operator} with no sigmoid or softmax after it: {squash} follows in serving."
        return GraphEnd(operator, kind, reason, _factor(graph, node) if scaled else None)
    return GraphEnd(operator, None, f"It ends in {operator}, which leaves open whether the numbers are probabilities.")


def _passes(node: onnx.NodeProto) -> bool:
    """Whether an operator changes shape or type alone; a cast to whole numbers or truth values changes the numbers."""
    return node.op_type in _PASSING and (node.op_type != "Cast" or attribute(node, "to", 0) in FLOATS)


def _factor(graph: onnx.GraphProto, node: onnx.NodeProto) -> float | None:
    """Return the scalar that a last Mul or Div multiplies by."""
    for tensor in graph.initializer:
        if tensor.name in node.input and node.op_type in {"Mul", "Div"} and not tensor.external_data:
            values = numpy_helper.to_array(tensor)
            if values.size == 1 and float(values.reshape(())) != 0:
                value = float(values.reshape(()))
                return value if node.op_type == "Mul" else 1 / value
    return None


def _bounded(operator: str, size: int | None) -> GraphEnd:
    if size == 1:
        return GraphEnd(operator, "probability", f"It ends in {operator}: the number is a probability already.")
    if size is None:
        return GraphEnd(operator, None, f"It ends in {operator}: probabilities, but their number is unknown.")
    return GraphEnd(
        operator,
        "multilabel-probabilities",
        f"It ends in {operator} on {size} numbers: each is a probability for itself, of any number of labels.",
    )


def _is_written_out_softmax(node: onnx.NodeProto, producers: dict[str, onnx.NodeProto]) -> bool:
    """exp(x) / sum(exp(x)), as some exporters write it."""
    if node.op_type != "Div":
        return False
    above, below = (producers.get(name) for name in node.input)
    return above is not None and below is not None and above.op_type == "Exp" and below.op_type == "ReduceSum"
