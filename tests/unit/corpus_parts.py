"""Parts of image files: segments and chunks of each format, checksums, and declared sizes."""

from __future__ import annotations

import struct
import zlib

from images import RED, png, solid, webp

SIZE = (40, 30)
PNG_START = 33  # signature and IHDR


def png_with(chunks: bytes) -> bytes:
    data = png(solid(RED, SIZE))
    return data[:PNG_START] + chunks + data[PNG_START:]


def jpeg_segments(data: bytes) -> list[int]:
    places, place = [], 2
    while place < len(data) - 2:
        places.append(place)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        while data[place] != 0xFF or data[place + 1] in (0, *range(0xD0, 0xD8)):
            place += 1
    return places


def png_chunks(data: bytes) -> list[int]:
    places, place = [], 8
    while place < len(data):
        places.append(place)
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return places


def riff_chunks(data: bytes) -> list[int]:
    places, place = [], 12
    while place < len(data):
        places.append(place)
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    return places


def with_checksums(data: bytes | bytearray) -> bytes:
    """PNG with the checksum of every chunk that is still whole set right, so that decoders reach the damage inside."""
    out, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        out += data[place:end] + struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(out + data[place:])


def gif_table(data: bytes) -> bytes:
    return data[13 : 13 + (3 << ((data[10] & 7) + 1) if data[10] & 128 else 0)]


def repeated_scans(data: bytes, count: int) -> bytes:
    """Repeat a progressive JPEG's last scan."""
    begin, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:begin] + data[begin:end] * count + data[end:]


def webp_claim(kind: str) -> bytes:
    side = 16_383
    if kind == "VP8X":
        head = b"\0\0\0\0" + (side - 1).to_bytes(3, "little") * 2
    elif kind == "VP8L":
        head = b"\x2f" + ((side - 1) | (side - 1) << 14).to_bytes(4, "little") + bytes(5)
    else:
        head = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", side, side)
    body = kind.encode() + struct.pack("<I", len(head)) + head + webp()[12:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
