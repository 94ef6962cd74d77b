"""Bytes to an upright RGB (or grey) picture, within limits that are checked before anything is decoded.

Formats are told by content, never by name or header, and only the decoder that is needed is imported.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from loupe.errors import ImageTooLarge, ImageUndecodable, UnsupportedMediaType

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from loupe.card import InputSpec

DECODERS = {
    "image/jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "image/png": ("PIL.PngImagePlugin", "PngImageFile"),
    "image/webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
}
FORMAT_NAMES = "JPEG, PNG or WebP"

# What Pillow's plugins raise on files that are broken (Image.open catches the first four itself).
_BROKEN = (
    SyntaxError,
    IndexError,
    TypeError,
    struct.error,
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    OverflowError,
    zlib.error,
)
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class Limits:
    """Upper bounds on one picture: ``max_bytes`` as sent, ``max_pixels`` (width x height) as declared."""

    max_bytes: int = 10 * 1024 * 1024
    max_pixels: int = 25_000_000


def media_type_of(data: bytes) -> str | None:
    """Return the media type that the first bytes show, or None if it is none that can be served."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def decode(data: bytes, limits: Limits, spec: InputSpec) -> Image.Image:
    """Decode one picture: first frame, upright by its EXIF orientation, alpha laid over white.

    Parameters
    ----------
    data
        The file's content.
    limits
        Bounds that are checked before decoding.
    spec
        The input that the picture is for: its colours, and the size that scaled JPEG decoding may go down to.

    Returns
    -------
    PIL.Image.Image
        Mode ``RGB``, or ``L`` where the model takes grey.

    Raises
    ------
    ImageTooLarge, UnsupportedMediaType, ImageUndecodable
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"The image has {len(data):,} bytes; at most {limits.max_bytes:,} are allowed. Send a smaller one."
        )
    if not data:
        raise ImageUndecodable("The image is empty: no bytes arrived. Send the file's content.")
    media_type = media_type_of(data)
    if media_type is None:
        raise UnsupportedMediaType(f"The content is not a picture in a format that is read here: {FORMAT_NAMES}.")
    image = _open(data, media_type)
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {limits.max_pixels:,} in all are allowed. Scale it down."
        )
    if width < 1 or height < 1:
        raise ImageUndecodable("The image has no pixels.")
    try:
        orientation = _orientation(image) if media_type == "image/jpeg" else 1
        if spec.jpeg_draft and media_type == "image/jpeg":
            _draft(image, spec, swapped=orientation in _SIDES_SWAPPED)
        image.load()
        if media_type != "image/jpeg":
            orientation = _orientation(image)
        flat = _flatten(image, "L" if spec.color == "L" else "RGB")
    except MemoryError:
        raise ImageTooLarge("The image needs more memory than there is. Scale it down.") from None
    except _BROKEN:
        raise ImageUndecodable(
            f"The {media_type.removeprefix('image/').upper()} data is damaged or cut off. Send the whole file."
        ) from None
    turn = _UPRIGHT.get(orientation)
    return flat if turn is None else flat.transpose(turn)


def _open(data: bytes, media_type: str) -> ImageFile:
    module, name = DECODERS[media_type]
    try:
        image: ImageFile = getattr(import_module(module), name)(BytesIO(data))
    except _BROKEN:
        raise ImageUndecodable(
            f"The content begins like {media_type.removeprefix('image/').upper()}, but its header is damaged or cut off."
        ) from None
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. A broken EXIF block does not make a picture unreadable."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _draft(image: ImageFile, spec: InputSpec, *, swapped: bool) -> None:
    """Let libjpeg decode at 1/2, 1/4 or 1/8 where no side falls below ``jpeg_draft`` times what the resize needs."""
    upright = (image.height, image.width) if swapped else image.size
    width, height = spec.resized(*upright)
    least = (height, width) if swapped else (width, height)
    image.draft(None, (max(1, round(least[0] * spec.jpeg_draft)), max(1, round(least[1] * spec.jpeg_draft))))


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    """Any of Pillow's modes to ``mode``, alpha over white, 16 bits to 8."""
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        flat = Image.new("RGB", image.size, (255, 255, 255))
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey (I;16, or I with 16 bits in it) to L by its upper byte; Pillow's own conversion would clip."""
    import numpy as np

    values = np.asarray(image)
    return Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))
