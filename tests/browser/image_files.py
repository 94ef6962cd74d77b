"""Files as people have them."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

from PIL import Image

RED, BLUE = (210, 40, 40), (40, 60, 200)


@dataclass(frozen=True)
class File:
    name: str
    mime: str
    data: bytes

    def payload(self) -> dict[str, object]:
        """As playwright's ``set_input_files`` takes it."""
        return {"name": self.name, "mimeType": self.mime, "buffer": self.data}


def image_file(name: str, color: tuple[int, ...], size: tuple[int, int] = (320, 240), *, orientation: int = 1) -> File:
    """A plain image, in the format that its name says; the topmost eighth as stored is white."""
    image = Image.new("RGBA" if len(color) == 4 else "RGB", size, color)
    image.paste((255, 255, 255), (0, 0, size[0], size[1] // 8))
    kind = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP"}[name.rpartition(".")[2]]
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, kind, **({"exif": exif} if orientation != 1 else {}))
    return File(name, f"image/{kind.lower()}", out.getvalue())


def noise(name: str, size: tuple[int, int]) -> File:
    """A PNG that is not compressed."""
    image = Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=0)
    return File(name, "image/png", out.getvalue())
