"""What a graph ends in, and so how its numbers are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from onnx import numpy_helper

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
_CLASSIFIERS = frozenset({"LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"})
_CHOOSING = frozenset({"ArgMax", "ArgMin", "TopK", "Hardmax", "ZipMap", "NonMaxSuppression"})


@dataclass(frozen=True)
class GraphEnd:
    """``kind`` is None where the graph does not tell; ``reason`` says why in a sentence.

    ``factor`` is the constant by which the number is multiplied last, where there is one.
    """

    operator: str
    kind: Reading | None
    reason: str
    factor: float | None = None


def graph_end(graph: onnx.GraphProto, output: str, size: int | None) -> GraphEnd:
    """Say what an output holds.

    Parameters
    ----------
    size
        Numbers that the output has for each image, None if unknown.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    node = producers.get(output)
    while node is not None and node.op_type in _PASSING:
        node = producers.get(node.input[0])
    if node is None:
        return GraphEnd("", None, "No operator makes this output.")
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
    if operator == "Normalizer" and _attribute(node, "norm", "MAX") == "L1":
        # skl2onnx: scikit-learn divides the scores of one classifier for each label, or the votes, by their sum.
        kind: Reading | None = "probabilities" if size != 1 else None
        return GraphEnd(operator, kind, "It ends in Normalizer (L1): the numbers are shares that add up to 1.")
    if operator in _CLASSIFIERS:
        transform = _attribute(node, "post_transform", "NONE")
        squashed = transform in {"SOFTMAX", "LOGISTIC"} and size != 1
        return GraphEnd(
            operator, "probabilities" if squashed else None, f"It ends in {operator} with post_transform {transform}."
        )
    if operator == "Log" and (inner := producers.get(node.input[0])) is not None and inner.op_type == "Softmax":
        operator = "LogSoftmax"
    if operator == "LogSoftmax":
        return GraphEnd(operator, "logits", "It ends in LogSoftmax: softmax of its numbers gives the probabilities.")
    if operator in _CHOOSING:
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


def _attribute(node: onnx.NodeProto, name: str, default: str) -> str:
    return next((item.s.decode("utf-8", "replace") for item in node.attribute if item.name == name), default)


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
