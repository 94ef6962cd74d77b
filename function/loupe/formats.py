"""What a file's first bytes say: its format, and the size that it claims. Nothing here decodes or imports a decoder."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Media type -> module and class of Pillow's decoder, imported when a picture of that kind comes.
DECODERS = {
    "image/jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "image/png": ("PIL.PngImagePlugin", "PngImageFile"),
    "image/webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "image/gif": ("PIL.GifImagePlugin", "GifImageFile"),
}
FORMAT_NAMES = "JPEG, PNG, WebP or GIF"

# Any JPEG marker but fill bytes, stuffed zeros and restarts, which stand inside a scan.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# Frame headers (SOF), of all codings; the others in their range are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Start of image, and TEM: markers without a segment.
_BARE = frozenset({0xD8, 0x01})
# Segments that are looked at: cameras write some tens.
_MAX_SEGMENTS = 2_000


def media_type_of(data: bytes) -> str | None:
    """Return the media type that the first bytes show, or None if it is none that can be served."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return None


def declared_size(data: bytes, media_type: str) -> tuple[int, int] | None:
    """Return width and height in pixels as the header has them, None if it does not say.

    Pillow's decoders for WebP and GIF allocate while they open a file, so these must be known before. Offsets are those
    of the PNG specification (11.2.1), GIF89a (18), RFC 9649 (2.5 to 2.7) and ITU T.81 (B.2.2).
    """
    if len(data) < 30:
        return None
    if media_type == "image/jpeg":
        return _jpeg_size(data)
    if media_type == "image/png":
        width, height = struct.unpack_from(">II", data, 16)
    elif media_type == "image/gif":
        width, height = struct.unpack_from("<HH", data, 6)
    elif media_type != "image/webp":
        return None
    elif data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif data[12:16] == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return None
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for code, place in _header_segments(data):
        if code in _FRAMES:
            if place + 7 > len(data):
                return None
            height, width = struct.unpack_from(">HH", data, place + 3)
            return width, height
    return None


def _header_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Code and place of each segment up to the first scan's; ends at what is no marker, as some decoders do not."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.match(data, place)
        if marker is None:
            return
        code, place = marker[1][0], marker.end()
        yield code, place
        if code == _START_OF_SCAN:
            return
        if code not in _BARE:
            place += int.from_bytes(data[place : place + 2], "big")


def has_more_scans(data: bytes, limit: int) -> bool:
    """Whether a JPEG has more than ``limit`` scans.

    Each scan of a progressive JPEG passes over the whole picture but may be 20 bytes long, so a small file can keep a
    decoder busy for minutes (libjpeg-turbo, 'Two Issues with the JPEG Standard', 2015).
    """
    # This counts thumbnails', further pictures' and what follows the end, but is quick and nearly always enough.
    if data.count(b"\xff\xda") <= limit:
        return False
    place, scans = 2, 0
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(data, place)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            return False
        place = marker.end()
        if marker[1][0] not in _BARE:
            place += int.from_bytes(data[place : place + 2], "big")
        scans += marker[1][0] == _START_OF_SCAN
        if scans > limit:
            return True
    return True


def only_scan(data: bytes) -> int | None:
    """Return where the header of a JPEG ends, if it says that there is one scan, as most photos' does.

    Then the first scan holds all components of a sequential frame, and libjpeg takes no other (B.2.1, B.2.3).
    """
    components = 0
    for code, place in _header_segments(data):
        if code in _FRAMES:
            # Huffman-coded sequential: baseline and extended. The others may spread a component over scans.
            components = int.from_bytes(data[place + 7 : place + 8]) if code in (0xC0, 0xC1) else 0
        elif code == _START_OF_SCAN:
            return place if components > 0 and int.from_bytes(data[place + 2 : place + 3]) == components else None
    return None
