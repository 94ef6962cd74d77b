"""Bilinear resizing without antialiasing: each pixel between the four nearest of the source, however small the result.

`cv2.INTER_LINEAR`, `tf.image.resize` (antialias=False) and torchvision on tensors with antialias=False do this, with
pixel centres at half coordinates. Pillow has no such filter, so this is imported only by cards that ask for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]

# Source pixels and result values that are held as arrays at once.
_BLOCK_PIXELS = 1 << 19


def resize_bilinear(
    image: Image.Image, size: tuple[int, int], region: tuple[int, int, int, int] | None = None
) -> Image.Image:
    """Resize to ``size`` and return ``region`` (left, top, right, bottom) of the result, computing only that.

    Values are interpolated in float32 and rounded to the nearest. Beside the result this takes at most about 16 MiB:
    the source is read in blocks of rows.

    Examples
    --------
    >>> ramp = Image.frombytes("L", (4, 1), bytes([0, 10, 20, 200]))
    >>> list(resize_bilinear(ramp, (2, 1)).tobytes())
    [5, 110]
    """
    left, top, right, bottom = region or (0, 0, *size)
    columns, right_columns, across = _taps(image.width, size[0], left, right)
    rows, lower_rows, down = _taps(image.height, size[1], top, bottom)
    channels = len(image.getbands())
    out = np.empty((bottom - top, right - left, channels), np.uint8)
    weights = across[None, :, None]
    start = 0
    while start < len(rows):
        stop = _block_end(start, rows, lower_rows, image.width, (right - left) * channels)
        first, last = int(rows[start]), int(lower_rows[stop - 1]) + 1
        block = np.asarray(image.crop((0, first, image.width, last))).reshape(last - first, image.width, channels)
        upper, lower = (
            _interpolate_rows(block, index[:, None] - first, columns, right_columns, weights)
            for index in (rows[start:stop], lower_rows[start:stop])
        )
        lower -= upper
        lower *= down[start:stop, None, None]
        upper += lower
        out[start:stop] = np.rint(upper, out=upper)
        start = stop
    return Image.fromarray(out[:, :, 0] if channels == 1 else out)


def _taps(full: int, resized: int, first: int, end: int) -> tuple[Array, Array, Array]:
    """Return both source indexes of each result pixel and the weight of the second; the edge is repeated."""
    centers = np.clip((np.arange(first, end) + 0.5) * (full / resized) - 0.5, 0, full - 1)
    before = np.floor(centers).astype(np.intp)
    return before, np.minimum(before + 1, full - 1), (centers - before).astype(np.float32)


def _block_end(start: int, rows: Array, lower_rows: Array, width: int, row_values: int) -> int:
    """Return the end of a run of result rows that reads and makes no more than a block, one row at least."""
    most_rows = max(1, _BLOCK_PIXELS // row_values)
    most_source_rows = max(2, _BLOCK_PIXELS // width)
    end = int(np.searchsorted(lower_rows, rows[start] + most_source_rows))
    return max(start + 1, min(end, start + most_rows, len(rows)))


def _interpolate_rows(block: Array, rows: Array, columns: Array, right_columns: Array, weights: Array) -> Array:
    # Both indexes at once: whole rows of a wide image, repeated, would take more than the result.
    first = block[rows, columns].astype(np.float32)
    second = block[rows, right_columns].astype(np.float32)
    second -= first
    second *= weights
    first += second
    return first
