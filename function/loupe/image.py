"""Bytes to an upright RGB (or grey) image, within limits that are checked before anything is decoded.

The format is detected from the content, never from the name or a header, and only its decoder is imported.
docs/api.md lists the memory of each format at the largest allowed size.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from loupe.decoders import Plan
from loupe.errors import ImageTooLarge, ImageUndecodable, Problem, UnsupportedMediaType
from loupe.formats import DEFAULT_FORMATS, FORMATS, declared_size, media_type_of, names_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loupe.card import InputSpec
    from loupe.decoders import DecodedImage

__all__ = ["Limits", "decode", "image_errors", "media_type_of"]

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# The longest side that a JPEG can have. Resizing a longer one would need memory for its side alone.
_MAX_SIDE = 65_535
# Smaller images may have any ratio: a plain drawing compresses to a few bytes.
_FREE_PIXELS = 1_000_000
_STRIP_PIXELS = 1 << 20
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Mean of red, green and blue, rounded to the nearest: Pillow adds 0.5 to what a matrix gives, and cuts.
_AVERAGE = (1 / 3, 1 / 3, 1 / 3, 0.0)

warnings.simplefilter("error", Image.DecompressionBombWarning)
# Broken metadata is common in photos and does not affect their pixels.
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")


class Limits(NamedTuple):
    """Upper bounds on one image, checked before it is decoded.

    Attributes
    ----------
    max_bytes
        Size of the file as sent.
    max_pixels
        Width x height as declared.
    max_pixels_per_byte
        Pixels that each byte of the file may stand for, in images of more than a million pixels. Photos have 2 to 30,
        a blank page as PNG 1000; only bombs have more.
    formats
        The accepted formats of `loupe.formats.FORMATS`.
    """

    max_bytes: int = 10 * 1024 * 1024
    max_pixels: int = 25_000_000
    max_pixels_per_byte: int = 2_000
    formats: tuple[str, ...] = DEFAULT_FORMATS


def decode(data: bytes, limits: Limits, spec: InputSpec) -> Image.Image:
    """Decode one image: first frame, upright by its EXIF orientation unless the card ignores it, alpha over white.

    Parameters
    ----------
    data
        The file's content.
    limits
        Bounds that are checked before decoding.
    spec
        The model input: its colour mode, and the smallest size for scaled JPEG decoding.

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
        raise UnsupportedMediaType(
            f"The content is not an image in a format that is read here: {names_of(limits.formats)}."
        )
    kind = media_type.removeprefix("image/")
    name = FORMATS[kind].name
    if kind not in limits.formats:
        raise UnsupportedMediaType(f"The image is a {name} file. Send it as {names_of(limits.formats)}.")
    with image_errors(name):
        return _decoded(data, kind, limits, spec)


@contextmanager
def image_errors(name: str) -> Iterator[None]:
    """Raise a client problem for any exception while an image is decoded or resized.

    Decoders raise exceptions that they do not document (struct.error, IndexError, SystemError); the file causes all of
    them. The type is logged and not returned to the client.
    """
    try:
        yield
    except Problem:
        raise
    except _BOMBS as error:
        cause = type(error).__name__
        raise ImageTooLarge("The image declares more pixels than are allowed. Scale it down.", cause=cause) from None
    except MemoryError as error:
        cause = type(error).__name__
        raise ImageTooLarge("The image needs more memory than there is. Scale it down.", cause=cause) from None
    except Exception as error:
        cause = type(error).__name__
        raise ImageUndecodable(f"The {name} data is damaged or cut off. Send the whole file.", cause=cause) from None


def _decoded(data: bytes, kind: str, limits: Limits, spec: InputSpec) -> Image.Image:
    declared = declared_size(data, f"image/{kind}")
    if declared:
        # Before the decoder is called: some allocate memory when they open a file.
        _check_size(declared, len(data), limits)

    def check(size: tuple[int, int]) -> None:
        _check_size(size, len(data), limits)
        # Memory was planned by the declared size, so the decoder's must not be larger.
        if declared and size[0] * size[1] > declared[0] * declared[1]:
            raise ImageUndecodable("The image's headers contradict each other about its size. Save it again.")

    decoder = import_module(FORMATS[kind].decoder)
    decoded: DecodedImage = decoder.decode(data, Plan(check, spec, limits.max_pixels))
    # One name from here on: the image of a step is freed when the next one exists.
    image, orientation, profile = decoded
    del decoded
    average = spec.color == "L" and spec.grey == "average"
    mode = "L" if spec.color == "L" and not average else "RGB"
    image = _flat(image, mode, profile if spec.icc == "srgb" else None)
    if average:
        image = image.convert("L", _AVERAGE)
    turn = _UPRIGHT.get(orientation) if spec.exif == "apply" else None
    return image if turn is None else image.transpose(turn)


def _check_size(size: tuple[int, int], length: int, limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageUndecodable("The image has no pixels.")
    if max(width, height) > _MAX_SIDE:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; a side may have {_MAX_SIDE:,} at most. Scale it down."
        )
    pixels = width * height
    if pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {limits.max_pixels:,} in all are allowed. Scale it down."
        )
    if pixels > _FREE_PIXELS and pixels > limits.max_pixels_per_byte * length:
        raise ImageTooLarge(
            f"The image claims {width} x {height} pixels in only {length:,} bytes, as decompression bombs do."
        )


def _flat(image: Image.Image, mode: str, profile: bytes | None) -> Image.Image:
    """Convert any Pillow mode to ``mode``: 16 bits to 8, alpha over white, colours to sRGB if there is a profile."""
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.mode == "P" and image.palette is None:
        raise ImageUndecodable("The image has a palette's indexes, but no palette.")
    if image.has_transparency_data:
        image = _over_white(image, "RGB" if profile else mode)
    if profile:
        from loupe.icc import to_srgb

        image = to_srgb(image, profile)
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to 8 bits by the upper byte, as Pillow does for colours; its conversion of grey clips."""
    import numpy as np

    values = np.asarray(image, "<u2")
    grey = np.ascontiguousarray(values.view(np.uint8)[:, 1::2])
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return Image.fromarray(grey)


def _over_white(image: Image.Image, mode: str) -> Image.Image:
    """Composite over white in strips: a whole RGBA image beside the result would double the memory."""
    flat = Image.new(mode, image.size, "white")
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        flat.paste(strip, (0, top), strip.getchannel("A"))
    return flat
