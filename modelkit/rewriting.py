"""Rewrite graphs for serving: maps to tensors, percent to probabilities, bound inputs, and a batch axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, numpy_helper

from modelkit.binding import bind_inputs
from modelkit.single_image import with_batch_axis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SQUASHED = frozenset({"Softmax", "Sigmoid"})
_PERCENT = 100.0


@dataclass(frozen=True)
class Rewriting:
    """``proto`` is the graph to serve, ``labels`` are those that it held, ``notes`` say what was changed."""

    proto: onnx.ModelProto
    labels: tuple[str, ...] | None
    notes: tuple[str, ...]


def served_form(proto: onnx.ModelProto, bindings: Mapping[str, str] | None = None) -> Rewriting:
    """Return the graph with maps (`ZipMap` of skl2onnx and Custom Vision) and percent outputs as plain tensors.

    ``bindings`` are the constants for further inputs (see `modelkit.binding`). A graph that needs no change is returned
    as it is; the given one is not changed.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    bound = bind_inputs(changed.graph, bindings or {})
    labels, notes = _without_maps(changed.graph)
    notes = [*bound, *with_batch_axis(changed), *notes]
    notes += _without_percent(changed.graph)
    return Rewriting(changed if notes else proto, labels, tuple(notes))


def _without_maps(graph: onnx.GraphProto) -> tuple[tuple[str, ...] | None, list[str]]:
    outputs = {value.name: value for value in graph.output}
    labels: tuple[str, ...] | None = None
    notes = []
    for node in graph.node:
        if node.op_type != "ZipMap" or node.output[0] not in outputs:
            continue
        names = _labels(node)
        if not names:
            # Multi-output classifiers: there is no map to one set of labels.
            continue
        labels = names
        sides = graph.input[0].type.tensor_type.shape.dim
        batch = (sides[0].dim_value or sides[0].dim_param or "batch") if sides else "batch"
        value = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [batch, len(labels)])
        outputs[node.output[0]].CopyFrom(value)
        node.CopyFrom(helper.make_node("Identity", list(node.input), list(node.output), name=node.name))
        notes.append(f"output {node.output[0]!r}, a sequence of maps (ZipMap), is served as a tensor of its values")
    return labels, notes


def _labels(node: onnx.NodeProto) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    for attribute in node.attribute:
        if attribute.name == "classlabels_strings":
            names = names or tuple(text.decode("utf-8", "replace") for text in attribute.strings)
        elif attribute.name == "classlabels_int64s":
            names = names or tuple(str(number) for number in attribute.ints)
    return names


def _without_percent(graph: onnx.GraphProto) -> list[str]:
    """Take a last multiplication by 100 off a softmax or sigmoid."""
    producers = {name: node for node in graph.node for name in node.output}
    notes = []
    for value in graph.output:
        node = producers.get(value.name)
        if node is None or node.op_type not in {"Mul", "Div"}:
            continue
        factors = [_constant(graph, producers, name) for name in node.input]
        needed = _PERCENT if node.op_type == "Mul" else 1 / _PERCENT
        for place, squashed in ((1, node.input[0]), (0, node.input[1])):
            factor, source = factors[place], producers.get(squashed)
            if node.op_type == "Div" and place == 0:
                continue
            if factor is None or abs(factor / needed - 1) > 1e-6 or source is None or source.op_type not in _SQUASHED:
                continue
            node.CopyFrom(helper.make_node("Identity", [squashed], list(node.output), name=node.name))
            notes.append(f"output {value.name!r}, percent ({source.op_type} x 100), is served as probabilities")
            break
    return notes


def _constant(graph: onnx.GraphProto, producers: dict[str, onnx.NodeProto], name: str) -> float | None:
    """Return a scalar constant by name."""
    tensors: Sequence[TensorProto] = [tensor for tensor in graph.initializer if tensor.name == name]
    node = producers.get(name)
    if node is not None and node.op_type == "Constant":
        tensors = [attribute.t for attribute in node.attribute if attribute.type == onnx.AttributeProto.TENSOR]
    for tensor in tensors:
        if tensor.data_location != TensorProto.EXTERNAL and (array := numpy_helper.to_array(tensor)).size == 1:
            return float(array.reshape(()))
    return None
