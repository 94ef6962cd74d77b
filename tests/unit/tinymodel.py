"""A model small enough to make in a test: mean colour -> one logit, red (1) against blue (0)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

SIDE = 20


def graph(
    shape: tuple[Any, ...] = ("batch", 3, SIDE, SIDE),
    *,
    outputs: int = 1,
    dtype: int = TensorProto.FLOAT,
    input_name: str = "input",
    output_name: str = "output",
    weight: float = 4.0,
    extra_input: bool = False,
) -> bytes:
    """Serialized graph. ``shape`` is NCHW or NHWC, told by where the 3 stands; ``weight`` NaN breaks its outputs."""
    nodes, name = [], input_name
    if dtype != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT))
        name = "floats"
    if shape[1] not in (1, 3):
        nodes.append(helper.make_node("Transpose", [name], ["first"], perm=[0, 3, 1, 2]))
        name = "first"
    channels = shape[1] if shape[1] in (1, 3) else shape[3]
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], [output_name]),
    ]
    weights = [weight if i == 0 else -weight if i == 2 else 0.0 for i in range(channels) for _ in range(outputs)]
    declared = [helper.make_tensor_value_info(input_name, dtype, shape)]
    if extra_input:
        declared.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            declared,
            [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [shape[0], outputs])],
            [
                helper.make_tensor("w", TensorProto.FLOAT, [channels, outputs], weights),
                helper.make_tensor("b", TensorProto.FLOAT, [outputs], [0.0] * outputs),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    data: bytes = model.SerializeToString()
    return data


def card(name: str = "tiny", data: bytes = b"", **changes: Any) -> dict[str, Any]:
    """Card for `graph`, as JSON; ``input`` and ``output`` in ``changes`` are merged, other keys replaced."""
    raw: dict[str, Any] = {
        "name": name,
        "version": "1.0.0",
        "graph": "model.onnx",
        "files": [{"path": "model.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data) or 1}],
        "input": {"name": "input", "width": SIDE, "height": SIDE, "scale": "1/255"},
        "output": {"name": "output", "kind": "logit", "labels": ["blue", "red"]},
    }
    for key, value in changes.items():
        raw[key] = {**raw[key], **value} if key in ("input", "output") and isinstance(value, dict) else value
    return raw


def write_model(directory: Path, data: bytes | None = None, **changes: Any) -> Path:
    """Make the folder of a model and return it; ``changes`` as in `card`."""
    data = graph() if data is None else data
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(data)
    (directory / "card.json").write_text(json.dumps(card(directory.name, data, **changes)))
    return directory
