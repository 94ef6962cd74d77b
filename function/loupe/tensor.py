"""An upright picture to the model's input, as its card says. Training imports this same code."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from loupe.card import InputSpec

Tensor = np.ndarray[Any, np.dtype[Any]]


def fit(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Resize, and crop or pad, to ``spec.width`` x ``spec.height``."""
    size = spec.resized(*image.size)
    if image.size != size:
        image = image.resize(size, Image.Resampling[spec.resize.filter.upper()])
    target = (spec.width, spec.height)
    if size == target:
        return image
    # torchvision's CenterCrop rounds the same way; for pad the odd pixel goes to the right and bottom.
    left, top = (round((size[i] - target[i]) / 2) for i in (0, 1))
    if spec.resize.fit == "crop":
        return image.crop((left, top, left + target[0], top + target[1]))
    red, green, blue = spec.resize.pad_color
    # Rec. 601 luma, as Pillow's own conversion to L.
    color: Any = (red, green, blue) if image.mode == "RGB" else (red * 299 + green * 587 + blue * 114) // 1000
    padded = Image.new(image.mode, target, color)
    padded.paste(image, ((target[0] - size[0]) // 2, (target[1] - size[1]) // 2))
    return padded


def to_tensor(image: Image.Image, spec: InputSpec) -> Tensor:
    """Turn a picture into one item of the input batch.

    Parameters
    ----------
    image
        Mode ``RGB`` (``L`` for grey models), any size.

    Returns
    -------
    numpy.ndarray
        ``(C, H, W)`` or ``(H, W, C)`` by the card's layout, contiguous, of the card's dtype. Values are
        ``(pixel * scale - mean) / std``, computed in float32 as one multiply and one add.
    """
    pixels = np.asarray(fit(image, spec))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if spec.color == "BGR":
        pixels = pixels[:, :, ::-1]
    if spec.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    if spec.dtype == "uint8":
        return np.ascontiguousarray(pixels)
    factor, offset = _affine(spec)
    tensor = np.empty(pixels.shape, np.float32)
    np.multiply(pixels, factor, out=tensor)
    np.add(tensor, offset, out=tensor)
    return tensor if spec.dtype == "float32" else tensor.astype(np.float16)


@lru_cache(maxsize=8)
def _affine(spec: InputSpec) -> tuple[Tensor, Tensor]:
    """Factor and offset of the normalisation, shaped to broadcast over the layout."""
    std = np.asarray(spec.std, np.float64)
    factor = np.float32(spec.scale / std)
    offset = np.float32(-np.asarray(spec.mean, np.float64) / std)
    shape = (-1, 1, 1) if spec.layout == "NCHW" else (1, 1, -1)
    return factor.reshape(shape), offset.reshape(shape)
