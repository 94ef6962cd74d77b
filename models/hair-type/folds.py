"""Cross-validation folds that keep near-duplicates together.

The same photo cropped, mirrored, recompressed or resized on both sides of a split makes a model look better than it
is. Two photos are near-duplicates if the DCT hashes (64 bits of the lowest frequencies) of one and of the other, or of
its mirror image, differ in few bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]

FOLDS = 5
MAX_DISTANCE = 8
_SIDE, _FREQUENCIES = 32, 8


def _dct_rows() -> npt.NDArray[np.float64]:
    """The lowest rows of the DCT-II matrix, ``(frequencies, side)``; the constant one is left out."""
    frequency, position = np.arange(1, _FREQUENCIES + 1)[:, None], np.arange(_SIDE)[None, :]
    return np.cos(math.pi * (2 * position + 1) * frequency / (2 * _SIDE))


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> Bits:
    """64 bits of an RGB image ``(H, W, 3)``: which low frequencies are above their median."""
    grey = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    rows = _dct_rows()
    spectrum = rows @ np.asarray(grey, np.float64) @ rows.T
    return np.asarray((spectrum > np.median(spectrum)).ravel())


def hash_pairs(images: Sequence[npt.NDArray[np.uint8]]) -> tuple[Bits, Bits]:
    """Hashes of the images and of their mirror images, each ``(N, 64)``."""
    plain = np.stack([perceptual_hash(image) for image in images])
    mirrored = np.stack([perceptual_hash(np.ascontiguousarray(image[:, ::-1])) for image in images])
    return plain, mirrored


def distances(left: Bits, right: Bits) -> Ints:
    """Hamming distances ``(len(left), len(right))``."""
    a, b = left.astype(np.int64), right.astype(np.int64)
    return np.asarray(a @ (1 - b).T + (1 - a) @ b.T)


def near_duplicates(first: tuple[Bits, Bits], second: tuple[Bits, Bits]) -> Bits:
    """Which images of the first set are near-duplicates of which of the second, ``(len(first), len(second))``."""
    return np.minimum(distances(first[0], second[0]), distances(first[0], second[1])) <= MAX_DISTANCE


def groups_of(similar: Bits) -> Ints:
    """Number the connected components of a symmetric relation ``(N, N)``; returns ``(N,)``."""
    group = np.full(len(similar), -1)
    for start in range(len(similar)):
        if group[start] >= 0:
            continue
        pending = [start]
        while pending:
            item = pending.pop()
            if group[item] < 0:
                group[item] = start
                pending += np.flatnonzero((similar[item] | similar[:, item]) & (group < 0)).tolist()
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def assign_folds(groups: Ints, targets: npt.NDArray[np.float32], seed: int, folds: int = FOLDS) -> Ints:
    """Spread groups over folds, the largest first, so that each fold holds the same share of each class; ``(N,)``."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((folds, 2))
    fold = np.empty(len(groups), np.int64)
    numbers, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(numbers))
    for index in order[np.argsort(-sizes[order], kind="stable")]:
        members = groups == numbers[index]
        classes = np.bincount(targets[members].astype(np.int64), minlength=2)
        chosen = int(np.argmin(counts[:, classes > 0].sum(axis=1)))
        counts[chosen] += classes
        fold[members] = chosen
    return fold
