"""Weights stored as float16 and widened when the session is created: half the file, float32 arithmetic.

CPUs have no fast float16 arithmetic; a graph converted throughout would only gain casts between its layers. ONNX
Runtime folds these casts away at load, so that running costs what float32 costs.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from modelkit.errors import ModelkitError

_MIN_NUMBERS = 64


def float16_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its float32 weights as float16.

    Raises
    ------
    ModelkitError
        If a weight is beyond 65,504, float16's largest number.
    """
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = result.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _MIN_NUMBERS:
            continue
        wide = numpy_helper.to_array(tensor)
        if np.abs(wide).max() > np.finfo(np.float16).max:
            raise ModelkitError(f"Weight {tensor.name} is beyond what float16 holds (65,504).")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(wide.astype(np.float16), f"{name}_float16"))
        casts.append(helper.make_node("Cast", [f"{name}_float16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return result
