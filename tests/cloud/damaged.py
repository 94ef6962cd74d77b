"""A copy of a model whose weights were changed: its card still fits its graph, its answers are wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnx

from localcloud.state import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

MODELS = PROJECT / "models"


def damaged_copy(model: str, name: str) -> Path:
    """Copy a model of ``models/`` to one of this name, with its largest tensor reversed; return its folder."""
    folder = MODELS / name
    shutil.copytree(MODELS / model, folder)
    card = json.loads((folder / "card.json").read_text())
    graph = onnx.load(folder / card["graph"])
    weights = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(np.flip(values).astype(values.dtype), weights.name))
    onnx.save(graph, folder / card["graph"])
    content = (folder / card["graph"]).read_bytes()
    card |= {"name": name}
    card["files"] = [{"path": card["graph"], "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}]
    (folder / "card.json").write_text(json.dumps(card))
    return folder
