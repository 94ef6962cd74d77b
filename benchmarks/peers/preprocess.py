"""The preprocessing that course notes and tutorials use: a full Pillow decode and float64 normalisation."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def side_of(session: Any) -> int:
    """Return the side of the model's square input, from the graph."""
    side: int = session.get_inputs()[0].shape[2]
    return side


def prepare(data: bytes, side: int) -> Any:
    """Return a (1, 3, side, side) float32 batch."""
    image = Image.open(BytesIO(data))
    if image.mode != "RGB":
        image = image.convert("RGB")
    image = image.resize((side, side), Image.Resampling.BILINEAR)
    pixels = np.array(image) / 255.0
    mean = np.array([0.485, 0.456, 0.406])
    std = np.array([0.229, 0.224, 0.225])
    normalised = (pixels - mean) / std
    return np.expand_dims(normalised.transpose(2, 0, 1), axis=0).astype(np.float32)
