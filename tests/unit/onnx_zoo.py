"""Classifiers of every shape that people bring, small and made in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 16
# Colours that the zoo's classifiers tell apart, one for each label.
COLORS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}


def classifier(
    end: str | None = None,
    *,
    outputs: int = 1,
    channels: int = 3,
    layout: str = "NCHW",
    dtype: int = TensorProto.FLOAT,
    batch: Any = "batch",
    side: Any = SIDE,
    spatial: bool = False,
    hidden: int = 64,
    opset: int = 17,
    gain: float = 4.0,
) -> onnx.ModelProto:
    """Convolution, pooling and two fully connected layers that follow the colour channels.

    ``end`` is an operator put after the last layer (Sigmoid, Softmax, LogSoftmax, ArgMax) or None. With one output the
    number rises with the last channel, with several each output rises with the channel of its index.
    """
    random = np.random.default_rng(7)
    shape = [batch, channels, side, side] if layout == "NCHW" else [batch, side, side, channels]
    nodes, value = [], "image"
    if dtype != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [value], ["floats"], to=TensorProto.FLOAT))
        value = "floats"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [value], ["first"], perm=[0, 3, 1, 2]))
        value = "first"
    identity = np.zeros((channels, channels, 3, 3), np.float32)
    identity[range(channels), range(channels), 1, 1] = 1
    up = np.concatenate([np.eye(channels), random.normal(0, 0.02, (channels, hidden - channels))], 1).astype(np.float32)
    down = random.normal(0, 0.002, (hidden, outputs)).astype(np.float32)
    for channel in range(channels):
        for output in range(outputs):
            rises = output == channel if outputs > 1 else channel == channels - 1
            down[channel, output] = gain if rises else -gain / 2
    nodes += [
        helper.make_node("Conv", [value, "conv"], ["mixed"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["mixed"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "up", "up_bias"], ["wide"]),
        helper.make_node("Gemm", ["wide", "down", "down_bias"], ["numbers" if end or spatial else "scores"]),
    ]
    weights = {
        "conv": identity,
        "up": up,
        "up_bias": np.zeros(hidden, np.float32),
        "down": down,
        "down_bias": np.full(outputs, 0.01, np.float32),
    }
    out_type, out_shape = TensorProto.FLOAT, [batch, outputs]
    if spatial:
        weights["shape"] = np.array([-1, outputs, 1, 1], np.int64)
        nodes.append(helper.make_node("Reshape", ["numbers", "shape"], ["scores"]))
        out_shape = [batch, outputs, 1, 1]
    elif end == "ArgMax":
        nodes.append(helper.make_node("ArgMax", ["numbers"], ["scores"], axis=1))
        out_type, out_shape = TensorProto.INT64, [batch, 1]
    elif end:
        nodes.append(helper.make_node(end, ["numbers"], ["scores"]))
    return helper.make_model(
        helper.make_graph(
            nodes,
            "zoo",
            [helper.make_tensor_value_info("image", dtype, shape)],
            [helper.make_tensor_value_info("scores", out_type, out_shape)],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )


def save(proto: onnx.ModelProto, path: Path, *, external: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    if external:
        onnx.save(copy, path, save_as_external_data=True, location=external, size_threshold=64)
    else:
        onnx.save(copy, path)
    return path


def write_image(folder: Path, label: str, number: int = 0, side: int = 40) -> Path:
    """A noisy image in the label's colour."""
    random = np.random.default_rng(number)
    pixels = np.full((side, side + 8, 3), COLORS[label]) + random.normal(0, 25, (side, side + 8, 3))
    path = folder / label / f"{label}-{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def write_images(folder: Path, labels: tuple[str, ...], count: int) -> Path:
    for label in labels:
        for number in range(count):
            write_image(folder, label, number)
    return folder
