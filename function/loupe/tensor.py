"""An upright picture to the model's input, as its card says. Training imports this same code."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from loupe.image import image_errors

if TYPE_CHECKING:
    from loupe.card import InputSpec

Tensor = np.ndarray[Any, np.dtype[Any]]

# A whole picture that takes more than this when it is resized is not resized before a crop.
_WHOLE_BYTES = 16 << 20
_PIXEL_BYTES = 4
# Filter weights of both axes: 8 bytes, a support of 6 pixels (lanczos), for sides of 65,535 pixels at most.
_WEIGHTS_BYTES = 8 << 20


def resize_bytes(pixels: int, spec: InputSpec) -> int:
    """Return what `fit` may allocate beside its result, in bytes, for a picture of so many pixels.

    Pillow resizes one axis and then the other, in the order that takes less: (w, H) or (W, h), of which the smaller is
    at most the geometric mean of (w, h) and (W, H). 25 million pixels to 224 x 224 need 29 MB.
    """
    return _WHOLE_BYTES + _WEIGHTS_BYTES + _PIXEL_BYTES * math.isqrt(pixels * spec.width * spec.height)


def fit(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Resize, and crop or pad, to ``spec.width`` x ``spec.height``.

    Beside the result this allocates at most `resize_bytes`, whatever the picture's shape.
    """
    size, target = spec.resized(*image.size), (spec.width, spec.height)
    resampling = Image.Resampling[spec.resize.filter.upper()]
    # torchvision's CenterCrop rounds the same way; for pad the odd pixel goes to the right and bottom.
    left, top = (round((size[i] - target[i]) / 2) for i in (0, 1))
    if spec.resize.fit == "crop" and size[0] * size[1] * _PIXEL_BYTES > _WHOLE_BYTES:
        return _centre(image, size, (left, top, left + target[0], top + target[1]), resampling)
    if image.size != size:
        image = image.resize(size, resampling)
    if size == target:
        return image
    if spec.resize.fit == "crop":
        return image.crop((left, top, left + target[0], top + target[1]))
    red, green, blue = spec.resize.pad_color
    # Rec. 601 luma, as Pillow's own conversion to L.
    color: Any = (red, green, blue) if image.mode == "RGB" else (red * 299 + green * 587 + blue * 114) // 1000
    padded = Image.new(image.mode, target, color)
    padded.paste(image, ((target[0] - size[0]) // 2, (target[1] - size[1]) // 2))
    return padded


def _centre(
    image: Image.Image, size: tuple[int, int], region: tuple[int, int, int, int], resampling: Image.Resampling
) -> Image.Image:
    """Return ``region`` of ``image`` as resized to ``size``, computing only that.

    The filter's centres and weights are those of the whole, so the pixels are too, within rounding. Pictures whose
    resized whole is small do not come here, as there even rounding is to be that of training, which has the whole.
    """
    across, down = image.width / size[0], image.height / size[1]
    left, top, right, bottom = region
    # No further than the picture, where the last digit of a product would be.
    box = (left * across, top * down, min(right * across, image.width), min(bottom * down, image.height))
    return image.resize((right - left, bottom - top), resampling, box)


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

    Raises
    ------
    loupe.errors.ImageTooLarge, loupe.errors.ImageUndecodable
        If there is no memory for it, or Pillow cannot resize the picture.
    """
    with image_errors("picture"):
        return _tensor(image, spec)


def _tensor(image: Image.Image, spec: InputSpec) -> Tensor:
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
