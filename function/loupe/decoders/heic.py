"""HEIC by libheif and libde265: the primary image."""

from __future__ import annotations

import _pi_heif

from loupe.decoders import Picture, Plan, isolated
from loupe.errors import ImageUndecodable


def decode(data: bytes, plan: Plan) -> Picture:
    """Decode in a child process; see `loupe.image.decode`."""
    return isolated.picture(raw, data, plan)


def raw(data: bytes, plan: Plan) -> isolated.Raw:
    """Decode in this process, with one thread.

    libheif turns the picture by its container (irot, imir), so EXIF's orientation does not count (MIAF, 7.3.6.7), puts
    the tiles of a grid together, and adds alpha. pi-heif's Python classes would read the metadata and thumbnails of
    every image in the file. Grey of more than 8 bits comes as 16, colours as 8.
    """
    images = _pi_heif.load_file(bytes(data), 1, True, False, True, True, "", False)
    primary = next((image for image in images if image is not None and image.primary), None)
    if primary is None:
        raise ImageUndecodable("The HEIC file has no primary image. Export it again.")
    size, mode = primary.size_mode
    plan.check(size)
    pixels = primary.data
    size, _ = primary.size_mode
    profile = primary.color_profile.get("data")
    return isolated.Raw(mode, size, pixels, 1, profile if isinstance(profile, bytes) else None, primary)
