"""Embedded colour profiles to sRGB, for models whose card wants it. Imported by the first picture that needs it."""

from __future__ import annotations

from functools import cache, lru_cache
from io import BytesIO

from PIL import Image, ImageCms

# Pillow's mode -> the colour space that a profile for it must be of (ICC.1:2022, 7.2.6).
_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture without alpha from its embedded profile to sRGB.

    A profile that is broken, of another colour space, or sRGB itself leaves the picture as it is.

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
    if image.mode not in _SPACES:
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Cached: the pictures of one camera carry the same profile, and building costs more than using it."""
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
