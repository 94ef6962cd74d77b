"""Bytes to an upright RGB (or grey) picture, within limits that are checked before anything is decoded.

Formats are told by content, never by name or header, and only the decoder that is needed is imported.
docs/api.md has the memory that each format needs at the largest allowed size.
"""

from __future__ import annotations

import struct
import warnings
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, cast

from PIL import Image

from loupe.errors import ImageTooLarge, ImageUndecodable, UnsupportedMediaType
from loupe.formats import DECODERS, FORMAT_NAMES, declared_size, has_more_scans, media_type_of, only_scan

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    from loupe.card import InputSpec

__all__ = ["DECODERS", "FORMAT_NAMES", "Limits", "decode", "media_type_of"]

# What Pillow's decoders raise on broken files: those that tests/unit/test_corpus.py and longer fuzzing have shown.
_BROKEN = (SyntaxError, OSError, ValueError, OverflowError)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# Smaller pictures may be as empty as they like: a plain drawing compresses to a few bytes.
_FREE_PIXELS = 1_000_000
_MAX_SCANS = 100
# Pillow reads headers in Python, some bytes at a time. Ordinary files need some hundreds of reads.
_MAX_READS = 100_000
_STRIP_PIXELS = 1 << 20
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

warnings.simplefilter("error", Image.DecompressionBombWarning)
# Broken metadata is common in photos and does not concern their pixels.
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")


class Limits(NamedTuple):
    """Upper bounds on one picture, checked before it is decoded.

    Attributes
    ----------
    max_bytes
        Size of the file as sent.
    max_pixels
        Width x height as declared.
    max_pixels_per_byte
        Pixels that each byte of the file may stand for, in pictures of more than a million pixels. Photos have 2 to 30,
        a blank page as PNG 1000; only bombs have more.
    """

    max_bytes: int = 10 * 1024 * 1024
    max_pixels: int = 25_000_000
    max_pixels_per_byte: int = 2_000


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
    try:
        return _decoded(data, media_type, limits, spec)
    except _BOMBS:
        raise ImageTooLarge("The image declares more pixels than are allowed. Scale it down.") from None
    except MemoryError:
        raise ImageTooLarge("The image needs more memory than there is. Scale it down.") from None
    except _BROKEN:
        name = media_type.removeprefix("image/").upper()
        raise ImageUndecodable(f"The {name} data is damaged or cut off. Send the whole file.") from None


def _decoded(data: bytes, media_type: str, limits: Limits, spec: InputSpec) -> Image.Image:
    if size := declared_size(data, media_type):
        _check_size(size, len(data), limits)
    scan = only_scan(data) if media_type == "image/jpeg" else None
    if scan is None and media_type == "image/jpeg" and has_more_scans(data, _MAX_SCANS):
        raise ImageUndecodable(f"The JPEG has more than {_MAX_SCANS} scans. Save it again as an ordinary JPEG.")
    module, name = DECODERS[media_type]
    # A header of fewer bytes than that cannot take more reads.
    source = _Metered(data) if scan is None or scan > _MAX_READS else BytesIO(data)
    file: ImageFile = getattr(import_module(module), name)(source)
    # Again, as the decoder has it: a GIF's first frame may be larger than its screen, a PNG may have two headers.
    _check_size(file.size, len(data), limits)
    if media_type == "image/jpeg" and spec.jpeg_draft:
        _draft(file, spec, swapped=_orientation(file) in _SIDES_SWAPPED)
    # One name from here on: each step's picture is freed when the next one is there.
    image: Image.Image = file
    if media_type == "image/webp":
        image = _first_frame_of_webp(cast("WebPImageFile", file))
    del file
    image.load()
    orientation = _orientation(image)
    profile = image.info.get("icc_profile") if spec.icc == "srgb" else None
    image = _flat(image, "L" if spec.color == "L" else "RGB", profile)
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


class _Metered(BytesIO):
    """A file that ends the reading of headers made of a great many tiny parts: 10 MiB of them would take seconds."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS:
            raise ImageUndecodable("The file is made of too many tiny parts. Save it again with another program.")
        return super().read(size)


def _check_size(size: tuple[int, int], length: int, limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageUndecodable("The image has no pixels.")
    pixels = width * height
    if pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {limits.max_pixels:,} in all are allowed. Scale it down."
        )
    if pixels > _FREE_PIXELS and pixels > limits.max_pixels_per_byte * length:
        raise ImageTooLarge(
            f"The image claims {width} x {height} pixels in only {length:,} bytes, as decompression bombs do."
        )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. A broken EXIF block does not make a picture unreadable."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (*_BROKEN, struct.error):
        return 1
    return value if isinstance(value, int) else 1


def _draft(image: ImageFile, spec: InputSpec, *, swapped: bool) -> None:
    """Let libjpeg decode at 1/2, 1/4 or 1/8 where no side falls below ``jpeg_draft`` times what the resize needs."""
    upright = (image.height, image.width) if swapped else image.size
    width, height = spec.resized(*upright)
    least = (height, width) if swapped else (width, height)
    image.draft(None, (max(1, round(least[0] * spec.jpeg_draft)), max(1, round(least[1] * spec.jpeg_draft))))


def _first_frame_of_webp(file: WebPImageFile) -> Image.Image:
    """Decode the first frame and let the decoder go.

    libwebp's animation decoder, which Pillow uses for all WebP files, keeps two canvases. Pillow's own ``load`` holds
    them while it copies the frame twice: at 25 million pixels this way needs 100 MB less.
    """
    pixels, _ = file._decoder.get_next()  # noqa: SLF001  (Pillow is pinned, and tests hold this to its own load)
    del file._decoder  # noqa: SLF001
    image = Image.frombuffer(file.rawmode, file.size, pixels, "raw", file.rawmode, 0, 1)
    image.info.update(file.info)
    return image


def _flat(image: Image.Image, mode: str, profile: bytes | None) -> Image.Image:
    """Any of Pillow's modes to ``mode``: 16 bits to 8, alpha over white, colours to sRGB if there is a profile."""
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
    """16-bit grey to 8 bits by the upper byte, as Pillow does for colours; its own conversion of grey would clip."""
    import numpy as np

    values = np.asarray(image, "<u2")
    grey = np.ascontiguousarray(values.view(np.uint8)[:, 1::2])
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return Image.fromarray(grey)


def _over_white(image: Image.Image, mode: str) -> Image.Image:
    """Lay alpha over white strip by strip, as a whole RGBA picture beside the flat one would double the memory."""
    flat = Image.new(mode, image.size, "white")
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        flat.paste(strip, (0, top), strip.getchannel("A"))
    return flat
