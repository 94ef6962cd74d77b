"""The photos, read exactly as the endpoint reads them.

Reading is `loupe.image.decode` and `loupe.tensor.fit`; normalising is `loupe.tensor`'s: one implementation for
training and serving. No torch here, so that the project's tests can hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from loupe.image import Limits, decode
from loupe.tensor import fit, to_tensor
from PIL import Image
from recipes import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from loupe.card import InputSpec

LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_pixels=100_000_000)


@dataclass(frozen=True)
class Photo:
    """A file and its class (0 curly, 1 straight)."""

    path: Path
    target: int


def list_photos(folder: Path) -> list[Photo]:
    """List ``folder/curly`` and ``folder/straight`` in an order that does not depend on the machine."""
    listed = [
        Photo(path, target)
        for target, label in enumerate(LABELS)
        for path in sorted((folder / label).iterdir(), key=lambda path: path.name)
        if not path.name.startswith(".")
    ]
    if not listed:
        raise SystemExit(f"{folder} holds no photos: it needs the folders {' and '.join(LABELS)}.")
    return listed


def canvas(data: bytes, spec: InputSpec, side: int) -> npt.NDArray[np.uint8]:
    """Decode and resize as the endpoint does, to ``(side, side, 3)``; larger than served leaves room to crop in."""
    spec = spec._replace(width=side, height=side)
    return np.asarray(fit(decode(data, LIMITS, spec), spec))


def normalized(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.float32]:
    """``(N, side, side, 3)`` pixels of the served size to ``(N, 3, side, side)``, by the endpoint's arithmetic."""
    return np.stack([to_tensor(Image.fromarray(item), spec) for item in pixels])


def served(data: bytes, spec: InputSpec) -> npt.NDArray[np.float32]:
    """The endpoint's own tensor ``(3, H, W)`` of a file's content: what every figure in the card is measured with."""
    return to_tensor(decode(data, LIMITS, spec), spec)


def canvases(items: Iterable[Photo], spec: InputSpec, side: int) -> npt.NDArray[np.uint8]:
    """Stack the photos, ``(N, side, side, 3)``."""
    return np.stack([canvas(item.path.read_bytes(), spec, side) for item in items])
