"""A model's graph made ready for the quantizers: weights inside, constants folded, a recent opset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import version_converter

from modelkit.errors import ModelkitError
from modelkit.graph import load_graph, load_whole
from modelkit.optimizing import optimized

if TYPE_CHECKING:
    from loupe.card import Card

# QuantizeLinear and DequantizeLinear take one scale for each channel from opset 13 on.
_MIN_OPSET = 17
# Initializers stand for themselves, apart from the inputs, from IR version 4 on; 8 goes with opset 17.
_MIN_IR = 8
_QUANTIZED = frozenset(
    {"DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "MatMulNBits", "QLinearConv", "QLinearMatMul"}
)


def prepared(card: Card) -> onnx.ModelProto:
    """Return the graph of a float model with batch normalisation and constants folded in.

    Raises
    ------
    ModelkitError
        If it is quantized already, or too old or too large to be.
    """
    quantized = sorted({node.op_type for node in load_graph(card.graph_path).graph.node} & _QUANTIZED)
    if quantized:
        raise ModelkitError(f"{card.name} is quantized already ({', '.join(quantized)}): start from its float model.")
    proto = load_whole(card.graph_path)
    opset = next(item.version for item in proto.opset_import if item.domain in ("", "ai.onnx"))
    if opset < _MIN_OPSET:
        try:
            proto = version_converter.convert_version(proto, _MIN_OPSET)
        except (RuntimeError, ValueError) as error:
            raise ModelkitError(
                f"{card.name} has opset {opset}, and cannot be brought to {_MIN_OPSET} ({error}): export it again "
                f"with opset {_MIN_OPSET} or later."
            ) from None
    proto.ir_version = max(proto.ir_version, _MIN_IR)
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    return optimized(proto, "basic")


def initializers(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the weights by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the weights that no node and no output reads any more."""
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    used_tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(used_tensors)


def layers(graph: onnx.GraphProto, least: int) -> list[onnx.NodeProto]:
    """Return the Gemm and MatMul nodes whose weight is a constant matrix of at least ``least`` numbers."""
    weights = initializers(graph)
    matches = []
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type in {"Gemm", "MatMul"} else None
        if weight is None or len(weight.dims) != 2 or weight.data_type != onnx.TensorProto.FLOAT:
            continue
        if weight.dims[0] * weight.dims[1] >= least and _is_plain(node):
            matches.append(node)
    return matches


def _is_plain(node: onnx.NodeProto) -> bool:
    """A Gemm that only multiplies and adds: alpha and beta 1, input not transposed."""
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    return not attributes.get("transA") and attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0
