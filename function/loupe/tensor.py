"""Convert an upright image to the model's input as defined by its card. Training imports the same code."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from loupe.image import image_errors
from loupe.input_spec import INTEGER_DTYPES

if TYPE_CHECKING:
    from loupe.card import InputSpec

Tensor = np.ndarray[Any, np.dtype[Any]]

# An image whose resized whole takes more than this is cropped and resized in one step.
_WHOLE_BYTES = 16 << 20
_PIXEL_BYTES = 4
_INTEGERS = frozenset(INTEGER_DTYPES)
# Filter weights of both axes: 8 bytes, a support of 6 pixels (lanczos), for sides of 65,535 pixels at most.
_WEIGHTS_BYTES = 8 << 20


def resize_bytes(pixels: int, spec: InputSpec) -> int:
    """Return the bytes that `fit` may allocate beside its result, for an image of this many pixels.

    Pillow resizes one axis and then the other, in the order that takes less: (w, H) or (W, h), of which the smaller is
    at most the geometric mean of (w, h) and (W, H). 25 million pixels to 224 x 224 need 29 MB. A resized whole that is
    cropped afterwards, and `loupe.bilinear`, take less than `_WHOLE_BYTES`. A centre that is cut out first is a copy of
    at most the image.
    """
    cut = _PIXEL_BYTES * pixels if spec.resize.crop_first else 0
    return cut + _WHOLE_BYTES + _WEIGHTS_BYTES + _PIXEL_BYTES * math.isqrt(pixels * spec.width * spec.height)


def fit(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Resize, and crop or pad, to ``spec.width`` x ``spec.height``.

    This allocates at most `resize_bytes` beside the result, for any shape.
    """
    if spec.resize.crop_first:
        image = image.crop(_region(image.size, spec.cut(*image.size), spec.resize.crop_offset))
        return fit(image, spec._replace(resize=spec.resize._replace(fit="stretch", crop_first=False)))
    size, target = spec.resized(*image.size), (spec.width, spec.height)
    resampling = Image.Resampling[spec.resize.filter.upper()]
    if spec.resize.fit == "crop":
        region = _region(size, target, spec.resize.crop_offset)
        if not spec.resize.antialias and image.size != size:
            return _interpolated(image, size, region)
        if image.size != size and _whole_bytes(image.size, size) > _WHOLE_BYTES:
            return _centre(image, size, region, resampling)
    else:
        region = (0, 0, *size)
    if image.size != size:
        image = image.resize(size, resampling) if spec.resize.antialias else _interpolated(image, size, region)
    if size == target:
        return image
    if spec.resize.fit == "crop":
        return image.crop(region)
    red, green, blue = spec.resize.pad_color
    # Rec. 601 luma, as Pillow's own conversion to L.
    color: Any = (red, green, blue) if image.mode == "RGB" else _grey(red, green, blue, spec)
    padded = Image.new(image.mode, target, color)
    # The odd pixel of padding goes to the right and bottom.
    middle = ((target[0] - size[0]) // 2, (target[1] - size[1]) // 2)
    padded.paste(image, middle if spec.resize.align == "center" else (0, 0))
    return padded


def _region(size: tuple[int, int], target: tuple[int, int], offset: str) -> tuple[int, int, int, int]:
    """Return the centre of ``size`` as left, top, right, bottom.

    ``round`` is torchvision's CenterCrop, which rounds half to even; ``floor`` is that of transformers' NumPy
    processors, Albumentations and Keras.
    """
    across, down = size[0] - target[0], size[1] - target[1]
    left, top = (across // 2, down // 2) if offset == "floor" else (round(across / 2), round(down / 2))
    return left, top, left + target[0], top + target[1]


def _whole_bytes(full: tuple[int, int], size: tuple[int, int]) -> int:
    """Bytes of the resized whole and of Pillow's image between both axes."""
    between = min(size[0] * full[1], full[0] * size[1])
    return (size[0] * size[1] + between) * _PIXEL_BYTES


def _interpolated(image: Image.Image, size: tuple[int, int], region: tuple[int, int, int, int]) -> Image.Image:
    from loupe.bilinear import resize_bilinear

    return resize_bilinear(image, size, region)


def _grey(red: int, green: int, blue: int, spec: InputSpec) -> int:
    if spec.grey == "average":
        return round((red + green + blue) / 3)
    return (red * 299 + green * 587 + blue * 114) // 1000


def _centre(
    image: Image.Image, size: tuple[int, int], region: tuple[int, int, int, int], resampling: Image.Resampling
) -> Image.Image:
    """Return ``region`` of ``image`` as resized to ``size``, computing only that.

    The filter's centres and weights are those of the whole, so the pixels are equal within rounding. Images whose
    resized whole is small are resized whole instead, so that rounding equals that of training.
    """
    across, down = image.width / size[0], image.height / size[1]
    left, top, right, bottom = region
    # Rounding of the product must not exceed the image.
    box = (left * across, top * down, min(right * across, image.width), min(bottom * down, image.height))
    return image.resize((right - left, bottom - top), resampling, box)


def to_tensor(image: Image.Image, spec: InputSpec) -> Tensor:
    """Turn an image into one item of the input batch.

    Parameters
    ----------
    image
        Mode ``RGB`` (``L`` for grey models), any size.

    Returns
    -------
    numpy.ndarray
        ``(C, H, W)``, ``(H, W, C)`` or ``(H, W)`` by the card's layout, or that flattened, contiguous. Values are
        ``(pixel * scale - mean) / std``, computed in float32 (float64 for that dtype) as one multiply and one add, and
        cast to the card's dtype.

    Raises
    ------
    loupe.errors.ImageTooLarge, loupe.errors.ImageUndecodable
        If memory is insufficient, or Pillow cannot resize the image.
    """
    with image_errors("image"):
        return _tensor(image, spec)


def _tensor(image: Image.Image, spec: InputSpec) -> Tensor:
    return from_pixels(np.asarray(fit(image, spec)), spec)


def to_pixels(image: Image.Image, spec: InputSpec) -> Tensor:
    """Return the input's size of an image, ``(H, W, 3)`` uint8 in RGB or ``(H, W)``; raises as `to_tensor`."""
    with image_errors("picture"):
        return np.asarray(fit(image, spec))


def from_pixels(pixels: Tensor, spec: InputSpec) -> Tensor:
    """Turn pixels of the input's size, ``(H, W, 3)`` uint8 in RGB or ``(H, W)``, into one item; see `to_tensor`."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if spec.color == "BGR":
        pixels = pixels[:, :, ::-1]
    if spec.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    if spec.dtype in _INTEGERS:
        return np.ascontiguousarray(pixels, spec.dtype).reshape(spec.shape)
    factor, offset = _affine(spec)
    tensor = np.empty(pixels.shape, factor.dtype)
    np.multiply(pixels, factor, out=tensor)
    np.add(tensor, offset, out=tensor)
    return np.asarray(tensor, spec.dtype).reshape(spec.shape)


@lru_cache(maxsize=8)
def _affine(spec: InputSpec) -> tuple[Tensor, Tensor]:
    """Factor and offset of the normalisation, shaped to broadcast over the layout."""
    std = np.asarray(spec.std, np.float64)
    kind = np.float64 if spec.dtype == "float64" else np.float32
    shape = (-1, 1, 1) if spec.layout == "NCHW" else (1, 1, -1)
    factor, offset = spec.scale / std, -np.asarray(spec.mean, np.float64) / std
    return factor.astype(kind).reshape(shape), offset.astype(kind).reshape(shape)
