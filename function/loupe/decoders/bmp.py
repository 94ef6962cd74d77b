"""BMP without run-length coding."""

from __future__ import annotations

from PIL.BmpImagePlugin import BmpImageFile

from loupe.decoders import DecodedImage, Plan, ReadLimitedFile, loaded
from loupe.errors import ImageUndecodable


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode; see `loupe.image.decode`."""
    file = BmpImageFile(ReadLimitedFile(data))
    plan.check(file.size)
    if any(tile.codec_name != "raw" for tile in file.tile):
        # Pillow decodes it in Python, a few bytes at a time.
        raise ImageUndecodable("The BMP is run-length coded, which is not read here. Save it as PNG.")
    return loaded(file)
