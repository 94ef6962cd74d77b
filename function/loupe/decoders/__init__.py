"""One module for each format, imported with its first image: ``decode(data, plan)`` returns a `DecodedImage`.

Pillow's and libheif's readers are used without the parts that read more than the first frame's pixels, so that a file
cannot make them allocate or compute more than `Plan` allows. `loupe.image` turns their exceptions into problems.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.errors import ImageUndecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image
    from PIL.ImageFile import ImageFile

    from loupe.card import InputSpec

# Pillow reads headers in Python, a few bytes at a time. Ordinary files need some hundreds of reads.
_MAX_READS = 100_000
# Total bytes read, as a multiple of the file: limits headers that refer to the same bytes repeatedly.
_MAX_PASSES = 4
# The used entries of Pillow's ``info`` with their types: PNG text chunks write entries under names that the file
# chooses, so only values of the type that Pillow sets are accepted.
_INFO_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "exif": bytes,
    "xmp": bytes,
    "icc_profile": bytes,
    "Raw profile type exif": str,
    "transparency": (int, bytes, tuple),
    "interlace": int,
}


class Plan(NamedTuple):
    """``check`` takes the decoder's width and height and raises a problem if they are too large."""

    check: Callable[[tuple[int, int]], None]
    spec: InputSpec
    max_pixels: int


class DecodedImage(NamedTuple):
    """``orientation`` is EXIF's, 1 to 8; ``profile`` the embedded colour profile."""

    image: Image.Image
    orientation: int = 1
    profile: bytes | None = None


class ReadLimitedFile(BytesIO):
    """A file that limits the number of reads: 10 MiB of tiny header parts would take seconds."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads, self.left = _MAX_READS, _MAX_PASSES * len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        self.reads -= 1
        self.left -= len(part)
        if self.reads < 0 or self.left < 0:
            raise ImageUndecodable("The file is made of too many tiny parts. Save it again with another program.")
        return part


def typed(info: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the entries of Pillow's ``info`` that are used, where they are of the right type."""
    return {key: info[key] for key, kind in _INFO_TYPES.items() if isinstance(info.get(key), kind)}


def loaded(file: ImageFile) -> DecodedImage:
    """Decode the first frame of a file that Pillow has opened and whose size was checked."""
    collected = file.info
    file.info = typed(collected)
    file.load()
    # An EXIF block may follow the pixels; nothing else after them is used.
    return DecodedImage(file, orientation(typed(collected)), file.info.get("icc_profile"))


def orientation(info: Mapping[Any, Any]) -> int:
    """Return EXIF's orientation, 1 to 8, from the entries of `typed`."""
    exif, xmp, text = info.get("exif"), info.get("xmp"), info.get("Raw profile type exif")
    if not (exif or xmp or text):
        return 1
    from loupe.exif import of_text, read_orientation

    return read_orientation(exif or (of_text(text) if text else None), xmp)
