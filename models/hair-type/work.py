"""Where intermediate results are kept, under names that hold a digest of all that made them."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
# What activations depend on besides photos and recipe, and what trained weights depend on.
ACTIVATIONS = ("augment.py", "backbone.py", "onnx_graph.py", "photos.py", "views.py")
TRAINING = (*ACTIVATIONS, "crossval.py", "folds.py", "learn.py")


def _code(name: str) -> str:
    """A source as it is parsed, without imports: its layout does not matter."""
    tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    return ast.unparse(tree)


@dataclass(frozen=True)
class Work:
    """A folder, and the digest of the photos."""

    folder: Path
    photos: str

    def path(self, name: str, made_by: list[Any], sources: tuple[str, ...] = TRAINING) -> Path:
        """Return where a result belongs that ``made_by``, the photos, the code and torch determine."""
        text = json.dumps([self.photos, torch.__version__, [_code(source) for source in sources], made_by])
        stem, _, suffix = name.rpartition(".")
        return self.folder / f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.{suffix}"
