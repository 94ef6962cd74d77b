"""Proofs from a graph alone that an output holds probabilities: nothing is negative, and each row adds up to 1.

Exports of scikit-learn (skl2onnx) seldom end in a softmax: forests add leaf shares, nearest neighbours count votes,
naive Bayes subtracts a log-sum-exp, calibrated classifiers average. What is not proved is asked, never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto, numpy_helper

from modelkit.classifiers import CLASSIFIERS, attribute, classifier_total, squashes

if TYPE_CHECKING:
    from collections.abc import Callable

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
_PASS_THROUGH = frozenset({"Identity", "Dropout"})
# Operators that choose or move numbers and change none of them.
_MOVING = frozenset(
    {"ArrayFeatureExtractor", "Cast", "Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
_SQUASHING = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
_NEVER_NEGATIVE = _SQUASHING | {"Abs", "Exp", "ReduceL1", "ReduceL2", "ReduceSumSquare", "Relu", "Softplus"}
_KEEPS_SIGN = frozenset({"Add", "Concat", "Div", "Max", "Mean", "Mul", "ReduceMax", "ReduceMean", "ReduceSum",
                         "Reciprocal", "Sum"})  # fmt: skip
_TRUTHS = frozenset({"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"})
_TOLERANCE = 1e-4
# Deeper graphs are left unproved, so that no file can exhaust the stack.
_DEPTH = 60
_MAX_CONSTANT = 1 << 16


class Proof:
    """Properties of a graph's values that can be proved; ``size`` is the length of the output's rows."""

    def __init__(self, graph: onnx.GraphProto, size: int | None) -> None:
        self._size = size
        self._producers = {name: node for node in graph.node for name in node.output}
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._results: dict[tuple[str, str], Any] = {}
        self._depth = 0

    def probabilities(self, name: str) -> bool:
        """Return whether every row of a value is a distribution."""
        total = self.row_total(name)
        return total is not None and abs(total - 1) < _TOLERANCE and self.not_negative(name)

    def row_total(self, name: str) -> float | None:
        """Return the sum of every row (last axis), where it is always the same."""
        total: float | None = self._once("total", name, self._row_total)
        return total

    def not_negative(self, name: str) -> bool:
        """Return whether no number of a value can be negative."""
        return bool(self._once("sign", name, self._not_negative))

    def at_most_one(self, name: str) -> bool:
        """Return whether every number of a value is from 0 to 1."""
        return bool(self._once("unit", name, self._at_most_one))

    def is_constant(self, name: str) -> bool:
        """Return whether a value is part of the graph, however large."""
        node = self._producers.get(name)
        return name in self._tensors or (node is not None and node.op_type == "Constant")

    def _once(self, question: str, name: str, answer: Callable[[str], Any]) -> Any:
        key = (question, name)
        if key not in self._results:
            self._results[key] = None
            if self._depth < _DEPTH:
                self._depth += 1
                self._results[key] = answer(name)
                self._depth -= 1
        return self._results[key]

    def _row_total(self, name: str) -> float | None:
        node = self._producers.get(name)
        if node is None:
            return None
        operator, inputs = node.op_type, list(node.input)
        if operator in CLASSIFIERS:
            return classifier_total(node) if name == node.output[1] else None
        if operator == "Softmax" or (operator == "Normalizer" and attribute(node, "norm", b"MAX") == b"L1"):
            rows = operator == "Normalizer" or attribute(node, "axis", -1) in (-1, 1)
            return 1.0 if rows and (operator == "Softmax" or self.not_negative(inputs[0])) else None
        if operator in _PASS_THROUGH or (operator == "Cast" and attribute(node, "to", 0) in FLOATS):
            return self.row_total(inputs[0])
        if operator == "Reshape":
            target = self._values(inputs[1])
            return self.row_total(inputs[0]) if target and target[-1] == self._size else None
        if operator in {"Add", "Sum", "Mean"}:
            totals = [self.row_total(value) for value in inputs]
            known_totals = [total for total in totals if total is not None]
            share = len(totals) if operator == "Mean" else 1
            return sum(known_totals) / share if len(known_totals) == len(totals) else None
        if operator == "Exp":
            return 1.0 if self._is_log_probability(inputs[0]) else None
        if operator == "Concat":
            return self._joined_total(node)
        if operator == "ReduceMean" and self._axes(node) == [0]:
            return self.row_total(inputs[0])
        return self._scaled_total(node) if operator in {"Mul", "Div"} else None

    def _joined_total(self, node: onnx.NodeProto) -> float | None:
        """Batches one after another, or the pair of 1 - p and p."""
        inputs = list(node.input)
        if attribute(node, "axis", 0) == 0:
            totals = {self.row_total(value) for value in inputs}
            return totals.pop() if len(totals) == 1 else None
        pair = len(inputs) == 2 and self._size == 2
        return 1.0 if pair and any(self._is_rest(*order) for order in (inputs, inputs[::-1])) else None

    def _scaled_total(self, node: onnx.NodeProto) -> float | None:
        first, second = node.input
        if node.op_type == "Div" and self._is_sum(second, first):
            return 1.0
        total, factor = self.row_total(first), self._number(second)
        if node.op_type == "Mul" and total is None:
            total, factor = self.row_total(second), self._number(first)
        if total is None or not factor:
            return None
        return total * factor if node.op_type == "Mul" else total / factor

    def _not_negative(self, name: str) -> bool:
        if (values := self._values(name)) is not None:
            return bool(values) and min(values) >= 0
        node = self._producers.get(name)
        if node is None:
            return False
        operator, inputs = node.op_type, list(node.input)
        if operator in CLASSIFIERS:
            return name == node.output[1] and (squashes(node) or classifier_total(node) is not None)
        if operator in _TRUTHS or operator in _NEVER_NEGATIVE:
            return True
        if operator == "Cast" and attribute(node, "to", 0) == TensorProto.BOOL:
            return True
        if operator in _PASS_THROUGH or operator in _MOVING or operator == "Normalizer":
            return self.not_negative(inputs[0])
        if operator == "Sub":
            return self._number(inputs[0]) == 1 and self.at_most_one(inputs[1])
        if operator in {"ReduceMean", "ReduceSum", "ReduceMax"}:
            return self.not_negative(inputs[0])
        return operator in _KEEPS_SIGN and all(self.not_negative(value) for value in inputs)

    def _at_most_one(self, name: str) -> bool:
        node = self._producers.get(name)
        if node is None:
            return False
        operator, inputs = node.op_type, list(node.input)
        if operator in _SQUASHING or self.probabilities(name):
            return True
        if operator in CLASSIFIERS:
            return name == node.output[1] and squashes(node)
        if operator in _PASS_THROUGH or operator in _MOVING or operator == "ReduceMean":
            return self.at_most_one(inputs[0])
        if operator == "Concat":
            return all(self.at_most_one(value) for value in inputs)
        if operator == "Sub":
            return self._number(inputs[0]) == 1 and self.at_most_one(inputs[1])
        if operator == "Div":
            return self._number(inputs[0]) == 1 and self._exceeds_one(inputs[1])
        return operator == "Reciprocal" and self._exceeds_one(inputs[0])

    def _exceeds_one(self, name: str) -> bool:
        """1 + x with x that is never negative: the denominator of a sigmoid that is written out."""
        node = self._producers.get(name)
        if node is None or node.op_type != "Add":
            return False
        first, second = node.input
        return any(
            self._number(one) == 1 and self.not_negative(other) for one, other in ((first, second), (second, first))
        )

    def _is_rest(self, rest: str, value: str) -> bool:
        node = self._producers.get(rest)
        whole = node is not None and node.op_type == "Sub" and node.input[1] == value
        return whole and node is not None and self._number(node.input[0]) == 1 and self.at_most_one(value)

    def _is_log_probability(self, name: str) -> bool:
        """LogSoftmax, or x - logsumexp(x)."""
        node = self._producers.get(name)
        if node is None or node.op_type not in {"LogSoftmax", "Sub"}:
            return False
        if node.op_type == "LogSoftmax":
            return attribute(node, "axis", -1) in (-1, 1)
        total = self._behind_shape(node.input[1])
        return (
            total is not None
            and total.op_type == "ReduceLogSumExp"
            and total.input[0] == node.input[0]
            and self._axes(total) in ([1], [-1])
        )

    def _is_sum(self, name: str, summed: str) -> bool:
        """Whether a value is the sum of the rows of another one that is never negative."""
        if not self.not_negative(summed):
            return False
        total = self._behind_shape(name)
        if total is None:
            return False
        if total.op_type == "ReduceSum":
            return total.input[0] == summed and self._axes(total) in ([1], [-1])
        # skl2onnx adds 1 to every number of a row that is all 0, and their count to its sum.
        parts, whole = self._producers.get(summed), total
        if parts is None or {parts.op_type, whole.op_type} != {"Add"}:
            return False
        scaled = self._producers.get(whole.input[1])
        masked = scaled is not None and scaled.op_type == "Mul" and scaled.input[0] == parts.input[1]
        counted = masked and scaled is not None and self._number(scaled.input[1]) == self._size
        return counted and self._is_sum(whole.input[0], parts.input[0])

    def _behind_shape(self, name: str) -> onnx.NodeProto | None:
        node = self._producers.get(name)
        for _ in range(_DEPTH):
            if node is None or node.op_type not in {"Reshape", "Identity", "Unsqueeze", "Squeeze"}:
                return node
            node = self._producers.get(node.input[0])
        return None

    def _axes(self, node: onnx.NodeProto) -> list[int] | None:
        if len(node.input) > 1:
            values = self._values(node.input[1])
            return None if values is None else [int(value) for value in values]
        return list(attribute(node, "axes", []))

    def _values(self, name: str) -> list[float] | None:
        """Return a constant's numbers; None if it is not a constant, is text, or is large."""
        tensor = self._tensors.get(name)
        node = self._producers.get(name)
        if tensor is None and node is not None and node.op_type == "Constant":
            tensor = next((item.t for item in node.attribute if item.type == onnx.AttributeProto.TENSOR), None)
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
            return None
        if sum(tensor.dims) > _MAX_CONSTANT:
            return None
        array = numpy_helper.to_array(tensor)
        return None if array.size > _MAX_CONSTANT else [float(value) for value in array.reshape(-1)]

    def _number(self, name: str) -> float | None:
        values = self._values(name)
        return values[0] if values is not None and len(values) == 1 else None
