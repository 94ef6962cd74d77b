"""HEIC by libheif and libde265: the primary image."""

from __future__ import annotations

import _pi_heif

from loupe.decoders import DecodedImage, Plan, isolated
from loupe.errors import ImageUndecodable

_DEEP_GREY = "I;16"


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode in a child process; see `loupe.image.decode`."""
    return isolated.decode_in_child(raw, data, plan)


def raw(data: bytes, plan: Plan) -> isolated.Raw:
    """Decode in this process, with one thread.

    libheif applies the container's orientation (irot, imir), which overrides EXIF's (MIAF, 7.3.6.7), joins the tiles of
    a grid, and adds alpha. pi-heif's Python classes would read the metadata and thumbnails of every image in the
    file. Colours are decoded to 8 bits.
    """
    images = _pi_heif.load_file(bytes(data), 1, True, False, True, True, "", False)
    primary = next((image for image in images if image is not None and image.primary), None)
    if primary is None:
        raise ImageUndecodable("The HEIC file has no primary image. Export it again.")
    size, mode = primary.size_mode
    plan.check(size)
    if mode == _DEEP_GREY:
        # pi-heif 1.4.0 shifts 16-bit samples in place, by the depth in the header: it writes past the end of an
        # 8-bit image.
        raise ImageUndecodable("A HEIC file of grey with more than 8 bits is not read. Export it as a JPEG.")
    pixels = primary.data
    size, _ = primary.size_mode
    profile = primary.color_profile.get("data")
    return isolated.Raw(mode, size, pixels, 1, profile if isinstance(profile, bytes) else None, primary)
