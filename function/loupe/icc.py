"""Convert embedded colour profiles to sRGB, for cards with ``icc``. Imported by the first image that needs it."""

from __future__ import annotations

from functools import cache, lru_cache
from io import BytesIO

from PIL import Image, ImageCms

# Pillow's mode -> the colour space that a profile for it must be of (ICC.1:2022, 7.2.6).
_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
# Profiles of printing presses have 3 MB. `_transform` caches some, so their size is bounded.
_MAX_BYTES = 4 << 20
# The type of a tag that holds any number of operations (ICC.1:2022, 10.16), each of which littleCMS applies to every
# point of its table: 1 MB would take half a minute. The four bytes are searched anywhere, so the result does not depend
# on how littleCMS walks the tags. Photos do not have it; it is for measured light and high dynamic range.
_ANY_NUMBER_OF_OPERATIONS = b"mpet"


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image without alpha from its embedded profile to sRGB.

    A profile that is broken, for another colour space, sRGB itself, larger than 4 MiB or with multi-process elements
    is ignored.

    Parameters
    ----------
    image
        Any mode; palettes are resolved first.
    profile
        The profile's bytes.

    Returns
    -------
    PIL.Image.Image
        Mode ``RGB`` where it was converted.
    """
    if len(profile) > _MAX_BYTES or _ANY_NUMBER_OF_OPERATIONS in profile:
        return image
    if image.mode not in _SPACES:
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform. Cached: images of one camera have the same profile, and building it is expensive."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space != _SPACES[mode] or _is_srgb(source):
            return None
        return ImageCms.ImageCmsTransform(source, _srgb(), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return (profile.profile.profile_description or "").startswith("sRGB")


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
