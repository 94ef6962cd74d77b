"""Readers of image files: what their first bytes say, and decoding them."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import images
from growth import Make, Reader, repeated
from loupe.card import InputSpec
from loupe.decoders import Plan
from loupe.errors import Problem
from loupe.exif import of_text, read_orientation
from loupe.formats import FORMATS, declared_size, media_type_of, up_to_scans
from loupe.image import Limits, decode, image_errors
from PIL import Image

SPEC = InputSpec("input", 20, 20)
LIMITS = Limits(formats=tuple(FORMATS))
JPEG = b"\xff\xd8\xff\xe0\x00\x04JF"
JPEG_FAMILIES = {
    "fill bytes": repeated(b"\xff", JPEG),
    "fill bytes before a zero": repeated(b"\xff", JPEG, b"\x00"),
    "empty segments": repeated(b"\xff\xe1\x00\x02", JPEG),
    "segments without content": repeated(b"\xff\xe1\x00\x00", JPEG),
    "bare markers": repeated(b"\xff\x01", JPEG),
    "scans": repeated(b"\xff\xda\x00\x02", JPEG),
    "zeros": repeated(b"\x00", JPEG),
}


def _inside(data: bytes, place: int, part: bytes, after: bytes = b"") -> Make:
    return repeated(part, data[:place], after + data[place:])


def _jpeg_bodies() -> dict[str, Make]:
    """Everything that may be repeated in a header, in a scan, and instead of scans, before a good image goes on."""
    plain, progressive = images.jpeg(), images.jpeg(progressive=True)
    restarts = images.jpeg(restart_marker_blocks=1)
    places = [match.start() for match in re.finditer(b"\xff\xda", progressive)]
    scan = progressive[places[-1] : -2]
    entropy = plain.index(b"\xff\xda") + 14
    restart = restarts.index(b"\xff\xda") + 14
    tables = b"\xff\xdb\0\x43\0" + bytes(range(1, 65))
    return {
        "fill bytes in the header": _inside(plain, 2, b"\xff"),
        "zeros behind markers": _inside(plain, 2, b"\xff\0"),
        "comments": _inside(plain, 2, b"\xff\xfe\0\2"),
        "tables": _inside(plain, 2, tables),
        "EXIF segments": _inside(plain, 2, b"\xff\xe1\0\x0cExif\0\0II*\0"),
        "EXIF segments of 400 bytes": _inside(plain, 2, b"\xff\xe1\1\x92Exif\0\0II*\0" + bytes(390)),
        "profile segments": _inside(plain, 2, b"\xff\xe2\0\x12ICC_PROFILE\0\1\1ab"),
        "fill bytes in a scan": _inside(progressive, places[0] + 14, b"\xff", b"\0"),
        "fill bytes before a scan": _inside(progressive, places[3], b"\xff"),
        "restarts": _inside(restarts, restart, b"\xff\xd0"),
        "reserved markers": _inside(restarts, restart, b"\xff\x02\xff\xff"),
        "stuffed zeros": _inside(plain, entropy, b"\xff\0"),
        "scans": _inside(progressive, len(progressive) - 2, scan),
        "empty scans": _inside(progressive, places[1], progressive[places[0] : places[0] + 14]),
        "images": repeated(plain, plain),
    }


def _png_bodies() -> dict[str, Make]:
    data, chunk = images.png(), images.chunk
    flat = zlib.compress(bytes(1 << 20), 9)
    entries = b"".join(struct.pack(">HHII", number, 7, 4096, 8) for number in range(300))
    return {
        "empty chunks": _inside(data, 33, chunk(b"abCd", b"")),
        "empty texts": _inside(data, 33, chunk(b"tEXt", b"a\0")),
        "packed texts": _inside(data, 33, chunk(b"zTXt", b"k\0\0" + flat)),
        "packed profiles": _inside(data, 33, chunk(b"iCCP", b"p\0\0" + flat)),
        "empty pixel chunks": _inside(data, data.index(b"IDAT") - 4, chunk(b"IDAT", b"")),
        "chunks behind the pixels": _inside(data, len(data) - 12, chunk(b"abCd", b"")),
        "palettes": _inside(data, 33, chunk(b"PLTE", bytes(3))),
        "headers": _inside(data, 8, data[8:33]),
        "EXIF entries": _inside(data, 33, chunk(b"eXIf", b"MM\0*\0\0\0\x08" + struct.pack(">H", 300) + entries)),
        "frame controls": _inside(data, 33, chunk(b"fcTL", bytes(26))),
    }


def _gif_bodies() -> dict[str, Make]:
    data = images.gif(images.solid())
    descriptor = data.index(b",\0\0\0\0")
    return {
        "comments": _inside(data, descriptor, b"!\xfe\1a\0"),
        "one comment's blocks": repeated(b"\1a", data[:descriptor] + b"!\xfe", b"\0" + data[descriptor:]),
        "applications": _inside(data, descriptor, b"!\xff\1a\0"),
        "controls": _inside(data, descriptor, b"!\xf9\4\x0d\0\0\0\0"),
        "zeros": _inside(data, descriptor, b"\0"),
        "frames": _inside(data, len(data) - 1, data[descriptor:-1]),
        "empty code blocks": _inside(data, descriptor + 11, b"\1\0"),
    }


def _webp_bodies() -> dict[str, Make]:
    still = images.webp(images.solid(), exif=images.exif(1))
    moving = images.webp(images.solid(), save_all=True, append_images=[images.solid(images.BLUE)])
    frame = moving.index(b"ANMF")
    length = 8 + int.from_bytes(moving[frame + 4 : frame + 8], "little")

    def sized(make: Make) -> Make:
        def resized(size: int) -> bytes:
            data = make(size)
            assert isinstance(data, bytes)
            return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]

        return resized

    return {
        "empty chunks": sized(_inside(still, 30, b"abcd\0\0\0\0")),
        "empty chunks at the end": sized(_inside(still, len(still), b"abcd\0\0\0\0")),
        "frames": sized(_inside(moving, len(moving), moving[frame : frame + length])),
        "EXIF chunks": sized(_inside(still, len(still), b"EXIF\2\0\0\0II")),
    }


def _container_bodies(data: bytes) -> dict[str, Make]:
    """Boxes between the file type and the rest, whose offsets are then wrong: what is read of them is the point."""
    first = int.from_bytes(data[:4], "big")
    item = data.index(b"infe") - 4
    length = int.from_bytes(data[item : item + 4], "big")
    return {
        "empty boxes": _inside(data, first, b"\0\0\0\x08free"),
        "boxes at the end": _inside(data, len(data), b"\0\0\0\x08free"),
        "items": _inside(data, item, data[item : item + length]),
        "brands": _inside(data, first, b"mif1"),
        "metadata boxes": _inside(data, first, data[first : first + int.from_bytes(data[first : first + 4], "big")]),
    }


def _tiff_bodies() -> dict[str, Make]:
    data = images.encode(images.scene(), "TIFF", compression="tiff_lzw")
    start = int.from_bytes(data[4:8], "little")
    entry = data[start + 2 : start + 14]

    def entries(size: int) -> bytes:
        count = min(65_535, size // 12)
        return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entry * count + data[start + 14 :]

    def numbers(size: int) -> bytes:
        strips = struct.pack("<HHII", 273, 4, size // 4, 200)
        damaged = bytearray(data)
        damaged[start + 2 : start + 14] = strips
        return bytes(damaged) + bytes(size)

    return {
        "entries": entries,
        "a list of strips": numbers,
        "trailing directories": repeated(data[start : start + 14], data),
    }


def _bmp_bodies() -> dict[str, Make]:
    data = images.encode(images.scene().convert("P"), "BMP")
    coded = data[:30] + struct.pack("<I", 1) + data[34:]
    return {"run lengths": repeated(b"\1\1", coded), "what follows": repeated(b"\0", data)}


AVIF = images.encode(images.scene(), "AVIF", speed=10)
HEIC = (Path(__file__).parents[1] / "unit" / "heic" / "scene.heic").read_bytes()
BODIES = {
    "avif": _container_bodies(AVIF),
    "heic": _container_bodies(HEIC),
    "bmp": _bmp_bodies(),
    "tiff": _tiff_bodies(),
    "jpeg": _jpeg_bodies(),
    "png": _png_bodies(),
    "gif": _gif_bodies(),
    "webp": _webp_bodies(),
}
# 100,000 reads of a header, and 64 MiB of unpacked text, whatever the size.
LIMITED_SECONDS = {"jpeg": 0.7, "gif": 0.4, "png": 1.5}
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"


def read(data: bytes) -> Image.Image:
    return decode(data, LIMITS, SPEC)


def _here(kind: str) -> Callable[[bytes], object]:
    """Decode in this process: another's time is not this thread's."""
    decoder = import_module(f"loupe.decoders.{kind}")

    def raw(data: bytes) -> object:
        with image_errors(kind):
            return decoder.raw(data, Plan(lambda _: None, SPEC, LIMITS.max_pixels))

    return raw


READERS = (
    Reader(
        "media type",
        ("loupe.formats:media_type_of",),
        media_type_of,
        {"zeros": repeated(b"\x00"), "a container's start": repeated(b"RIFF")},
        0.5,
    ),
    Reader(
        "headers",
        ("loupe.formats:declared_size",),
        lambda data: declared_size(data, "image/jpeg"),
        JPEG_FAMILIES,
        0.5,
    ),
    Reader("scans", ("loupe.formats:up_to_scans",), lambda data: up_to_scans(data, 100), JPEG_FAMILIES, 0.5),
    Reader(
        "headers",
        ("loupe.exif:read_orientation", "loupe.exif:of_text", "loupe.decoders:orientation"),
        lambda data: (read_orientation(data, data), of_text(data.decode("latin-1"))),
        {
            "EXIF entries": repeated(b"\0\1\0\3\0\0\0\1\0\6\0\0", EXIF),
            "XMP names": repeated(b"tiff:Orientation", b"<"),
            "lines": repeated(b"\n00"),
        },
        0.5,
    ),
    *(
        Reader(
            "decoding",
            ("loupe.image:decode", f"loupe.decoders.{kind}:decode"),
            _here(kind) if kind in ("avif", "heic") else read,
            families,
            1.5,
            (Problem,),
            base_seconds=LIMITED_SECONDS.get(kind, 0.0),
        )
        for kind, families in BODIES.items()
    ),
)
