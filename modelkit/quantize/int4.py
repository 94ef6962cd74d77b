"""Fully connected layers with 4-bit weights, in blocks, each with its own scale and zero point.

The arithmetic is that of ONNX Runtime's operator MatMulNBits (com.microsoft): ``weight = (code - zero_point) * scale``,
codes 0 to 15, two in a byte, the lower one first; blocks lie along the inputs of a layer. The library's own quantizer
takes MatMul nodes only, needs two more packages, and leaves Gemm alone, which is what PyTorch exports.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from modelkit.quantize.prepare import drop_unused, initializers, layers

# 4: the operator may compute with 8-bit activations, for which CPUs are fast.
ACCURACY_LEVEL = 4
# Smaller layers save next to nothing and are often the sensitive last one.
MIN_WEIGHTS = 8192
_TOP = 15


def quantize_blocks(
    weight: npt.NDArray[np.float32], block: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Quantize a layer's weights, round to nearest, asymmetric.

    Parameters
    ----------
    weight
        ``(outputs, inputs)``.
    block
        Inputs that share a scale.

    Returns
    -------
    tuple
        Codes ``(outputs, blocks, block / 2)``, scales ``(outputs, blocks)`` and zero points
        ``(outputs, ceil(blocks / 2))``, packed as MatMulNBits reads them.
    """
    outputs, inputs = weight.shape
    count = -(-inputs // block)
    padded = np.zeros((outputs, count * block), np.float32)
    padded[:, :inputs] = weight
    blocks = padded.reshape(outputs, count, block)
    # Zero is always among the values, so that padding and dead weights stay exactly zero.
    low, high = np.minimum(blocks.min(axis=2), 0), np.maximum(blocks.max(axis=2), 0)
    scales = ((high - low) / _TOP).astype(np.float32)
    scales[scales == 0] = 1
    zeros = np.clip(np.rint(-low / scales), 0, _TOP)
    codes = np.clip(np.rint(blocks / scales[:, :, None] + zeros[:, :, None]), 0, _TOP).astype(np.uint8)
    return _pack(codes), scales, _pack(zeros.astype(np.uint8))


def _pack(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Two 4-bit codes in a byte, along the last axis, the first one in the lower half."""
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros((*codes.shape[:-1], 1), np.uint8)], axis=-1)
    return np.asarray(codes[..., 0::2] | (codes[..., 1::2] << 4), np.uint8)


def int4_weights(proto: onnx.ModelProto, block: int) -> onnx.ModelProto:
    """Return the model with its large Gemm and MatMul layers in 4 bits."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = result.graph
    # A layer with fewer inputs than a block would be padded to more bytes than it has now.
    chosen = {node.output[0] for node in layers(graph, MIN_WEIGHTS) if _inputs(graph, node) >= block}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes += _replaced(graph, node, block) if node.output[0] in chosen else [node]
    copies = list(nodes)
    del graph.node[:]
    graph.node.extend(copies)
    drop_unused(graph)
    if "com.microsoft" not in {item.domain for item in result.opset_import}:
        result.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return result


def _inputs(graph: onnx.GraphProto, node: onnx.NodeProto) -> int:
    sides = initializers(graph)[node.input[1]].dims
    return int(sides[1] if _transposed(node) else sides[0])


def _transposed(node: onnx.NodeProto) -> bool:
    return any(item.name == "transB" and item.i for item in node.attribute)


def _replaced(graph: onnx.GraphProto, node: onnx.NodeProto, block: int) -> list[onnx.NodeProto]:
    weights = initializers(graph)
    weight = numpy_helper.to_array(weights[node.input[1]])
    matrix = np.ascontiguousarray(weight if _transposed(node) else weight.T, np.float32)
    outputs, inputs = matrix.shape
    packed: tuple[npt.NDArray[Any], ...] = quantize_blocks(matrix, block)
    names = [f"{node.input[1]}_{part}" for part in ("int4", "scales", "zero_points")]
    present = weights.keys()
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for value, name in zip(packed, names, strict=True) if name not in present
    )
    bias = node.input[2] if len(node.input) > 2 else ""
    fused = bool(bias) and bias in weights and list(weights[bias].dims) == [outputs]
    product = node.output[0] if fused or not bias else f"{node.output[0]}_product"
    new = helper.make_node(
        "MatMulNBits",
        [node.input[0], *names, *(["", bias] if fused else [])],
        [product],
        name=node.name,
        domain="com.microsoft",
        K=inputs,
        N=outputs,
        bits=4,
        block_size=block,
        accuracy_level=ACCURACY_LEVEL,
    )
    if fused or not bias:
        return [new]
    return [new, helper.make_node("Add", [product, bias], [node.output[0]])]
