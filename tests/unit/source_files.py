"""Folders of a graph and the configuration files of a training library beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from loupe.card import parse_card
from loupe.tensor import to_tensor
from onnx import ModelProto, helper
from onnx_zoo import classifier, save
from PIL import Image

from modelkit.adding import Answers
from modelkit.input_fields import input_fields
from modelkit.inspection import inspect_file
from modelkit.sources import fill, read_sources

HERE = Path(__file__).parent / "preprocessing"
# Images of both orientations, whose pixels `images.texture` computes.
SIZES = {"wide": (301, 257), "tall": (199, 333)}
CONFIGS = {path.stem: path.read_text() for path in (HERE / "configs").glob("*.json")}


def graph(side: int | str, outputs: int = 2, metadata: dict[str, str] | None = None) -> ModelProto:
    model = classifier("Softmax", outputs=outputs, side=side)
    helper.set_model_props(model, metadata or {})
    return model


def folder_of(tmp_path: Path, files: dict[str, Any], model: ModelProto) -> Path:
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return save(model, tmp_path / "net.onnx")


def input_of(file: Path, folder: Path | None) -> dict[str, Any]:
    """The card's input, with every question answered by the sources."""
    inspection, answers, questions = inspect_file(file), Answers(), dict[str, str]()
    fill(answers, read_sources(folder, inspection), inspection)
    fields = input_fields(inspection, answers, questions)
    assert questions == {}
    return fields


def card_of(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "tiny", "version": "1.0.0", "files": [{"path": "model.onnx", "sha256": "0" * 64}], "input": fields,
        "output": {"name": "y", "kind": "logit", "labels": ["a", "b"]},
    }  # fmt: skip


def tensor(fields: dict[str, Any], pixels: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    return to_tensor(Image.fromarray(pixels), parse_card(card_of(fields), Path("tiny")).input)
