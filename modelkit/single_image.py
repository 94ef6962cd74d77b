"""Graphs whose input has no batch axis, ``[C, H, W]`` or ``[H, W, C]``: a batch axis of 1 is added at `add`.

Serving then runs one image at a time, as for every graph of a fixed batch size, so batch requests are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from modelkit.graph import graphs

if TYPE_CHECKING:
    import onnx

# Squeeze and Unsqueeze take their axes as an input from this opset on, as an attribute before.
_AXES_INPUT_OPSET = 13
_AXES = "modelkit_batch_axis"


def lacks_batch_axis(shape: tuple[int | None, ...]) -> bool:
    """Whether three axes are one image with its colours; None is an open side.

    ``[1, H, W]`` is a batch of one grey image as well, and is read as that. An open first side is the batch.
    """
    if len(shape) != 3 or None in (shape[0], shape[2]):
        return False
    return 3 in (shape[0], shape[2]) or (shape[2] == 1 and shape[0] != 1)


def with_batch_axis(proto: onnx.ModelProto) -> list[str]:
    """Add a batch axis of 1 to the only input, and to outputs without one; return notes of what was changed."""
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or not inputs[0].type.tensor_type.HasField("shape"):
        return []
    sides = inputs[0].type.tensor_type.shape.dim
    if not lacks_batch_axis(tuple(side.dim_value or None for side in sides)):
        return []
    opset = next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), _AXES_INPUT_OPSET)
    name = inputs[0].name
    inner = f"{name}_image"
    _rename(graph, name, inner)
    first, last = [_reshape("Squeeze", name, inner, opset)], []
    _prepend_side(inputs[0])
    notes = [f"input {name!r} takes one image; a batch axis of 1 is added, and images are run one at a time"]
    for value in graph.output:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not kind.HasField("shape") or len(kind.shape.dim) > 1:
            continue
        inner = f"{value.name}_image"
        _rename(graph, value.name, inner)
        last.append(_reshape("Unsqueeze", inner, value.name, opset))
        _prepend_side(value)
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)
    if opset >= _AXES_INPUT_OPSET:
        graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), _AXES))
    return notes


def _reshape(operator: str, source: str, target: str, opset: int) -> onnx.NodeProto:
    if opset >= _AXES_INPUT_OPSET:
        return helper.make_node(operator, [source, _AXES], [target])
    return helper.make_node(operator, [source], [target], axes=[0])


def _prepend_side(value: onnx.ValueInfoProto) -> None:
    shape = value.type.tensor_type.shape
    sides = [type(side)() for side in shape.dim]
    for copy, side in zip(sides, shape.dim, strict=True):
        copy.CopyFrom(side)
    del shape.dim[:]
    shape.dim.add().dim_value = 1
    shape.dim.extend(sides)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for part in graphs(graph):
        for node in part.node:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == old:
                        names[place] = new
