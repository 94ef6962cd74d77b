"""The floor of a cold start: import the three libraries, create the session and run it once."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime as ort
import PIL.Image  # noqa: F401

session = ort.InferenceSession(os.environ["PEER_MODEL"], providers=["CPUExecutionProvider"])
node = session.get_inputs()[0]
session.run(None, {node.name: np.zeros((1, *node.shape[1:]), np.float32)})


def handler(event: object, context: object) -> dict[str, Any]:
    """Answer."""
    return {"ok": True}
