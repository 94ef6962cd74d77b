"""Augmented views of the photos, through the frozen blocks once, and kept.

A view's activations never change, so they are computed once and shared by all folds and both models. View 0 is the
photo as the endpoint serves it. View ``n`` of a photo is the same crop, in the same colours, for every model, so that a
teacher's answer to a view is a target for its student.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from augment import augmented
from backbone import Stem
from onnx_graph import exported, session
from photos import canvases, normalized
from recipes import CANVAS, SMALL, VIEW_SEED, VIEW_SIDE, VIEWS
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from photos import Photo
    from recipes import Recipe

_BATCH = 38


@dataclass(frozen=True)
class Photos:
    """The training photos: files, canvases ``(N, CANVAS, CANVAS, 3)`` and targets ``(N,)``."""

    items: Sequence[Photo]
    pixels: np.ndarray
    targets: np.ndarray


def read(items: Sequence[Photo]) -> Photos:
    """Read the training photos."""
    pixels = canvases(items, SMALL.spec, CANVAS)
    return Photos(items, pixels, np.array([item.target for item in items], np.float32))


def _view(pixels: np.ndarray, number: int, side: int) -> Iterator[np.ndarray]:
    """Batches of one augmented view, ``(n, side, side, 3)``; cut at one size for all models, then resized."""
    torch.manual_seed(VIEW_SEED + number)
    for start in range(0, len(pixels), _BATCH):
        batch = torch.from_numpy(pixels[start : start + _BATCH].transpose(0, 3, 1, 2).astype(np.float32) / 255)
        cut = augmented(batch, VIEW_SIDE)
        cut = interpolate(cut, side, mode="bilinear", antialias=True, align_corners=False)
        yield (cut.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def activations(photos: Photos, recipe: Recipe, path: Path) -> np.ndarray:
    """Return ``(VIEWS, N, C, h, w)`` float16 from ``path``, after computing there what is missing.

    A file beside it counts the finished views, so that an interrupted run goes on where it stopped.
    """
    run = session(exported(Stem(recipe), recipe.side))
    progress = path.with_suffix(".finished")
    finished = int(progress.read_text()) if progress.exists() and path.exists() else 0
    stored = np.load(path, mmap_mode="r+") if finished else None
    for number in range(finished, VIEWS):
        if number == 0:
            batches = iter([canvases(photos.items, recipe.spec, recipe.side)])
        else:
            batches = _view(photos.pixels, number, recipe.side)
        row = np.concatenate([_through(run, normalized(batch, recipe.spec)) for batch in batches])
        if stored is None:
            shape = (VIEWS, *row.shape)
            stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        stored[number] = row
        stored.flush()
        progress.write_text(str(number + 1))
        print(f"{recipe.name}: view {number + 1} of {VIEWS}", flush=True)
    if stored is None:
        raise ValueError("There are no views.")
    return stored


def _through(run: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray) -> np.ndarray:
    return np.concatenate([run(item[None]).astype(np.float16) for item in inputs])
