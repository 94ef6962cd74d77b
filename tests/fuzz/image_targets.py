"""Fuzz targets for image files: any bytes give a tensor or a problem of the caller's.

A target takes bytes and raises for what must not happen. Hangs and memory are the fuzzer's own limits. ``SEEDS`` has
good files of every format to begin with.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from loupe.card import InputSpec, Resize
from loupe.errors import ImageTooLarge, ImageUndecodable, UnsupportedMediaType
from loupe.exif import of_text, read_orientation
from loupe.formats import FORMATS, declared_size, media_type_of, media_types, up_to_scans
from loupe.icc import to_srgb
from loupe.image import Limits, decode
from loupe.tensor import to_tensor
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
import images
from corpus_parts import with_checksums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMITS = Limits(max_pixels=250_000, formats=tuple(FORMATS))
HEIC = Path(__file__).resolve().parents[1] / "unit" / "heic"
SPECS = (
    InputSpec("input", 20, 20),
    InputSpec("input", 20, 12, jpeg_draft=1, icc="srgb", resize=Resize(fit="crop", shortest=24, filter="bicubic")),
    InputSpec("input", 12, 20, color="L", mean=(0.0,), std=(1.0,), icc="srgb", resize=Resize(fit="pad")),
    InputSpec("input", 20, 20, icc="srgb", resize=Resize(fit="crop", filter="nearest")),
)


def image(data: bytes) -> None:
    """Decode and resize, for a model that the file's size chooses."""
    spec = SPECS[len(data) % len(SPECS)]
    try:
        decoded = decode(data, LIMITS, spec)
        assert decoded.mode == ("L" if spec.color == "L" else "RGB")
        tensor = to_tensor(decoded, spec)
    except (ImageTooLarge, ImageUndecodable, UnsupportedMediaType):
        return
    assert tensor.shape == spec.shape
    assert np.isfinite(tensor).all()


def png(data: bytes) -> None:
    """Set the checksums right, so that the decoder sees what is inside the chunks."""
    image(with_checksums(data) if len(data) % 5 else data)


def headers(data: bytes) -> None:
    """Read what is read without a decoder."""
    media_type_of(data)
    for media_type in media_types(tuple(FORMATS)):
        size = declared_size(data, media_type)
        assert size is None or min(size) >= 0
    assert up_to_scans(data, 3).count(b"\xff\xda") <= 3
    assert 1 <= read_orientation(data, data) <= 8
    of_text(data.decode("latin-1"))


def profile(data: bytes) -> None:
    """Convert by a profile that came with an image."""
    for mode in ("RGB", "L", "CMYK"):
        to_srgb(Image.new(mode, (4, 4)), data)


def _good(kind: str) -> Iterator[bytes]:
    scene = images.scene((24, 16))
    if kind == "heic":
        yield from (path.read_bytes() for path in sorted(HEIC.glob("*.heic")) if path.stem != "4096")
        return
    if kind == "avif":
        for image in (scene, scene.convert("RGBA"), scene.convert("L")):
            yield images.encode(image, "AVIF", speed=10, exif=images.exif(6))
        yield images.encode(scene, "AVIF", speed=10, save_all=True, append_images=[images.solid(size=(24, 16))])
        return
    if kind in ("bmp", "tiff"):
        for mode in ("1", "L", "P", "RGB", "RGBA"):
            yield images.encode(scene.convert(mode), kind.upper())
        if kind == "tiff":
            for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
                yield images.encode(scene, "TIFF", compression=compression, icc_profile=_srgb())
        return
    make: dict[str, Callable[..., bytes]] = {
        "jpeg": images.jpeg,
        "png": images.png,
        "gif": images.gif,
        "webp": images.webp,
    }
    yield make[kind](scene)
    if kind != "gif":
        yield make[kind](scene, exif=images.exif(6), icc_profile=_srgb())
    if kind == "jpeg":
        yield make[kind](scene, progressive=True)
        yield make[kind](scene, restart_marker_blocks=1)
        yield make[kind](scene.convert("CMYK"))
        yield make[kind](scene.convert("L"))
        return
    yield make[kind](scene, save_all=True, append_images=[images.solid(size=(24, 16))])
    yield make[kind](scene.quantize(8), transparency=2) if kind != "webp" else make[kind](scene, lossless=False)
    if kind == "png":
        for mode in ("1", "L", "LA", "P", "RGBA"):
            yield make[kind](scene.convert(mode))
        yield make[kind](Image.new("I;16", (8, 8), 300), transparency=7)


def _srgb() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _profiles() -> Iterator[bytes]:
    from PIL import ImageCms

    yield _srgb().replace(b"sRGB", b"tRGB")
    for name in ("LAB", "XYZ"):
        yield ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "image-headers": headers,
    "image-jpeg": image,
    "image-png": png,
    "image-gif": image,
    "image-webp": image,
    "image-avif": image,
    "image-heic": image,
    "image-bmp": image,
    "image-tiff": image,
    "image-profile": profile,
}


def seeds(target: str) -> Iterator[bytes]:
    """Files to begin with."""
    kind = target.removeprefix("image-")
    if kind == "profile":
        yield from _profiles()
    elif kind == "headers":
        for name in FORMATS:
            yield from _good(name)
    else:
        yield from _good(kind)
