"""Multiply-adds of a graph's convolutions and matrix products for one image."""

from __future__ import annotations

from math import prod

import onnx

Shapes = dict[str, tuple[int | None, ...]]


def shapes_for_one(proto: onnx.ModelProto) -> Shapes:
    """Infer the shape of every value for a batch of one; sides that stay unknown are None."""
    lean = onnx.ModelProto()
    lean.CopyFrom(proto)
    weights = {tensor.name for tensor in lean.graph.initializer}
    for value in lean.graph.input:
        if value.name not in weights and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    for output in lean.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        lean = onnx.shape_inference.infer_shapes(lean, data_prop=True)
    except onnx.shape_inference.InferenceError:
        lean = proto
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in lean.graph.initializer}
    for value in [*lean.graph.input, *lean.graph.value_info, *lean.graph.output]:
        if value.name not in shapes and value.type.tensor_type.HasField("shape"):
            shapes[value.name] = tuple(
                side.dim_value if side.HasField("dim_value") else None for side in value.type.tensor_type.shape.dim
            )
    return shapes


def multiply_adds(graph: onnx.GraphProto, shapes: Shapes) -> int | None:
    """Count the multiply-adds for one image; None if a shape that is needed is unknown."""
    total = 0
    for node in graph.node:
        cost = _cost(node, shapes)
        if cost is None:
            return None
        total += cost
    return total


def _cost(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    operator = node.op_type
    if operator == "MatMulNBits":
        attributes = {item.name: item.i for item in node.attribute}
        return int(attributes["K"]) * int(attributes["N"])
    if operator in {"Conv", "ConvInteger", "QLinearConv", "FusedConv"}:
        weight = shapes.get(node.input[3 if operator == "QLinearConv" else 1])
        return _times(shapes.get(node.output[0]), weight[1:] if weight else None)
    if operator == "ConvTranspose":
        weight = shapes.get(node.input[1])
        return _times(shapes.get(node.input[0]), weight[1:] if weight else None)
    if operator in {"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "FusedGemm"}:
        weight = shapes.get(node.input[3 if operator == "QLinearMatMul" else 1])
        transposed = operator == "Gemm" and any(item.name == "transB" and item.i for item in node.attribute)
        depth = None if not weight else weight[-1 if transposed or len(weight) == 1 else -2]
        return _times(shapes.get(node.output[0]), None if depth is None else (depth,))
    return 0


def _times(shape: tuple[int | None, ...] | None, other: tuple[int | None, ...] | None) -> int | None:
    if shape is None or other is None:
        return None
    sides = [side for side in (*shape, *other) if side is not None]
    return prod(sides) if len(sides) == len(shape) + len(other) else None
