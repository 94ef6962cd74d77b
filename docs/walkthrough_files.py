"""Files of the walk-through for those who do not have the course's: the same architecture with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

PHOTO = "yf_dokzqy3vcritme8ggnzqlvwa.jpeg"


def stand_in(folder: Path) -> Path:
    """Make the course's graph with random weights, the same graph without them, and a photo of noise; 80 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    weights = {
        "conv": random.normal(0, 0.2, (32, 3, 3, 3)),
        "wide": random.normal(0, 0.002, (64, 32 * 99 * 99)),
        "last": random.normal(0, 0.2, (1, 64)),
    }
    nodes = [
        helper.make_node("Conv", ["input", "conv"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "wide"], ["w"], transB=1),
        helper.make_node("Relu", ["w"], ["h"]),
        helper.make_node("Gemm", ["h", "last"], ["output"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 200, 200])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    for name in ("hair_classifier_v1.onnx", "hair_classifier_hw8.onnx"):
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.save(proto, folder / name, save_as_external_data=True, location=f"{name}.data")
    (folder / "hair_classifier_v1.onnx.data").unlink()
    pixels = random.integers(0, 256, (1024, 1024, 3), np.uint8)
    Image.fromarray(pixels).save(folder / PHOTO)
    return folder
