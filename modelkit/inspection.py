"""Inspect an ONNX file: inputs, outputs, size, cost, and the kind of each output."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import onnx

from modelkit.compute import Shapes, multiply_adds, shapes_for_one
from modelkit.graph import ExternalFile, external_files, graphs, load_graph, tensor_bytes
from modelkit.graph_end import GraphEnd, graph_end
from modelkit.rewriting import served_form
from modelkit.runtime_limits import obstacle_to_loading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Side = int | str
# Channels that a fixed axis may have: grey, colour, and those that no image has (rejected by number).
_MAX_CHANNELS = 4
# Names of the channel axis in exports of Hugging Face, Keras and others.
_CHANNEL_NAME = re.compile(r"chann|^ch$|^c$")


@dataclass(frozen=True)
class Tensor:
    """An input or output: ``shape`` holds a number for a fixed side and a name for one that is chosen at run time."""

    name: str
    dtype: str
    shape: tuple[Side, ...]

    @property
    def dynamic(self) -> tuple[int, ...]:
        """Return the axes that are chosen at run time."""
        return tuple(axis for axis, side in enumerate(self.shape) if isinstance(side, str))


@dataclass(frozen=True)
class ImageInput:
    """The input as an image. Properties that the graph leaves open are None; ``reason`` explains the layout."""

    layout: Literal["NCHW", "NHWC", "NHW"] | None
    channels: int | None
    width: int | None
    height: int | None
    reason: str


NO_IMAGE_INPUT = ImageInput(None, None, None, None, "There is not one input but several.")


@dataclass(frozen=True)
class Inspection:
    """The result of an inspection; `to_json` for programs. Sizes are bytes, ``multiply_adds`` are for one image."""

    path: Path
    graph_bytes: int
    ir_version: int
    opsets: dict[str, int]
    producer: str
    metadata: dict[str, str]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    parameters: int
    external: tuple[ExternalFile, ...]
    ends: dict[str, GraphEnd]
    sizes: dict[str, int | None]
    image: ImageInput | None
    multiply_adds: int | None
    obstacle: str | None = None
    labels: tuple[str, ...] | None = None
    rewritten: tuple[str, ...] = ()

    @property
    def load_bytes(self) -> int:
        """Bytes that are read when the model is loaded."""
        return self.graph_bytes + sum(file.needed_bytes for file in self.external)

    @property
    def missing(self) -> tuple[ExternalFile, ...]:
        """Return the external files that are not whole."""
        return tuple(file for file in self.external if file.state != "whole")

    def to_json(self) -> dict[str, Any]:
        """Return the whole as JSON's types."""
        value = asdict(self)
        value["path"] = str(self.path)
        value["load_bytes"] = self.load_bytes
        value["external"] = [asdict(file) | {"state": file.state} for file in self.external]
        return value


def inspect_file(path: Path, bindings: Mapping[str, str] | None = None) -> Inspection:
    """Read a graph, with or without its weights.

    Raises
    ------
    modelkit.errors.ModelkitError
        If it is not an ONNX file.
    """
    rewriting = served_form(load_graph(path), bindings)
    proto = rewriting.proto
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_tensor(value) for value in graph.input if value.name not in weights)
    outputs = tuple(_tensor(value) for value in graph.output)
    shapes = shapes_for_one(proto)
    sizes = {output.name: _size(output, shapes) for output in outputs}
    return Inspection(
        path=path,
        graph_bytes=path.stat().st_size,
        ir_version=proto.ir_version,
        opsets={item.domain or "ai.onnx": item.version for item in proto.opset_import},
        producer=" ".join(item for item in (proto.producer_name, proto.producer_version) if item),
        metadata={item.key: item.value for item in proto.metadata_props},
        inputs=inputs,
        outputs=outputs,
        operators=dict(Counter(node.op_type for item in graphs(graph) for node in item.node).most_common()),
        parameters=sum(_parameters(tensor) for item in graphs(graph) for tensor in item.initializer),
        external=external_files(proto, path.parent),
        ends={
            output.name: graph_end(graph, output.name, sizes[output.name], proto.producer_name) for output in outputs
        },
        sizes=sizes,
        image=_image_input(inputs[0], graph, shapes) if len(inputs) == 1 else None,
        multiply_adds=multiply_adds(graph, shapes),
        obstacle=obstacle_to_loading(proto),
        labels=rewriting.labels,
        rewritten=rewriting.notes,
    )


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return Tensor(value.name, str(value.type.WhichOneof("value")), ())
    if not kind.HasField("shape"):
        # No shape at all is read as four open sides: the first operator or an answer says the rest.
        return Tensor(value.name, _dtype(kind.elem_type), tuple(f"axis{axis}" for axis in range(4)))
    sides: list[Side] = [
        side.dim_value if side.HasField("dim_value") else side.dim_param or f"axis{axis}"
        for axis, side in enumerate(kind.shape.dim)
    ]
    return Tensor(value.name, _dtype(kind.elem_type), tuple(sides))


