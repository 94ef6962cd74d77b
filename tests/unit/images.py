"""Images for tests, made in memory: their content is computed, so every pixel value is known."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def solid(color: tuple[int, ...] | int = RED, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, color)


def scene(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Smooth colours with a mark in the upper left corner: every turn and flip of it looks different."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(float)
    channels = [255 * x / size[0], 255 * y / size[1], 127 + 120 * np.sin(x / 9) * np.cos(y / 7)]
    image = Image.fromarray(np.stack(channels, -1).astype(np.uint8))
    image.paste(RED, (0, 0, size[0] // 4, size[1] // 4))
    return image


def texture(size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """RGB pixels with edges and fine texture, by whole-number arithmetic: the same on every machine."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    return np.stack([(x * 7 + y * 13) % 256, ((x // 3) ^ (y // 5)) * 9 % 256, 255 * x // size[0]], -1).astype(np.uint8)


def noise(width: int, height: int) -> Image.Image:
    """An image whose JPEG is as large as a photo's."""
    small = np.random.default_rng(7).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """File content; ``kind`` is Pillow's name of the format."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    return encode(image or scene(), "JPEG", **{"quality": 95, "subsampling": 0, **options})


def png(image: Image.Image | None = None, **options: Any) -> bytes:
    return encode(image or scene(), "PNG", **options)


def webp(image: Image.Image | None = None, **options: Any) -> bytes:
    return encode(image or scene(), "WEBP", **{"lossless": True, **options})


def gif(image: Image.Image | None = None, **options: Any) -> bytes:
    return encode(image or scene(), "GIF", **options)


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def turned_away(image: Image.Image, orientation: int) -> Image.Image:
    """``image`` stored so that a reader who obeys ``orientation`` sees it upright again (TIFF 6.0, tag 274)."""
    turn = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    return image if turn is None else image.transpose(turn)


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk with a right checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(
    width: int,
    height: int,
    rows: bytes,
    *,
    depth: int = 8,
    color: int = 2,
    before: bytes = b"",
) -> bytes:
    """PNG written by hand: declared size, bit depth and colour type as given, ``rows`` with their filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
