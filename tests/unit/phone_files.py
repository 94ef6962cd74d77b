"""AVIF and HEIC files: drawn, from the folder `heic`, and with another declared size."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import images
from PIL import Image

FILES = Path(__file__).parent / "heic"


def heic_file(name: str) -> bytes:
    return (FILES / f"{name}.heic").read_bytes()


def avif(image: Image.Image | None = None, **options: Any) -> bytes:
    return images.encode(
        image or images.scene(), "AVIF", **{"quality": 95, "subsampling": "4:4:4", "speed": 10, **options}
    )


def resized(data: bytes, width: int, height: int) -> bytes:
    """Declare another size in the container."""
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]
