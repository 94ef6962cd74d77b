"""TIFF: the first page, in bounded compressions that cameras and editors write."""

from __future__ import annotations

from PIL.TiffImagePlugin import TiffImageFile

from loupe.decoders import DecodedImage, Plan, ReadLimitedFile, loaded
from loupe.errors import ImageUndecodable

# JPEG, WebP, fax and others inside TIFF would be nested files that declare another size.
_COMPRESSIONS = frozenset({"raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"})
_ORIENTATION, _ROWS, _TILE_WIDTH, _TILE_HEIGHT, _SAMPLES, _ICC = 274, 278, 322, 323, 277, 34675
_MAX_SAMPLES = 5
# Strips and tiles: an image of 25 million pixels with one strip for each row has 5,000.
_MAX_TILES = 70_000


class _Tiff(TiffImageFile):
    def load_end(self) -> None:
        """Skip further metadata: Pillow would create an object for every number in it."""


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode; see `loupe.image.decode`."""
    file = _Tiff(ReadLimitedFile(data))
    # Pillow reports the size after orientation; `loupe.image` applies the orientation.
    file._size = file._tile_size  # noqa: SLF001
    plan.check(file.size)
    if file._compression not in _COMPRESSIONS:  # noqa: SLF001  (Pillow is pinned)
        raise ImageUndecodable("The TIFF is compressed in a way that is not read here. Save it as PNG.")
    width, height = (_number(file, tag, 1) for tag in (_TILE_WIDTH, _TILE_HEIGHT))
    if width > 1 or height > 1:
        # libtiff allocates one tile, of which the image may use a corner.
        plan.check((width, height))
    if _number(file, _SAMPLES, 1) > _MAX_SAMPLES or len(file.tile) > _MAX_TILES:
        raise ImageUndecodable("The TIFF has too many channels or strips. Save it as PNG.")
    turned, profile = _number(file, _ORIENTATION, 1), file.tag_v2.get(_ICC)
    image = loaded(file).image
    return DecodedImage(image, turned if 1 <= turned <= 8 else 1, profile if isinstance(profile, bytes) else None)


def _number(file: TiffImageFile, tag: int, default: int) -> int:
    value = file.tag_v2.get(tag, default)
    return value if isinstance(value, int) else default
