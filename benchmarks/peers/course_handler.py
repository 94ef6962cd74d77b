"""Peer (a): a Lambda handler as in the course: default session, full decode, float64 normalisation."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import onnxruntime as ort
from preprocess import prepare, side_of

session = ort.InferenceSession(os.environ["PEER_MODEL"], providers=["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name
side = side_of(session)
output_name = session.get_outputs()[0].name


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer ``{"image": base64}``."""
    batch = prepare(base64.b64decode(event["image"]), side)
    result = session.run([output_name], {input_name: batch})
    return {"prediction": float(result[0][0][0])}