def _dtype(number: int) -> str:
    name = str(onnx.TensorProto.DataType.Name(number)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _size(output: Tensor, shapes: Shapes) -> int | None:
    """Numbers for each image: declared, or inferred where the file declares too little."""
    declared = [side for side in output.shape[1:] if isinstance(side, int)]
    if output.shape and len(declared) == len(output.shape) - 1:
        return prod(declared)
    inferred = shapes.get(output.name)
    if not inferred or any(side is None for side in inferred[1:]):
        return None
    return prod(side for side in inferred[1:] if side is not None)


def _parameters(tensor: onnx.TensorProto) -> int:
    """Weights in a tensor. Integers of a graph's own bookkeeping (shapes, axes) are none."""
    if tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32) or not tensor_bytes(tensor):
        return 0
    return prod(tensor.dims)


def _without_channels(value: Tensor) -> ImageInput:
    first, second, last = (side if isinstance(side, int) else None for side in value.shape)
    if 3 in (first, last) or (last == 1 and first != 1):
        reason = "The input has three axes, one of them for colours, so none for the batch: export it with four."
        return ImageInput(None, None, None, None, reason)
    return ImageInput(
        "NHW", 1, last, second, "The input has three axes: a batch of grey images without a channel axis."
    )


def _image_input(value: Tensor, graph: onnx.GraphProto, shapes: Shapes) -> ImageInput:
    if len(value.shape) == 2:
        return ImageInput(None, None, None, None, f"The input is flattened: {value.shape[1]} numbers for each image.")
    if len(value.shape) == 3:
        return _without_channels(value)
    if len(value.shape) != 4:
        return ImageInput(None, None, None, None, f"The input has {len(value.shape)} axes; an image's batch has four.")
    _, second, third, last = (side if isinstance(side, int) else None for side in value.shape)
    first_is_channel, last_is_channel = (
        isinstance(side, int) and 1 <= side <= _MAX_CHANNELS for side in (second, last)
    )
    if first_is_channel and not last_is_channel:
        return ImageInput(
            "NCHW", second, last, third, f"Axis 1 has {second} channel(s): channels first, as PyTorch has them."
        )
    if last_is_channel and not first_is_channel:
        return ImageInput(
            "NHWC", last, third, second, f"Axis 3 has {last} channel(s): channels last, as TensorFlow has them."
        )
    names = [str(side).lower() for side in value.shape]
    if _CHANNEL_NAME.search(names[1]) or (names[2:] == ["height", "width"]):
        return ImageInput("NCHW", second, last, third, f"Axis 1 is named {value.shape[1]!r}: channels first.")
    if _CHANNEL_NAME.search(names[3]) or (names[1:3] == ["height", "width"]):
        return ImageInput("NHWC", last, third, second, f"Axis 3 is named {value.shape[3]!r}: channels last.")
    for node in graph.node:
        if node.op_type == "Conv" and node.input[0] == value.name:
            channels = (shapes.get(node.input[1]) or (None, None))[1]
            return ImageInput(
                "NCHW", channels, last, third, f"The first convolution reads it as {channels} channel(s) first."
            )
    return ImageInput(None, None, None, None, f"Neither axis 1 ({value.shape[1]}) nor axis 3 ({value.shape[3]}) tells.")
