"""Inputs of the benchmarks: images that compress like photos, and a model of the course's architecture.

Both are generated from fixed seeds, so that a run needs no other data. Latency does not depend on weights.
"""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

MEGAPIXELS = {1: (1155, 866), 12: (4000, 3000)}
# The course's preprocessing: 200 x 200, ImageNet's mean and deviation.
COURSE_INPUT = {
    "name": "input",
    "width": 200,
    "height": 200,
    "resize": {"filter": "bilinear", "fit": "stretch"},
    "jpeg_draft": 2,
    "scale": "1/255",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def photo(width: int, height: int, *, quality: int = 88, seed: int = 7) -> bytes:
    """Return a JPEG of noise in octaves: about 0.25 bytes per pixel, like a camera's."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(3, 9):
        small = random.normal(0, 1, (max(2, height >> (9 - octave)), max(2, width >> (9 - octave)), 3))
        scaled = [
            np.asarray(Image.fromarray(small[..., channel].astype(np.float32)).resize((width, height)))
            for channel in range(3)
        ]
        total += np.stack(scaled, axis=-1) * (0.5 ** (octave - 3))
    total += random.normal(0, 0.03, total.shape)
    pixels = np.clip(128 + 70 * total, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def course_model(folder: Path) -> Path:
    """Write a model folder with the course's architecture (80 MB, external data, random weights) and return it.

    Conv 3x3 (3 -> 32), ReLU, MaxPool 2, Gemm 313632 -> 64, ReLU, Gemm 64 -> 1 (ML Zoomcamp 2025, homework 8).
    """
    target = folder / "course-like"
    if (target / "card.json").is_file():
        return target
    target.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    weights = {
        "conv.w": random.normal(0, 0.1, (32, 3, 3, 3)),
        "conv.b": np.zeros(32),
        "fc1.w": random.normal(0, 0.002, (64, 32 * 99 * 99)),
        "fc1.b": np.zeros(64),
        "fc2.w": random.normal(0, 0.1, (1, 64)),
        "fc2.b": np.zeros(1),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "conv.w", "conv.b"], ["c"], kernel_shape=[3, 3]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["m"], ["f"]),
            helper.make_node("Gemm", ["f", "fc1.w", "fc1.b"], ["g"], transB=1),
            helper.make_node("Relu", ["g"], ["h"]),
            helper.make_node("Gemm", ["h", "fc2.w", "fc2.b"], ["output"], transB=1),
        ],
        "course",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 200, 200])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, target / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    files = [
        {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in sorted(target.glob("model.onnx*"))
    ]
    card = {
        "name": "course-like",
        "version": "1.0.0",
        "graph": "model.onnx",
        "files": files,
        "input": COURSE_INPUT,
        "output": {"name": "output", "kind": "logit", "labels": ["curly", "straight"]},
    }
    (target / "card.json").write_text(json.dumps(card, indent=2))
    return target
