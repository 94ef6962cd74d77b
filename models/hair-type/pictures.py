"""The photos, read exactly as the endpoint reads them.

Reading is `loupe.image.decode` and `loupe.tensor.fit`; normalising is `loupe.tensor`'s: one implementation for
training and serving. No torch here, so that the project's tests can hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from loupe.card import InputSpec, Resize
from loupe.image import Limits, decode
from loupe.tensor import fit, to_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LABELS = ("curly", "straight")
SPEC = InputSpec(
    name="input",
    width=200,
    height=200,
    layout="NCHW",
    dtype="float32",
    color="RGB",
    resize=Resize(filter="bilinear", fit="stretch"),
    jpeg_draft=2,
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_pixels=100_000_000)


@dataclass(frozen=True)
class Photo:
    """A file and its class (0 curly, 1 straight)."""

    path: Path
    target: int


def photos(folder: Path) -> list[Photo]:
    """List ``folder/curly`` and ``folder/straight`` in an order that does not depend on the machine."""
    found = [
        Photo(path, target)
        for target, label in enumerate(LABELS)
        for path in sorted((folder / label).iterdir(), key=lambda path: path.name)
        if not path.name.startswith(".")
    ]
    if not found:
        raise SystemExit(f"{folder} holds no photos: it needs the folders {' and '.join(LABELS)}.")
    return found


def canvas(data: bytes, side: int = SPEC.width) -> npt.NDArray[np.uint8]:
    """Decode and resize as the endpoint does, to ``(side, side, 3)``; larger than served leaves room to crop in."""
    spec = SPEC._replace(width=side, height=side)
    return np.asarray(fit(decode(data, LIMITS, spec), spec))


def normalised(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """``(N, H, W, 3)`` pixels to ``(N, 3, H, W)``: the endpoint's arithmetic for a whole batch."""
    scaled = pixels.astype(np.float32) * np.float32(SPEC.scale)
    return ((scaled - np.float32(SPEC.mean)) / np.float32(SPEC.std)).transpose(0, 3, 1, 2)


def served(data: bytes, spec: InputSpec = SPEC) -> npt.NDArray[np.float32]:
    """The endpoint's own tensor ``(3, H, W)`` of a file's content: what every figure in the card is measured with."""
    return to_tensor(decode(data, LIMITS, spec), spec)


def canvases(items: Iterable[Photo], side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Stack the pictures ``(N, side, side, 3)`` and their targets ``(N,)``."""
    listed = list(items)
    pixels = np.stack([canvas(item.path.read_bytes(), side) for item in listed])
    return pixels, np.array([item.target for item in listed], np.float32)
