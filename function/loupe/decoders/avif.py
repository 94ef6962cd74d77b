"""AVIF by libavif and dav1d: the first frame."""

from __future__ import annotations

from PIL import _avif

from loupe.decoders import DecodedImage, Plan, isolated


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode in a child process; see `loupe.image.decode`."""
    return isolated.decode_in_child(raw, data, plan)


def raw(data: bytes, plan: Plan) -> isolated.Raw:
    """Decode in this process, with one thread.

    Pillow's own class reads the EXIF block while it opens a file, and copies the pixels twice more.
    """
    decoder = _avif.AvifDecoder(data, "auto", 1)
    size, _, mode, profile, _, turned, _ = decoder.get_info()
    plan.check(size)
    pixels = decoder.get_frame(0)[0]
    # ``turned`` is the container's orientation (irot, imir), which overrides EXIF's (MIAF, 7.3.6.7).
    return isolated.Raw(mode, size, pixels, turned, profile or None)
